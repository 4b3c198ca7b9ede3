package runtime

import (
	"context"
	"sync"
	"time"

	"github.com/sett-run/sett/runtime/component"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/sdk/abi"
)

// call is all that host calls made by one invocation may see. It is the context the guest runs under, and ends at
// the deadline or with the context of whoever invoked, without a timer unless somebody waits for that.
type call struct {
	r        *Runtime
	version  *registry.Version
	parent   context.Context
	deadline time.Time

	meter     meter
	output    output
	process   wasip1.Process
	host      host.Call
	component component.Call
	held      *held // nil: what is asked for happens at once
	pieces    pieces

	// Memory that the next call uses again.
	event  abi.Event
	encode []byte // the event as the guest reads it
	args   [1]string
	record func(level int32, record []byte) // output.record

	mu     sync.Mutex         // guards what follows
	timed  context.Context    // made when somebody waits
	cancel context.CancelFunc // of timed
}

// newCall prepares a call of v that starts at start and may take as long as its settings say. Finish it, and use it no
// more then.
func (r *Runtime) newCall(ctx context.Context, v *registry.Version, invocation string, start time.Time) *call {
	c, _ := r.calls.Get().(*call)
	if c == nil {
		c = new(call)
		c.record = c.output.record
	}
	c.r, c.version, c.parent, c.deadline = r, v, ctx, start.Add(v.Settings.Timeout())
	c.output, c.process, c.host, c.component = output{}, wasip1.Process{}, host.Call{}, component.Call{}
	if d, ok := ctx.Deadline(); ok && d.Before(c.deadline) {
		c.deadline = d
	}
	c.output.open(r.config.Sink, line(v, invocation), r.config.MaxLogBytes)
	c.args[0] = v.Function
	c.process.Args = c.args[:]
	c.process.Stdout = &c.output.stdout
	c.process.Stderr = &c.output.stderr
	c.process.Started = start
	c.process.Waiter = &c.meter
	c.host.MaxReplyBytes = r.config.MaxReplyBytes + 2*MaxHeaderBytes // header and framing
	c.host.Log = c.record
	c.host.App, c.host.Store, c.host.MaxStoreCalls, c.host.Waiter = v.App, r.config.Store, r.config.MaxStoreCalls, &c.meter
	c.host.Egress, c.host.Fetcher, c.host.Invoker = v.Settings.Egress, r.config.Fetcher, r.config.Invoker
	c.host.Queues, c.host.Events, c.host.MaxQueueCalls = r.config.Queues, r.config.Events, r.config.MaxQueueCalls
	c.host.Function, c.host.Objects, c.host.MaxObjectCalls = v.Function, r.config.Objects, r.config.MaxObjectCalls
	c.host.MaxOutgoing = r.config.MaxOutgoing
	c.component.Process, c.component.Log = &c.process, c.record
	c.component.Settings, c.component.MaxReply = v.Settings.Env, r.config.MaxReplyBytes
	c.hold(v)
	return c
}

// finish hands over what was written last and gives everything back.
func (c *call) finish() {
	c.output.flush()
	c.host.Close()
	if err := c.host.StoreFault; err != nil {
		c.r.config.Log.Error("ask store", "app", c.version.App, "function", c.version.Function, "err", err)
	}
	if err := c.host.Fault; err != nil {
		c.r.config.Log.Error("fetch or invoke", "app", c.version.App, "function", c.version.Function, "err", err)
	}
	c.mu.Lock()
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel() // somebody waited for it, and may still look at it
		return
	}
	c.event, c.parent, c.host, c.held, c.component, c.pieces = abi.Event{}, nil, host.Call{}, nil, component.Call{}, pieces{}
	if cap(c.encode) > maxKeptBytes {
		c.encode = nil
	}
	c.r.calls.Put(c)
}

// maxKeptBytes is the largest memory for an event that the next call uses again. More keeps more, fewer allocate it
// anew.
const maxKeptBytes = 64 << 10

// Deadline answers when the call ends.
func (c *call) Deadline() (time.Time, bool) { return c.deadline, true }

// Done is closed when the call's time is over or whoever invoked does not wait any more.
func (c *call) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.parent, c.deadline)
	}
	return c.timed.Done()
}

// Err says why Done is closed, or would be.
func (c *call) Err() error {
	if err := c.parent.Err(); err != nil {
		return err
	}
	if time.Now().Before(c.deadline) {
		return nil
	}
	return context.DeadlineExceeded
}

// Value answers the state of host calls, and else what the invoker's context does. Once there is a timer it also
// answers the context package's own keys, so that contexts below this one need no goroutine to watch it.
func (c *call) Value(key any) any {
	switch key.(type) {
	case wasip1.Key:
		return &c.process
	case host.Key:
		return &c.host
	case component.Key:
		return &c.component
	case meterKey:
		return c
	}
	c.mu.Lock()
	above := c.timed
	c.mu.Unlock()
	if above == nil {
		above = c.parent
	}
	return above.Value(key)
}

// line is what all lines of an invocation have in common.
func line(v *registry.Version, invocation string) abi.Line {
	return abi.Line{App: v.App, Function: v.Function, Version: v.Number, Invocation: invocation}
}
