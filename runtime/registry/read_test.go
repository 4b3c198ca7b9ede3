package registry

import (
	"context"
	"fmt"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

// lagging is a store on a node that is behind: it shows what there was at its making to whoever asks for no more, and
// lists a key a page.
type lagging struct {
	*memory
	old memory // empty
}

func (l *lagging) at(r op.Read) *memory {
	if r.Consistency == op.Strong || r.Seen > 0 {
		return l.memory
	}
	return &l.old
}

func (l *lagging) Get(ctx context.Context, ns, key string, r op.Read) (op.Item, error) {
	return l.at(r).Get(ctx, ns, key, r)
}

func (l *lagging) List(ctx context.Context, ns string, q op.Query) (op.Page, error) {
	q.Limit = 1
	if q.Cursor != "" {
		return l.memory.List(ctx, ns, q)
	}
	return l.at(q.Read).List(ctx, ns, q)
}

// TestChangeOnANodeThatIsBehind holds that a change is planned on what there is, not on what the node has, and that a
// listing is no older than the generation it is taken for.
func TestChangeOnANodeThatIsBehind(t *testing.T) {
	m := newMemory()
	ahead := openRegistry(t, m)
	for i := range 5 {
		mustDeploy(t, ahead, "default", changeOf(fmt.Sprint("f", i), i))
	}
	behind, err := Open(background, &lagging{memory: m})
	if err != nil || len(behind.Snapshot().Functions()) != 0 {
		t.Fatalf("Open on a node that is behind = %s, %v", state(behind.Snapshot()), err)
	}
	if d := mustDeploy(t, behind, "default", changeOf("f0", 9)); d[0].Number != 2 {
		t.Errorf("version = %d, want 2", d[0].Number)
	}
	if _, err := ahead.Refresh(background); err != nil || state(behind.Snapshot()) != state(ahead.Snapshot()) {
		t.Errorf("behind %s, ahead %s, %v", state(behind.Snapshot()), state(ahead.Snapshot()), err)
	}
	mustDeploy(t, ahead, "default", changeOf("f1", 9))
	if changed, err := behind.Refresh(background); err != nil || !changed || state(behind.Snapshot()) != state(ahead.Snapshot()) {
		t.Errorf("Refresh = %v, %v; behind %s, ahead %s", changed, err, state(behind.Snapshot()), state(ahead.Snapshot()))
	}
}
