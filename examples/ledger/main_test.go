package main

import (
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/settest"
)

func TestMove(t *testing.T) {
	settest.Topics(t, "moved")
	for name, cents := range map[string]string{"ada": "100", "bob": "0"} {
		if r := settest.Do(t, settest.Request{Method: "PUT", Target: "/accounts/" + name, Body: cents}); r.Status != 204 {
			t.Fatalf("open %s: status %d", name, r.Status)
		}
	}
	move := func(body string) error {
		return settest.Invoke(t, "move", events.Queue{Records: []events.Message{{ID: "1", Body: body}}}, nil)
	}
	if err := move(`{"from":"ada","to":"bob","cents":70}`); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"ada": "30\n", "bob": "70\n"} {
		if r := settest.Get(t, "/accounts/"+name); string(r.Body) != want {
			t.Errorf("%s has %s, want %s", name, r.Body, want)
		}
	}
	if err := move(`{"from":"ada","to":"bob","cents":31}`); err == nil || !strings.Contains(err.Error(), "ada has 30 cents and is to give 31") {
		t.Errorf("a transfer of too much = %v", err)
	}
	if n := len(settest.Published(t, "moved")); n != 1 {
		t.Errorf("%d transfers were told of, want 1", n)
	}
}

func TestAsk(t *testing.T) {
	settest.Queues(t, "transfers")
	for body, status := range map[string]int{`{"from":"a","to":"b","cents":1}`: 202, `{"from":"a","to":"a","cents":1}`: 400, `{`: 400} {
		if r := settest.Do(t, settest.Request{Method: "POST", Target: "/transfers", Body: body}); r.Status != status {
			t.Errorf("%s: status %d, want %d", body, r.Status, status)
		}
	}
}
