package runtime

import (
	"context"
	"errors"
	"time"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Invoke answers e with a fresh instance of v. The time is limited by the settings and by ctx, whichever ends
// first; waiting for the code to be loaded counts for ctx alone. The result is never nil and says what was used,
// on failure too. Errors are coded: abi.FunctionFailed, abi.Timeout, abi.InvalidInput for an event the guest
// cannot be given, abi.Unavailable when the module cannot be loaded or ctx was canceled. Their messages may be
// shown to a client; the reason is in the sink, as is everything the guest wrote, before Invoke returns.
func (r *Runtime) Invoke(ctx context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error) {
	start := time.Now()
	result := &abi.Result{Start: abi.Warm}
	c, cold, err := r.codes.acquire(ctx, v.Module.Digest)
	if cold {
		result.Start = abi.Cold
		r.metrics.cold.WithLabelValues(v.App, v.Function).Inc()
	}
	if err != nil {
		result.Took = time.Since(start)
		return result, r.unloaded(ctx, v, e, err)
	}
	defer r.codes.release(c)
	i := r.newInstance(v, c, e.Invocation)
	defer i.close()
	f := i.answer(ctx, e, &result.Reply)
	result.MemoryBytes = int64(i.memory.peak)
	if f != nil {
		result.Reply = abi.Reply{Error: result.Error} // what the handler said itself, for who may read it
		err = i.fail(f)
	}
	result.Took = time.Since(start)
	return result, err
}

// answer runs the guest for e, and fills reply with a valid one or answers why there is none.
func (i *instance) answer(ctx context.Context, e *abi.Event, reply *abi.Reply) *failure {
	ctx, cancel := context.WithTimeout(ctx, timeout(i.version))
	defer cancel()
	event := *e
	deadline, _ := ctx.Deadline()
	event.DeadlineUnixMS = deadline.UnixMilli()
	var f *failure
	if i.code.kind == registry.KindCommand {
		f = i.command(ctx, &event, reply)
	} else {
		f = i.handle(ctx, &event, reply)
	}
	i.output.flush()
	if f != nil {
		return f
	}
	if err := checkReply(reply, i.r.config.MaxReplyBytes); err != nil {
		return failed(outcomeReply, err.Error())
	}
	return nil
}

// command runs a command module: the request is its input, its output the reply.
func (i *instance) command(ctx context.Context, e *abi.Event, reply *abi.Reply) *failure {
	env, err := environment(i.r.config.Name, i.version, e)
	if err != nil {
		return &failure{outcomeRefused, err.Error(), err}
	}
	stdout := &limited{limit: i.r.config.MaxReplyBytes + MaxHeaderBytes}
	i.process.Env, i.process.Stdin, i.process.Stdout = env, e.Body, stdout
	i.process.Args = []string{i.version.Function}
	if f := i.instantiate(ctx); f != nil {
		return f
	}
	if f := i.call(abi.ExportStart, nil); f != nil {
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

// handle runs a sett module: it reads the event by host call and writes the reply by another.
func (i *instance) handle(ctx context.Context, e *abi.Event, reply *abi.Reply) *failure {
	i.process.Env = settingsEnv(i.version, func(string) bool { return false })
	i.process.Stdout = &i.output.stdout
	if f := i.instantiate(ctx); f != nil {
		return f
	}
	if f := i.call(abi.ExportInitialize, nil); f != nil {
		return f
	}
	i.host.Event = abi.AppendEvent(nil, e)
	i.host.Phase = host.Handling
	stack := []uint64{uint64(len(i.host.Event))}
	if f := i.call(abi.ExportHandle, stack); f != nil {
		return f
	}
	if result := int32(stack[0]); result != 0 {
		return failed(outcomeExit, abi.ExportHandle+" answered "+count(int(result), "instead of 0"))
	}
	if !i.host.Replied {
		return failed(outcomeReply, "the handler wrote no reply")
	}
	if err := abi.DecodeReply(i.host.Reply, reply); err != nil {
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
	default:
		r.config.Log.Error("load module", "app", v.App, "function", v.Function, "version", v.Number, "err", err)
	}
	var o output
	o.open(r.config.Sink, line(v, e.Invocation), r.config.MaxLogBytes)
	return r.fail(f, &o)
}

// Evict drops v's compiled code from memory; the next invocation loads it from disk. Running ones go on.
func (r *Runtime) Evict(v *registry.Version) { r.codes.drop(v.Module.Digest) }
