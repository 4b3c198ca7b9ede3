package kv

import (
	"context"
	"errors"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

const (
	// tickEvery is how often the leader looks for keys whose time has come. More often deletes, and tells watches,
	// sooner; reads hide them at once in any case.
	tickEvery = time.Second
	// syncEvery is how often the state is made durable, and old versions of it are let go of. Less often makes a
	// start after a crash longer, more often costs flushes of half-empty tables.
	syncEvery = 30 * time.Second
)

// tickNowAndThen has the group delete what has expired, while this node leads and there is any.
func (s *Store) tickNowAndThen(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for s.replica.Leading() != 0 && s.due() && ctx.Err() == nil {
				if _, err := s.propose(ctx, fsm.Command{Kind: fsm.Tick, Limit: fsm.MaxTickKeys}); err != nil {
					s.complain("collect expired keys", err)
					break
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) due() bool {
	view, err := s.state.View()
	if err != nil {
		return false
	}
	defer view.Close()
	due, err := fsm.Due(view, time.Now())
	if err != nil {
		s.complain("look for expired keys", err)
	}
	return due
}

func (s *Store) syncNowAndThen(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := s.state.Sync(ctx); err != nil {
				s.complain("make the store durable", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// complain logs what went wrong in the background, but for what closing brings about.
func (s *Store) complain(what string, err error) {
	if !errors.Is(err, context.Canceled) && !errors.Is(err, op.ErrClosed) {
		s.log.Error(what, "err", err)
	}
}
