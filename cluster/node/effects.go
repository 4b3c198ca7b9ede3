package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// How often an invocation that somebody waits for is repeated since what it read was changed meanwhile, and for how long it
// pauses before, at most: twice as long each time. More repeats succeed against more who change the same keys at once, and
// make those wait who do not succeed in the end.
const (
	maxRepeats  = 8
	repeatPause = 2 * time.Millisecond
)

// Invoke is for router.Invoker. What a request's invocation asks for happens before it is answered; what an event's does,
// happens with the event's end, by who has sent it.
func (n invoker) Invoke(ctx context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error) {
	for pause := repeatPause; ; pause *= 2 {
		result, err := n.anywhere(ctx, v, e)
		if err != nil || result == nil || result.Effects == nil || e.Trigger != abi.TriggerHTTP && e.Trigger != abi.TriggerInvoke {
			return result, err
		}
		effects := result.Effects
		if result.Effects = nil; result.Error != "" || result.Status >= 400 {
			return result, nil // it has failed: nothing happens
		}
		err = n.queues.Commit(ctx, v.App, effects, op.Ending{})
		if err == nil {
			return result, nil
		}
		if !errors.Is(err, op.ErrConflict) || pause >= repeatPause<<maxRepeats {
			return result, n.notCommitted(v, e, err)
		}
		select {
		case <-time.After(rand.N(pause)):
		case <-ctx.Done(): // the next try says so
		}
	}
}

// notCommitted is what a client is told when what the function asks for could not happen: that others were in its way, or
// that the store cannot be reached; else the function has failed, and its log has the reason.
func (n *Node) notCommitted(v *registry.Version, e *abi.Event, err error) error {
	switch code := abi.CodeOf(err); code {
	case abi.Conflict, abi.Unavailable, abi.Timeout, abi.NoSpace:
		return abi.WithCode(code, fmt.Errorf("commit what the function asks for: %w", err))
	}
	n.logs.Write(abi.Line{Time: time.Now(), App: v.App, Function: v.Function, Version: v.Number, Invocation: e.Invocation,
		Stream: abi.StreamPlatform, Level: "ERROR", Message: "commit: " + err.Error()})
	return abi.WithCode(abi.FunctionFailed, errors.New("function failed"))
}
