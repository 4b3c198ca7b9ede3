package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sett-run/sett/sdk/abi"
)

// Invoker runs functions for other functions of their app. Errors are coded as those of router.Router's Dispatch, or
// wrap ctx's; messages of coded ones reach the guest, but those of abi.Internal.
type Invoker interface {
	// Invoke runs a function until ctx ends. The result may be given along with an error; its Error is the handler's own.
	Invoke(ctx context.Context, i Invocation) (*abi.Result, error)
	// Enqueue takes what is to be run later, and answers the id it will have. From then on it is not lost.
	Enqueue(ctx context.Context, i Invocation) (id string, err error)
}

// Invocation is one that a function asks for. It belongs to the Invoker.
type Invocation struct {
	App       string
	Function  string
	Qualifier string     // alias, or a version as 4 or v4; empty: the alias live
	Event     *abi.Event // POST / with the payload, its Trigger and Depth; the rest is the Invoker's to fill
}

// headerInvocation is the header of an asynchronous invocation's answer that has its id.
const headerInvocation = "Sett-Invocation-Id"

// invoke runs another function of the app and answers its reply; of an asynchronous invocation the answer is a reply
// 202 with its id.
func invoke() Function {
	return asking(abi.ImportInvoke, (*Call).refuseOutgoing, func(ctx context.Context, c *Call, a asked) ([]byte, error) {
		if c.Invoker == nil {
			return nil, abi.ErrNoOutgoing
		}
		r, err := abi.DecodeInvoke(a.request)
		switch {
		case err != nil:
			return nil, err
		case r.Function == "":
			return nil, fmt.Errorf("invoke: no function is named: %w", abi.ErrBadRequest)
		case c.Depth >= abi.MaxDepth:
			return nil, fmt.Errorf("invoke %s: %w: %d at most, do they invoke one another without end?", r.Function,
				abi.ErrDepth, abi.MaxDepth)
		}
		if err := c.goOut(); err != nil {
			return nil, err
		}
		i := Invocation{App: c.App, Function: r.Function, Qualifier: r.Qualifier, Event: &abi.Event{
			Trigger: abi.TriggerInvoke, Depth: c.Depth + 1, Method: "POST", Scheme: "http", Proto: "HTTP/1.1",
			Host: r.Function, Path: "/", Body: bytes.Clone(r.Payload),
		}}
		do := c.invoke
		if r.Async {
			do = c.enqueue
		}
		return c.await(ctx, a.wait, func(ctx context.Context) ([]byte, error) {
			reply, err := do(ctx, i)
			if err != nil {
				return nil, err
			}
			return abi.AppendReply(a.room, reply), nil
		})
	})
}

func (c *Call) invoke(ctx context.Context, i Invocation) (*abi.Reply, error) {
	result, err := c.Invoker.Invoke(ctx, i)
	if result != nil && result.Error != "" {
		return nil, fmt.Errorf("%w: %s", abi.ErrFunctionFailed, result.Error)
	}
	if err != nil {
		return nil, err
	}
	if result == nil {
		return nil, errors.New("invoke: no result")
	}
	return &result.Reply, nil
}

func (c *Call) enqueue(ctx context.Context, i Invocation) (*abi.Reply, error) {
	id, err := c.Invoker.Enqueue(ctx, i)
	if err != nil {
		return nil, err
	}
	return &abi.Reply{Status: 202, Headers: []abi.Field{{Name: headerInvocation, Value: id}}}, nil
}
