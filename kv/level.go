package kv

import (
	"context"
	"fmt"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// Level is the newest feature level that this build knows. Nodes tell it each other, so that the group's is raised
// only when all know the new one.
const Level = fsm.Level

// Level answers the feature level that is in effect, as far as this node has come. It begins at 1 and never sinks.
func (s *Store) Level() (uint8, error) {
	view, err := s.state.View()
	if err != nil {
		return 0, withCode("level", err)
	}
	defer view.Close()
	p, err := fsm.ReadProgress(view)
	return p.Level, withCode("level", err)
}

// RaiseLevel has the group go over to a feature level, from whichever node; one that has it, or a higher one, does
// nothing. Every member must know the level: one that does not stops with fsm.ErrTooNew, and goes on once it is
// upgraded. A level that this build does not know is op.ErrInvalid.
func (s *Store) RaiseLevel(ctx context.Context, level uint8) error {
	if level > s.machine.level {
		return withCode("raise level", fmt.Errorf("this build knows level %d, not %d: %w", s.machine.level, level, op.ErrInvalid))
	}
	c := fsm.Command{Kind: fsm.RaiseLevel, Level: level}
	if err := c.Validate(); err != nil {
		return withCode("raise level", err)
	}
	if now, err := s.Level(); err != nil || now >= level {
		return err
	}
	_, err := s.propose(ctx, c)
	return withCode("raise level", err)
}
