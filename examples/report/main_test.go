package main

import (
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/settest"
)

// TestDaily has the tick of a Monday come twice, with a visit between.
func TestDaily(t *testing.T) {
	monday := time.Date(2026, 11, 23, 9, 0, 0, 0, time.FixedZone("CET", 3600))
	tick := func(at time.Time, want string) {
		t.Helper()
		var got string
		if err := settest.Invoke(t, "daily", events.Schedule{Time: at}, &got); err != nil || got != want {
			t.Errorf("daily at %v = %q, %v, want %q", at, got, err, want)
		}
	}
	visit := func() {
		t.Helper()
		if r := settest.Do(t, settest.Request{Method: "POST", Target: "/visits"}); r.Status != 204 {
			t.Errorf("POST /visits = %d, want 204", r.Status)
		}
	}
	tick(monday.AddDate(0, 0, -1), "reported")
	visit()
	visit()
	visit()
	tick(monday, "reported")
	visit()
	tick(monday, "reported before")
	tick(monday.AddDate(0, 0, 1), "reported")
	tick(monday.AddDate(0, 0, 2), "reported")
	want := "2026-11-22T08:00:00Z 0\n2026-11-23T08:00:00Z 3\n2026-11-24T08:00:00Z 1\n2026-11-25T08:00:00Z 0\n"
	if r := settest.Get(t, "/reports"); string(r.Body) != want {
		t.Errorf("reports\n%swant\n%s", r.Body, want)
	}
}

func TestNoTick(t *testing.T) {
	if err := settest.Invoke(t, "daily", nil, nil); err == nil || err.Error() != "want the tick of a schedule" {
		t.Errorf("daily without a tick: %v", err)
	}
}
