package kv

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/kv/store"
)

// Recover makes the node of an id, whose store is in dir and does not run, the only member of its group, when the
// majority is gone for good. What they acknowledged and this node never received is lost; they must never run again. It
// answers the index of the newest entry the node has. The store goes on as a group of one when it is opened next, and
// other nodes can be added.
func Recover(dir, id string, log *slog.Logger) (index uint64, err error) {
	if id == "" {
		return 0, withCode("recover", fmt.Errorf("the node's id is missing: %w", op.ErrInvalid))
	}
	if !exists(filepath.Join(dir, logDir)) {
		return 0, withCode("recover", fmt.Errorf("%s holds no store: %w", dir, op.ErrInvalid))
	}
	state, err := store.Open(store.Config{Dir: filepath.Join(dir, stateDir), Log: log})
	if err != nil {
		return 0, withCode("recover", err)
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	m := newMachine(state, fsm.Level)
	defer m.close()
	index, err = replica.Recover(replica.Config{ID: id, Dir: filepath.Join(dir, logDir), Machine: m, Log: log})
	return index, withCode("recover", err)
}
