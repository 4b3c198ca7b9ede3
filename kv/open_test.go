package kv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/kv/replica/replicatest"
	"github.com/sett-run/sett/sdk/abi"
)

// TestOpenFails has Open fail at each of its steps: nothing of it is left open.
func TestOpenFails(t *testing.T) {
	t.Parallel()
	net := replicatest.New()
	used := filepath.Join(t.TempDir(), "used")
	openTest(t, Config{Dir: used})
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, logDir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	alone := t.TempDir()
	for name, c := range map[string]Config{
		"no directory":         {},
		"a directory in use":   {Dir: used},
		"no place for the log": {Dir: foreign},
		"no group":             {Dir: alone, Group: replica.Config{Bootstrap: []replica.Server{{ID: "a", Address: "a", Voter: true}, {ID: "b", Address: "b", Voter: true}}}},
	} {
		for range 2 { // the second time finds what the first has left
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			transport, err := net.Listen("a")
			if err != nil {
				t.Fatalf("%s: the transport is left open: %v", name, err)
			}
			c.Group.ID, c.Group.Transport = "a", transport
			if s, err := openReady(ctx, c); err == nil {
				t.Errorf("%s: the store opens", name)
				s.Close()
			}
			cancel()
		}
	}
}

// TestCloseInFlight closes the nodes of a group that cannot do anything, while calls wait for it.
func TestCloseInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := startTrio(t, "")
		r := g.commit("a", set("k", "v"))
		for _, id := range g.ids {
			g.net.Isolate(id)
		}
		ctx := context.Background()
		var waiting sync.WaitGroup
		for _, id := range g.ids {
			s := g.at(id)
			for name, call := range map[string]func() error{
				"commit": func() error {
					_, err := s.Commit(ctx, op.Txn{Namespace: "app", Ops: []op.Op{set("k", "w")}})
					return err
				},
				"set quota": func() error { return s.SetQuota(ctx, "app", op.Quota{}) },
				"get":       func() error { _, err := s.Get(ctx, "app", "k", strong); return err },
				"get later": func() error { _, err := s.Get(ctx, "app", "k", op.Read{Seen: r.Revision << 10}); return err },
				"list":      func() error { _, err := s.List(ctx, "app", op.Query{Read: strong}); return err },
				"list on": func() error {
					_, err := s.List(ctx, "app", op.Query{Cursor: cursor{1 << 40, time.Now(), "k"}.String()})
					return err
				},
				"watch": func() error {
					for _, err := range s.Watch(ctx, "app", "", r.Revision) {
						return err
					}
					return nil
				},
				"catch up": func() error { return s.CaughtUp(ctx) },
			} {
				waiting.Go(func() {
					if err := call(); abi.CodeOf(err) != abi.Unavailable || !errors.Is(err, op.ErrClosed) && !errors.Is(err, op.ErrUnknown) {
						t.Errorf("%s while the store closes: %v", name, err)
					}
				})
			}
		}
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		g.close()
		waiting.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

// TestEndedContext gives calls a context that has ended: the error says so, and is nobody's bug.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	s := openTest(t, Config{InMemory: true})
	for i := range 3 {
		if _, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{set(string(rune('a'+i)), "v")}}); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.List(t.Context(), "app", op.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	late, cancelLate := context.WithTimeout(t.Context(), -1)
	defer cancelLate()
	gone, cancelGone := context.WithCancel(t.Context())
	cancelGone()
	for ctx, want := range map[context.Context]abi.Code{late: abi.Timeout, gone: abi.Unavailable} {
		_, getErr := s.Get(ctx, "app", "k", op.Read{})
		_, listErr := s.List(ctx, "app", op.Query{})
		_, nextErr := s.List(ctx, "app", op.Query{Cursor: page.Cursor})
		_, commitErr := s.Commit(ctx, op.Txn{Namespace: "app"})
		for _, err := range []error{getErr, listErr, nextErr, commitErr, s.SetQuota(ctx, "app", op.Quota{})} {
			if !errors.Is(err, ctx.Err()) || abi.CodeOf(err) != want {
				t.Errorf("with a context that says %v: %v has code %s, want %s", ctx.Err(), err, abi.CodeOf(err), want)
			}
		}
	}
}
