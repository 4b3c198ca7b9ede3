package kv

import (
	"context"
	"errors"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

// TestAnnounce has the other members learn of a write, whoever announces it, and nothing else happen. That it is sooner
// than without is for the benchmark cluster to show.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	g := startTrio(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, by := range []string{g.leader(), g.follower()} {
		written := g.commit(by, set("key", by))
		if err := g.at(by).Announce(ctx); err != nil {
			t.Fatalf("announce at %s: %v", by, err)
		}
		for _, id := range g.ids {
			item, err := g.at(id).Get(ctx, "app", "key", op.Read{Seen: written.Revision})
			if err != nil || item.Revision != written.Revision || string(item.Value) != by {
				t.Errorf("%s has %q of revision %d, %v, want %q of %d", id, item.Value, item.Revision, err, by, written.Revision)
			}
		}
	}
	by := g.at(g.follower())
	by.Close()
	if err := by.Announce(ctx); !errors.Is(err, op.ErrClosed) {
		t.Errorf("announce after close: %v, want %v", err, op.ErrClosed)
	}
}
