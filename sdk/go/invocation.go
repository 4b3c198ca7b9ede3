package sett

import (
	"context"
	"sync"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// InvocationInfo says which run of which function this is.
type InvocationInfo struct {
	ID       string // as in the Sett-Invocation-Id header and the function's log
	App      string
	Function string
	Version  int
	Trigger  string    // what caused it: "http", "invoke", ...
	Attempt  int       // 1 for the first
	Pattern  string    // the deployed route that matched an HTTP request
	Remote   string    // the client's address, host:port
	Deadline time.Time // when the node ends the invocation; zero means never
}

// Invocation answers what is known of the invocation that ctx, or its parent, belongs to. It is the zero value
// for a context that belongs to none.
func Invocation(ctx context.Context) InvocationInfo {
	c, ok := ctx.Value(invocationKey{}).(*invocation)
	if !ok {
		return InvocationInfo{}
	}
	e := c.event
	return InvocationInfo{
		ID: e.Invocation, App: e.App, Function: e.Function, Version: e.Version, Trigger: e.Trigger,
		Attempt: e.Attempt, Pattern: e.Pattern, Remote: e.Remote, Deadline: c.deadline,
	}
}

type invocationKey struct{}

// invocation is the context of a handler. Most handlers never look at Done, so its timer is made on first use.
type invocation struct {
	event    *abi.Event
	deadline time.Time // zero: none

	mu     sync.Mutex      // guards all below
	timer  context.Context // what Done, Err and Value answer, once made
	cancel context.CancelFunc
	ended  bool
}

// begin makes c the context of e's invocation.
func (c *invocation) begin(e *abi.Event) {
	c.mu.Lock()
	c.event, c.deadline = e, time.Time{}
	if e.DeadlineUnixMS != 0 {
		c.deadline = time.UnixMilli(e.DeadlineUnixMS)
	}
	c.timer, c.cancel, c.ended = nil, nil, false
	c.mu.Unlock()
}

func (c *invocation) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *invocation) Done() <-chan struct{} { return c.start().Done() }

// Err says why Done is closed, or would be: it makes no timer.
func (c *invocation) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.timer != nil:
		return c.timer.Err()
	case c.ended:
		return context.Canceled
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	}
	return nil
}

// Value answers the context package's own keys too, so that contexts below this one need no goroutine to watch it.
func (c *invocation) Value(key any) any {
	if key == (invocationKey{}) {
		return c
	}
	return c.start().Value(key)
}

func (c *invocation) start() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		if c.deadline.IsZero() {
			c.timer, c.cancel = context.WithCancel(context.Background())
		} else {
			c.timer, c.cancel = context.WithDeadline(context.Background(), c.deadline)
		}
	}
	if c.ended {
		c.cancel()
	}
	return c.timer
}

// end tells whoever waits for Done that the handler has returned.
func (c *invocation) end() {
	c.mu.Lock()
	c.ended = true
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}
