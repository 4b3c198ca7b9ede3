package trigger

import (
	"context"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// hold keeps messages that were received for the time of a lease from being received again, until release is called,
// which waits for it to end.
func (d *Delivery) hold(ctx context.Context, s Source, messages []op.Message, lease time.Duration) (release func()) {
	ctx, cancel := context.WithCancel(ctx)
	nacks := make([]op.Release, len(messages))
	for i, m := range messages {
		nacks[i] = op.Release{Receipt: m.Receipt, Delay: lease}
	}
	var holding sync.WaitGroup
	holding.Go(func() {
		for pause(ctx, lease/3) {
			if err := s.Settle(ctx, op.Settlement{Release: nacks}); err != nil && ctx.Err() == nil {
				d.log.Warn("hold messages", "err", err)
			}
		}
	})
	return func() {
		cancel()
		holding.Wait()
	}
}

// settle settles messages. What cannot be settled comes again when its visibility is over.
func (d *Delivery) settle(ctx context.Context, to Source, s op.Settlement) {
	if len(s.Delete)+len(s.Release) > 0 {
		d.persist(ctx, func(ctx context.Context) error { return to.Settle(ctx, s) })
	}
}

// persist tries to write for as long as what was received is invisible; once only when ctx has ended.
func (d *Delivery) persist(ctx context.Context, write func(context.Context) error) {
	for until := time.Now().Add(visibility); ; {
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		err := write(attempt)
		cancel()
		if err == nil {
			return
		}
		d.log.Warn("settle messages", "err", err)
		if time.Now().After(until) || !pause(ctx, storePause) {
			return
		}
	}
}
