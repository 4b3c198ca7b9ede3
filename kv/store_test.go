package kv

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/kvtest"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica/replicatest"
)

// openReady opens a store and waits until it has caught up.
func openReady(ctx context.Context, cfg Config) (*Store, error) {
	s, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := s.CaughtUp(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func openTest(t testing.TB, cfg Config) *Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := openReady(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func set(key, value string) op.Op { return op.Op{Kind: op.Set, Key: key, Value: []byte(value)} }

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openTest(t, Config{Dir: dir})
	for range 100 {
		if _, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{set("k", "v"), {Kind: op.Incr, Key: "n", Delta: 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "app", "n", op.Read{}); !errors.Is(err, op.ErrClosed) {
		t.Errorf("Get of a closed store = %v", err)
	}
	start := time.Now()
	s = openTest(t, Config{Dir: dir})
	t.Log("open", time.Since(start))
	item, err := s.Get(t.Context(), "app", "n", op.Read{})
	if err != nil || string(item.Value) != "100" {
		t.Fatalf("Get = %q, %v, want 100", item.Value, err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("in memory", func(t *testing.T) {
		kvtest.Run(t, func(t *testing.T) kvtest.Store { return openTest(t, Config{InMemory: true}) })
	})
	t.Run("follower of three", func(t *testing.T) {
		kvtest.Run(t, func(t *testing.T) kvtest.Store {
			g := newTrio(t, "")
			g.net = replicatest.New()
			g.adjust = func(c *Config) { // there are many elections, and reads that wait for a follower
				c.Group.HeartbeatTimeout, c.Group.CommitTimeout = 100*time.Millisecond, time.Millisecond
			}
			g.startAll()
			return follower{g.at(g.follower())}
		})
	})
	t.Run("on disk", func(t *testing.T) {
		kvtest.Run(t, func(t *testing.T) kvtest.Store { return openTest(t, Config{Dir: t.TempDir()}) })
	})
}

// follower is a store that takes a while to learn of what was written through it. The suite does not know that.
type follower struct{ *Store }

func (f follower) Usage(ctx context.Context, namespace string) (op.Usage, error) {
	if err := f.CaughtUp(ctx); err != nil {
		return op.Usage{}, err
	}
	return f.Store.Usage(ctx, namespace)
}

func (f follower) Watch(ctx context.Context, namespace, prefix string, after uint64) iter.Seq2[op.Change, error] {
	if err := f.CaughtUp(ctx); err != nil && ctx.Err() == nil {
		return func(yield func(op.Change, error) bool) { yield(op.Change{}, err) }
	}
	return f.Store.Watch(ctx, namespace, prefix, after)
}

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func FuzzCursor(f *testing.F) {
	f.Add(cursor{7, time.Unix(1, 2), "key"}.String(), "k")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, text, prefix string) {
		c, err := parseCursor(text, prefix)
		if err != nil {
			if !errors.Is(err, op.ErrInvalid) {
				t.Errorf("parseCursor(%q) = %v, want ErrInvalid", text, err)
			}
			return
		}
		if c.index == 0 || !strings.HasPrefix(c.key, prefix) || len(c.key) > op.MaxKeyBytes {
			t.Errorf("parseCursor(%q) = %+v", text, c)
		}
		if again, err := parseCursor(c.String(), prefix); err != nil || again.index != c.index || !again.now.Equal(c.now) || again.key != c.key {
			t.Errorf("%+v is read again as %+v, %v", c, again, err)
		}
	})
}
