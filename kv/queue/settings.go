package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// settings are a configuration with its defaults.
func settings(c registry.Queue) fsm.QueueSettings {
	c = c.Complete()
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	return fsm.QueueSettings{
		FIFO: c.FIFO, ContentDedup: c.ContentDedup,
		Visibility: seconds(c.VisibilitySeconds), Delay: seconds(c.DelaySeconds), Retention: seconds(c.RetentionSeconds),
		Wait: seconds(c.WaitSeconds), MaxBytes: c.MaxBytes, DeadLetter: c.DeadLetter, MaxReceives: c.MaxReceives,
	}
}

func infoOf(s fsm.QueueState) registry.QueueInfo {
	seconds := func(d time.Duration) int { return int(d / time.Second) }
	c := s.Settings
	return registry.QueueInfo{
		Queue: registry.Queue{
			Name: s.Name, FIFO: c.FIFO, ContentDedup: c.ContentDedup,
			VisibilitySeconds: seconds(c.Visibility), DelaySeconds: seconds(c.Delay), RetentionSeconds: seconds(c.Retention),
			WaitSeconds: seconds(c.Wait), MaxBytes: c.MaxBytes, DeadLetter: c.DeadLetter, MaxReceives: c.MaxReceives,
		},
		Created: s.Created, Stats: s.Stats,
	}
}

// coded says what was being done, and gives an error of package op that has no code the one that says the same. It
// answers nil for nil.
func coded(what string, err error) error {
	if err == nil {
		return nil
	}
	code := abi.CodeOf(err)
	switch {
	case code != abi.Internal:
	case errors.Is(err, op.ErrInvalid):
		code = abi.InvalidInput
	case errors.Is(err, op.ErrTooLarge):
		code = abi.TooLarge
	}
	return abi.WithCode(code, fmt.Errorf("%s: %w", what, err))
}
