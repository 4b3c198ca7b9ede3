package queue_test

import (
	"testing"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/queue"
)

// openQueues answers the queues of a store of feature level 2, which t closes.
func openQueues(t testing.TB, cfg kv.Config) *queue.Queues {
	t.Helper()
	return queue.Open(openStore(t, cfg))
}

func openStore(t testing.TB, cfg kv.Config) *kv.Store {
	t.Helper()
	s, err := kv.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.RaiseLevel(t.Context(), fsm.Level); err != nil {
		t.Fatal(err)
	}
	return s
}
