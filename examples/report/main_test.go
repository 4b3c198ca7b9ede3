package main

import (
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/settest"
)

func TestDaily(t *testing.T) {
	monday := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	tick := func(at time.Time, want string) {
		t.Helper()
		var got string
		if err := settest.Invoke(t, "daily", events.Schedule{Time: at}, &got); err != nil || got != want {
			t.Errorf("daily at %v = %q, %v, want %q", at, got, err, want)
		}
	}
	for range 3 {
		settest.Do(t, settest.Request{Method: "POST", Target: "/visits"})
	}
	tick(monday, "reported")
	settest.Do(t, settest.Request{Method: "POST", Target: "/visits"})
	tick(monday, "reported before")
	tick(monday.AddDate(0, 0, 1), "reported")
	tick(monday.AddDate(0, 0, 2), "reported")
	want := "2026-11-23T08:00:00Z 3\n2026-11-24T08:00:00Z 1\n2026-11-25T08:00:00Z 0\n"
	if r := settest.Get(t, "/reports"); string(r.Body) != want {
		t.Errorf("reports\n%swant\n%s", r.Body, want)
	}
}
