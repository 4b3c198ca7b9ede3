package queue_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
)

func TestCollector(t *testing.T) {
	b := bench{openQueues(t, kv.Config{InMemory: true}), t}
	b.put(registry.Queue{Name: "q"})
	b.send("q", "a", "b")
	b.receive("q", op.Receive{})
	want := `# HELP sett_kv_queue_messages Messages of a queue, by state.
# TYPE sett_kv_queue_messages gauge
sett_kv_queue_messages{app="app",queue="q",state="delayed"} 0
sett_kv_queue_messages{app="app",queue="q",state="in_flight"} 1
sett_kv_queue_messages{app="app",queue="q",state="visible"} 1
`
	if err := testutil.CollectAndCompare(b.Collector(), strings.NewReader(want), "sett_kv_queue_messages"); err != nil {
		t.Error(err)
	}
}
