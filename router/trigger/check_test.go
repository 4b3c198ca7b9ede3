package trigger

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

func TestCheck(t *testing.T) {
	good, bad := json.RawMessage(`{"kind":["gift"]}`), json.RawMessage(`{"kind":"gift"}`)
	err := Check(registry.Settings{Triggers: []registry.Trigger{
		{Schedule: &registry.Schedule{Expressions: []string{"rate(1 hour)"}}}, {Schedule: &registry.Schedule{Expressions: []string{"rate(1 hours)"}}},
		{Queue: &registry.QueueSource{Queue: "orders", Filters: []json.RawMessage{good, bad}}}, {Queue: &registry.QueueSource{Queue: "plain"}},
		{Topic: &registry.TopicSource{Topic: "placed", Filter: bad}}, {Topic: &registry.TopicSource{Topic: "all", Filter: good}},
		{Event: &registry.EventSource{Pattern: good}}, {Event: &registry.EventSource{Pattern: bad}},
		{Event: &registry.EventSource{Name: "third", Pattern: good, Transformer: &registry.InputTransformer{Template: "<x>"}}},
		{Event: &registry.EventSource{Pattern: good, InputPath: "$["}},
	}})
	if err == nil || abi.CodeOf(err) != abi.InvalidInput {
		t.Fatalf("Check = %v, want %s", err, abi.InvalidInput)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{"after 1 it is hour", "queue orders: filter: kind", "topic placed: filter: kind", "rule 2: filter: kind",
		"rule third: input template: <x>", "rule 4: path"} {
		if len(lines) != 6 || !strings.Contains(lines[i], want) {
			t.Errorf("Check = %q, want fault %d %q", lines, i, want)
		}
	}
	if err := Check(registry.Settings{}); err != nil {
		t.Errorf("Check of nothing = %v", err)
	}
}
