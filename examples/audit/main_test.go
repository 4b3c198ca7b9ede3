package main

import (
	"testing"

	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/settest"
)

func change(kind, key, old, after, sequence string) events.Change {
	image := func(value string) map[string]events.Value {
		if value == "" {
			return nil
		}
		return map[string]events.Value{"value": {Text: &value}}
	}
	return events.Change{Kind: kind, Detail: events.ChangeDetail{Sequence: sequence,
		Keys: map[string]events.Value{"key": {Text: &key}}, Old: image(old), New: image(after)}}
}

// TestWrite has a change come twice.
func TestWrite(t *testing.T) {
	first := change(events.Insert, "note/1", "", "tea", "1")
	for _, batch := range [][]events.Change{{first}, {first, change(events.Remove, "note/1", "tea", "", "2")}} {
		var failures events.Failures
		if err := settest.Invoke(t, "write", events.Stream{Records: batch}, &failures); err != nil || len(failures.Items) != 0 {
			t.Fatalf("write = %+v, %v", failures, err)
		}
	}
	want := `{"kind":"INSERT","key":"note/1","new":"tea"}` + "\n" + `{"kind":"REMOVE","key":"note/1","old":"tea"}` + "\n"
	if r := settest.Get(t, "/audit"); string(r.Body) != want {
		t.Errorf("audit\n%swant\n%s", r.Body, want)
	}
}
