package router

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Invoker runs a version once. Package runtime's Runtime is one. The context and the event are the caller's: an
// Invoker keeps neither, nor any part of them, once Invoke has returned.
type Invoker interface {
	Invoke(ctx context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error)
}

// Sink takes the platform's lines for a function's log. Write copies what it keeps and does not block.
type Sink interface {
	Write(line abi.Line)
}

// Call is one invocation asked for.
type Call struct {
	App       string
	Function  string
	Qualifier string // alias, or a version as 4 or v4; empty: the alias live
	// Event is what the function is given. Dispatch fills App, Function, Version, Handler, DeadlineUnixMS, and
	// Invocation and Attempt where they are empty. It is the caller's, and free again when Dispatch returns.
	Event *abi.Event

	chosen *candidate // of a route; the names above are not looked at
	start  time.Time
	memory *invocationContext // to use for the invocation's context; nil: make one
}

// Errors of admission. The first two are coded abi.TooManyRequests: try again.
var (
	errFunctionBusy = errors.New("the function's concurrent invocations are at their limit")
	errNodeBusy     = errors.New("the node's concurrent invocations are at their limit")
	errClosed       = errors.New("the node is shutting down")
	errFailed       = errors.New("function failed")
)

// Dispatch is the one door to a function: it chooses the version by the alias's weights, admits the invocation or
// refuses it (abi.TooManyRequests), gives it a deadline, runs it, and records it in metrics and the access ring.
// The reply of an invocation without error is one that HTTP can carry. Result.Error is the handler's own failure,
// for triggers to retry. The result is never nil and belongs to the caller; after an error it says what was used.
//
// Ctx ends the invocation early; so does a forced Shutdown.
func (r *Router) Dispatch(ctx context.Context, call Call) (*abi.Result, error) {
	k := call.chosen
	if k == nil {
		var err error
		if k, err = r.table.Load().resolve(call.App, call.Function, call.Qualifier); err != nil {
			return new(abi.Result), err
		}
	}
	by := r.config.Invoker
	if err := r.admit(k.target); err == nil {
		defer r.leave(k.target)
	} else if r.maySpill(err) {
		by = r.config.Spill
		defer r.spilled.Add(-1)
	} else {
		return new(abi.Result), err
	}
	return r.run(ctx, call, k, by)
}

// run runs what was admitted and records it.
func (r *Router) run(ctx context.Context, call Call, k *candidate, by Invoker) (*abi.Result, error) {
	if call.start.IsZero() {
		call.start = time.Now()
	}
	e := call.Event
	prepare(e, k.version, call.start)
	if call.memory == nil {
		call.memory = new(invocationContext)
	}
	call.memory.begin(ctx, r.base, call.start.Add(k.timeout))
	e.DeadlineUnixMS = call.memory.deadline.UnixMilli()
	result, err := r.invoke(call.memory, k, e, by)
	r.account(&access{time: call.start, event: e, target: k.target}, result, err)
	return result, err
}

// prepare fills what the event says of the version and the invocation.
func prepare(e *abi.Event, v *registry.Version, start time.Time) {
	e.App, e.Function, e.Version, e.Handler = v.App, v.Function, v.Number, v.Settings.Handler
	if e.Attempt == 0 {
		e.Attempt = 1
	}
	if e.Invocation == "" {
		var id [invocationIDBytes]byte
		putInvocationID(&id, start)
		e.Invocation = string(id[:])
	}
}

// invoke runs the version and checks what it answers, so that whoever called Dispatch sees HTTP.
func (r *Router) invoke(c *invocationContext, k *candidate, e *abi.Event, by Invoker) (*abi.Result, error) {
	defer c.finish()
	var result *abi.Result
	var err error
	if k.payload == registry.PayloadRaw {
		result, err = call(c, k, e, by)
	} else {
		result, err = r.callProxied(c, k, e, by)
	}
	if err != nil || result.Error != "" {
		return result, err
	}
	if result.Streamed { // the rest was checked before it was sent
		if err = checkTrailers(&result.Reply); err != nil {
			return result, r.fail(k.target, e, err)
		}
		return result, nil
	}
	if err = checkReply(&result.Reply, r.config.MaxReplyBytes, e.Method == "HEAD"); err != nil {
		return result, r.fail(k.target, e, err)
	}
	return result, nil
}

// call has an Invoker run the version. The result is never nil.
func call(ctx context.Context, k *candidate, e *abi.Event, by Invoker) (*abi.Result, error) {
	result, err := by.Invoke(ctx, k.version, e)
	if result == nil {
		result = new(abi.Result)
		if err == nil {
			err = abi.WithCode(abi.Internal, errors.New("invoke: no result"))
		}
	}
	return result, err
}

// callProxied puts the payload's shape on the event and takes it off the reply.
func (r *Router) callProxied(ctx context.Context, k *candidate, e *abi.Event, by Invoker) (*abi.Result, error) {
	body := e.Body
	defer func() { e.Body = body }()
	var err error
	if e.Body, err = encodeProxyEvent(k.payload, e, time.Now()); err != nil {
		return new(abi.Result), abi.WithCode(abi.Internal, fmt.Errorf("encode proxy event: %w", err))
	}
	result, err := call(ctx, k, e, by)
	if err != nil || result.Error != "" {
		return result, err
	}
	if err = decodeProxyReply(k.payload, &result.Reply); err != nil {
		return result, r.fail(k.target, e, err)
	}
	return result, nil
}

// fail writes to the function's log why its reply was refused, and answers what the client is told.
func (r *Router) fail(t *target, e *abi.Event, reason error) error {
	if r.config.Sink != nil {
		v := t.version
		r.config.Sink.Write(abi.Line{
			Time: time.Now(), App: v.App, Function: v.Function, Version: v.Number,
			Invocation: string([]byte(e.Invocation)),
			Stream:     abi.StreamPlatform, Level: "ERROR", Message: reason.Error(),
		})
	}
	return abi.WithCode(abi.FunctionFailed, errFailed)
}

// admit counts an invocation in, or refuses it.
func (r *Router) admit(t *target) error {
	if n := r.running.Add(1); n > r.config.MaxConcurrent {
		r.leaveNode()
		r.rejected.node.Inc()
		return abi.WithCode(abi.TooManyRequests, errNodeBusy)
	}
	if r.closed.Load() {
		r.leaveNode()
		r.rejected.draining.Inc()
		return abi.WithCode(abi.Unavailable, errClosed)
	}
	if t.gate.running.Add(1) > t.concurrency {
		t.gate.running.Add(-1)
		r.leaveNode()
		r.rejected.concurrency.Inc()
		return abi.WithCode(abi.TooManyRequests, errFunctionBusy)
	}
	return nil
}

func (r *Router) leave(t *target) {
	t.gate.running.Add(-1)
	r.leaveNode()
}

// leaveNode counts an invocation out, and wakes a Shutdown that waits for the last one.
func (r *Router) leaveNode() {
	if r.running.Add(-1) == 0 && r.draining.Load() {
		select {
		case r.idle <- struct{}{}:
		default:
		}
	}
}

// maySpill says whether an invocation that was refused may run on another node, and counts it then: as many as
// could run here.
func (r *Router) maySpill(refused error) bool {
	if r.config.Spill == nil || abi.CodeOf(refused) != abi.TooManyRequests {
		return false
	}
	if r.spilled.Add(1) > r.config.MaxConcurrent {
		r.spilled.Add(-1)
		return false
	}
	return true
}

// Take runs a version for another node, which has chosen it and given its event the form that the payload asks for.
// It is admitted as any other, and refused rather than sent on. The reply is one that HTTP can carry, as the function
// gave it. Else it is as Dispatch.
func (r *Router) Take(ctx context.Context, call Call, version int) (*abi.Result, error) {
	k, err := r.table.Load().resolve(call.App, call.Function, strconv.Itoa(version))
	if err != nil {
		return new(abi.Result), err
	}
	if err := r.admit(k.target); err != nil {
		return new(abi.Result), err
	}
	defer r.leave(k.target)
	return r.run(ctx, call, k, r.config.Invoker)
}

// Load answers how many invocations run here, and how many may at once.
func (r *Router) Load() (running, capacity int64) { return r.running.Load(), r.config.MaxConcurrent }

// account records an invocation that has ended.
func (r *Router) account(a *access, result *abi.Result, err error) {
	a.took = time.Since(a.time)
	a.status, a.code = outcome(result, err)
	a.start, a.fuel, a.request, a.reply = result.Start, result.Fuel, int64(len(a.event.Body)), int64(len(result.Body))
	if result.Streamed || a.event.More {
		a.countPieces()
	}
	m := a.target.meters(r.metrics)
	m.classes[a.status/100].Inc()
	m.duration.Observe(a.took.Seconds())
	if result.Start == abi.Cold {
		m.coldStarts.Inc()
	}
	if a.request > 0 {
		m.requestBytes.Add(float64(a.request))
	}
	if a.reply > 0 {
		m.replyBytes.Add(float64(a.reply))
	}
	r.access.write(a)
}

// outcome is the status and the code an invocation ends with.
func outcome(result *abi.Result, err error) (int, abi.Code) {
	switch {
	case err != nil:
		code := abi.CodeOf(err)
		if code == abi.TooLarge {
			return abi.FunctionFailed.HTTPStatus(), code // the reply was; a client's body is refused before
		}
		return code.HTTPStatus(), code
	case result.Error != "":
		return abi.FunctionFailed.HTTPStatus(), abi.FunctionFailed
	case result.Status == 0:
		return 200, ""
	}
	return result.Status, ""
}
