package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/memory"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// Invoke answers e with an instance of v in which nothing of another event is left. The time is limited by the
// settings and by ctx, whichever ends first; waiting for code and image counts for ctx alone. The result is never
// nil and says what was used, on failure too. Errors are coded: abi.FunctionFailed, abi.Timeout, abi.InvalidInput for
// an event the guest cannot be given, abi.Unavailable when the module cannot be loaded, ctx was canceled, or, as
// ErrNoRoom, the node has no memory left. Their messages may be shown to a client; the reason is in the sink, as is
// everything the guest wrote, before Invoke returns.
func (r *Runtime) Invoke(ctx context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error) {
	start := time.Now()
	result := &abi.Result{Start: abi.Warm}
	p, i, cold, err := r.pools.take(ctx, v)
	if cold {
		result.Start = abi.Cold
		r.metrics.cold.WithLabelValues(v.App, v.Function).Inc()
	}
	if err != nil {
		result.Took = time.Since(start)
		return result, r.unloaded(ctx, v, e, err)
	}
	defer p.give(v, i)
	ready := start
	if cold {
		ready = time.Now()
	}
	c := r.newCall(ctx, v, e.Invocation, ready)
	defer c.finish()
	f := i.answer(c, e, result)
	c.host.Close()
	if f != nil {
		result.Reply = abi.Reply{Error: result.Error} // what the handler said itself, for who may read it
		c.output.flush()
		err = r.fail(f, &c.output)
	} else if c.held != nil {
		result.Effects = c.held.effects()
	}
	result.Took = time.Since(start)
	return result, err
}

// answer runs the guest for e, and fills result's reply with a valid one or answers why there is none.
func (i *instance) answer(c *call, e *abi.Event, result *abi.Result) *failure {
	c.event = *e
	c.event.DeadlineUnixMS = c.deadline.UnixMilli()
	c.host.Depth = e.Depth
	c.pieces.open(c, result)
	c.host.Pieces = &c.pieces
	c.process.Monotonic = i.image.monotonic
	run := i.handle
	switch i.code.Kind {
	case registry.KindCommand:
		run = i.command
	case registry.KindComponent:
		run = i.component
	}
	if !i.begin(c) {
		return &failure{outcomeUnloaded, "the instance's memory is gone", errUnavailable}
	}
	f := run(c, &c.event, &result.Reply)
	result.Streamed = c.pieces.sent()
	result.MemoryBytes = int64(i.memory.Size())
	result.Fuel = i.end(c)
	i.r.metrics.fuel.Add(float64(result.Fuel))
	c.output.flush()
	if f != nil {
		return f
	}
	if err := checkReply(&result.Reply, i.r.config.MaxReplyBytes); err != nil {
		return failed(outcomeReply, err.Error())
	}
	return nil
}

// prepare runs what the image leaves to each call before its event.
func (i *instance) prepare(c *call) *failure {
	if i.image.starts {
		return i.starting(c)
	}
	i.drawAnew()
	return nil
}

// command runs a command module: the request is its input, its output the reply.
func (i *instance) command(c *call, e *abi.Event, reply *abi.Reply) *failure {
	env, err := environment(i.r.config.Name, c.version, e)
	if err != nil {
		return &failure{outcomeRefused, err.Error(), err}
	}
	stdout := &limited{limit: i.r.config.MaxReplyBytes + MaxHeaderBytes}
	c.process.Env, c.process.Stdin, c.process.Stdout = env, e.Body, stdout
	if e.More {
		c.process.StdinRest = &c.pieces
	}
	if c.version.Settings.Streaming && !c.pieces.hold {
		return i.streamCommand(c)
	}
	if f := i.prepare(c); f != nil {
		return f
	}
	c.host.Phase = host.Commanding
	if f := i.call(c, i.entry, abi.ExportStart, nil); f != nil {
		return f
	}
	if e.Trigger != "" && e.Trigger != abi.TriggerHTTP && e.Trigger != abi.TriggerInvoke {
		reply.Body = stdout.b // nobody asked over HTTP: exit code 0 is success
		return nil
	}
	if err := parseCGI(stdout.b, reply); err != nil {
		return failed(outcomeReply, err.Error())
	}
	return nil
}

// streamCommand runs a command whose reply is sent while it runs.
func (i *instance) streamCommand(c *call) *failure {
	stdout := &cgiStream{to: &c.pieces}
	c.process.Stdout = stdout
	if f := i.prepare(c); f != nil {
		return f
	}
	c.host.Phase = host.Commanding
	if f := i.call(c, i.entry, abi.ExportStart, nil); f != nil {
		return f
	}
	if c.pieces.started {
		return nil
	}
	return failed(outcomeReply, parseCGI(stdout.head, new(abi.Reply)).Error())
}

// handle runs a sett module: it reads the event by host call and writes the reply by another.
func (i *instance) handle(c *call, e *abi.Event, reply *abi.Reply) *failure {
	c.process.Env = settingsEnv(c.version)
	if f := i.prepare(c); f != nil {
		return f
	}
	c.encode = abi.AppendEvent(c.encode[:0], e)
	c.host.Event = c.encode
	c.host.Phase = host.Handling
	stack := []uint64{uint64(len(c.host.Event))}
	if f := i.call(c, i.entry, abi.ExportHandle, stack); f != nil {
		return f
	}
	if result := api.DecodeI32(stack[0]); result != 0 {
		return failed(outcomeExit, fmt.Sprintf("%s answered %d instead of 0", abi.ExportHandle, result))
	}
	if c.host.Started {
		return nil
	}
	if !c.host.Replied {
		return failed(outcomeReply, "the handler wrote no reply")
	}
	if err := abi.DecodeReply(c.host.Reply, reply); err != nil {
		return failed(outcomeReply, "the reply cannot be read: "+err.Error())
	}
	if reply.Error != "" {
		return failed(outcomeError, "the handler failed: "+reply.Error)
	}
	return nil
}

// unloaded tells why a module could not be loaded.
func (r *Runtime) unloaded(ctx context.Context, v *registry.Version, e *abi.Event, err error) error {
	f := &failure{outcomeUnloaded, "load module: " + err.Error(), errUnavailable}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		f = &failure{outcomeTimeout, "timeout while the module was being loaded", errTimeout}
	case ctx.Err() != nil:
		f = &failure{outcomeCanceled, "canceled while the module was being loaded", errUnavailable}
	case abi.CodeOf(err) == abi.InvalidModule: // its initialisation failed
		f = failed(outcomeTrap, err.Error())
	case errors.Is(err, memory.ErrBudget):
		f = &failure{outcomeMemory, "the node has no memory left for another instance", ErrNoRoom}
	default:
		r.config.Log.Error("load module", "app", v.App, "function", v.Function, "version", v.Number, "err", err)
	}
	var o output
	o.open(r.config.Sink, line(v, e.Invocation), r.config.MaxLogBytes)
	return r.fail(f, &o)
}
