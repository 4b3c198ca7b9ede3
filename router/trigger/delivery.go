// Package trigger invokes functions for what is not HTTP: schedules, queues, topics and asynchronous invocations. All
// of it ends in Dispatch, the one door, and what may fail is written once: Delivery makes an attempt and says by a
// Policy what becomes of it; Worker takes batches from a Source; Scheduler fires ticks; Async runs a queue of
// invocations. Where they are kept is passed in.
//
// The guarantee of all: an event is handled at least once or ends at its failure destination; its invocation keeps
// its id over all attempts, and the guest sees which attempt it is. A node that stops at any moment loses none.
package trigger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// DefaultDrain is how long invocations may go on when what made them is stopped. Longer delays a node's stop; shorter
// ends invocations, which are tried again elsewhere.
const DefaultDrain = 10 * time.Second

// Dispatcher is the one door to functions. Package router's Router is one.
type Dispatcher interface {
	Dispatch(ctx context.Context, c router.Call) (*abi.Result, error)
}

// Functions answers what is deployed. Package registry's Registry is one.
type Functions interface {
	Snapshot() *registry.Snapshot
}

// Parcel is a message on its way to a destination.
type Parcel struct {
	App         string
	Destination string // queue:NAME, topic:NAME or function:NAME
	Body        []byte // JSON
	Attributes  []op.Attribute
	Depth       int // of a function's invocation: how many functions and destinations led to it
}

// Destinations takes parcels to queues, topics and functions, the latter by an asynchronous invocation. When Send
// returns without an error, the parcel is durable. An error coded abi.NotFound or abi.InvalidInput is final; after any
// other it is sent again.
type Destinations interface {
	Send(ctx context.Context, p Parcel) error
	// Sending answers p as a part of an invocation's effects. Errors are as those of Send.
	Sending(ctx context.Context, p Parcel) (op.Sending, error)
}

// GivenUpFunc is told of invocations that were given up, perhaps twice. Those of the platform's own events it is not told
// of, as it may well put one.
type GivenUpFunc func(ctx context.Context, i *Invocation, o Outcome)

// DeliveryConfig is what a Delivery needs. Dispatcher and Functions are required.
type DeliveryConfig struct {
	Dispatcher   Dispatcher
	Functions    Functions
	Destinations Destinations          // nil: nothing is sent
	GivenUp      GivenUpFunc           // nil: nobody is told
	Region       string                // in events and their ARNs; empty: local
	Drain        time.Duration         // 0: DefaultDrain
	Log          *slog.Logger          // nil: discarded
	Registerer   prometheus.Registerer // nil: metrics are not registered
}

// Delivery makes attempts. Its methods may be called concurrently.
type Delivery struct {
	config  DeliveryConfig
	log     *slog.Logger
	metrics *metrics
}

// NewDelivery answers a Delivery. There is nothing to close.
func NewDelivery(c DeliveryConfig) (*Delivery, error) {
	if c.Region == "" {
		c.Region = "local"
	}
	if c.Drain == 0 {
		c.Drain = DefaultDrain
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, fmt.Errorf("open delivery: %w", err)
	}
	return &Delivery{config: c, log: c.Log, metrics: m}, nil
}

// Invocation is one that is kept until it has succeeded or was given up.
type Invocation struct {
	ID        string `json:"id"`
	App       string `json:"app"`
	Function  string `json:"function"`
	Qualifier string `json:"qualifier,omitempty"`
	Trigger   string `json:"trigger"`
	// Event is what the function is given, but for what the others here say. Nil is POST / with the payload, as JSON.
	Event    *abi.Event `json:"event,omitempty"`
	Payload  []byte     `json:"payload,omitempty"`
	Accepted time.Time  `json:"accepted"`
	Failed   int        `json:"failed"`          // attempts that failed; not left out, so that it takes no room when it grows
	Refused  int        `json:"refused"`         // times it was refused, since the last attempt
	Error    string     `json:"error,omitempty"` // why the last attempt failed, or was refused
	Depth    int        `json:"depth,omitempty"` // functions and destinations that led to it

	quiet bool // it is of an event of the platform's
}

// event is what the function is given.
func (i *Invocation) event() *abi.Event {
	e := abi.Event{
		Method: "POST", Scheme: "http", Proto: "HTTP/1.1", Path: "/",
		Headers: []abi.Field{{Name: "Content-Type", Value: "application/json"}, {Name: "Sett-Trigger", Value: i.Trigger}},
	}
	if i.Event != nil {
		e = *i.Event
	}
	e.Invocation, e.Trigger, e.Attempt, e.Depth, e.Body = i.ID, i.Trigger, i.Failed+1, i.Depth, i.Payload
	return &e
}

// errLoop is why an invocation is not run, or not sent, whose depth is over abi.MaxDepth.
func errLoop() error {
	return abi.WithCode(abi.InvalidInput, fmt.Errorf("over %d functions and destinations led here, which looks like a loop", abi.MaxDepth))
}

// Verdict is what becomes of an invocation after an attempt.
type Verdict int

// Verdicts.
const (
	Succeeded   Verdict = iota + 1
	Again               // after Outcome.Delay
	GivenUp             // Outcome.Condition says why
	Interrupted         // the context ended: nobody knows how it would have; it counts as no attempt
)

// Conditions of an invocation that has ended. Source: AWS Lambda Developer Guide, "Adding a destination".
const (
	ConditionSuccess = "Success"
	ConditionRetries = "RetriesExhausted"
	ConditionAge     = "EventAgeExceeded"
	ConditionGone    = "FunctionNotFound" // ours: Lambda drops such events
)

// Outcome is how an attempt ended.
type Outcome struct {
	Verdict   Verdict
	Delay     time.Duration // of Again
	Condition string        // of Succeeded and GivenUp
	Version   int           // that ran; 0: none did
	Result    *abi.Result   // never nil
	Err       error         // why it failed; its code is Dispatch's, abi.FunctionFailed for the handler's own failure
	Committed bool          // what it asked for has happened, and what caused it is ended
}

// Commit has what an invocation that succeeded asks for happen together with the end of what caused it, all or nothing.
type Commit func(ctx context.Context, o Outcome) error

// Attempt runs an invocation once and says what becomes of it, which it counts in i. One that is too old is not run. When it
// succeeds and asks for effects, commit is called; after a conflict it is tried again, which is no attempt of the
// function's.
func (d *Delivery) Attempt(ctx context.Context, i *Invocation, p Policy, commit Commit) Outcome {
	if p.MaxAge > 0 && time.Since(i.Accepted) > p.MaxAge {
		err := abi.WithCode(abi.Timeout, fmt.Errorf("the event is older than %v", p.MaxAge))
		return d.ended(ctx, i, Outcome{Verdict: GivenUp, Condition: ConditionAge, Result: new(abi.Result), Err: err})
	}
	e := i.event()
	result, err := d.config.Dispatcher.Dispatch(ctx, router.Call{App: i.App, Function: i.Function, Qualifier: i.Qualifier, Event: e})
	if result == nil {
		result = new(abi.Result)
	}
	o := Outcome{Version: e.Version, Result: result, Err: failure(result, err)}
	if o.Err == nil && !result.Effects.Empty() {
		o.Err = d.commit(ctx, o, commit)
		o.Committed = o.Err == nil
	}
	d.judge(ctx, i, p, &o)
	return d.ended(ctx, i, o)
}

// commit has the effects of an invocation that succeeded happen. That something they need is not there, such as a topic,
// is the function's failure: it is not the function that is gone.
func (d *Delivery) commit(ctx context.Context, o Outcome, commit Commit) error {
	o.Verdict, o.Condition = Succeeded, ConditionSuccess
	err := commit(ctx, o)
	if abi.CodeOf(err) == abi.NotFound {
		return abi.WithCode(abi.FunctionFailed, err)
	}
	return err
}

// judge says what becomes of an invocation after an attempt that ended with o.Err.
func (d *Delivery) judge(ctx context.Context, i *Invocation, p Policy, o *Outcome) {
	switch kind := classify(o.Err); {
	case kind == fine:
		o.Verdict, o.Condition = Succeeded, ConditionSuccess
	case ctx.Err() != nil:
		o.Verdict = Interrupted
	case kind == gone:
		o.Verdict, o.Condition = GivenUp, ConditionGone
	case kind == refused:
		i.Refused++
		o.Verdict, o.Delay = Again, backoff(i.Refused, p.Refused, p.MaxRefused)
	case kind == conflicting:
		i.Refused++
		o.Verdict, o.Delay = Again, rand.N(backoff(i.Refused, conflictBackoff, p.MaxRefused))+1
	default:
		i.Failed, i.Refused = i.Failed+1, 0
		o.Verdict, o.Delay = Again, backoff(i.Failed, p.Backoff, p.MaxBackoff)
		if p.Attempts > 0 && i.Failed >= p.Attempts {
			o.Verdict, o.Condition = GivenUp, ConditionRetries
		}
	}
	if o.Err != nil {
		i.Error = shorten(o.Err.Error())
	}
	if o.Verdict == Again && p.MaxAge > 0 && time.Since(i.Accepted)+o.Delay > p.MaxAge {
		o.Verdict, o.Condition = GivenUp, ConditionAge
	}
}

// maxErrorBytes is how much of an error an invocation keeps.
const maxErrorBytes = 300

func shorten(reason string) string {
	if len(reason) <= maxErrorBytes {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxErrorBytes], "") + "..."
}

// ended counts and logs an outcome.
func (d *Delivery) ended(ctx context.Context, i *Invocation, o Outcome) Outcome {
	d.metrics.attempt(i.Trigger, o)
	if o.Verdict == GivenUp {
		d.log.Warn("give up", "app", i.App, "function", i.Function, "invocation", i.ID, "condition", o.Condition, "err", o.Err)
		if d.config.GivenUp != nil && !i.quiet {
			d.config.GivenUp(ctx, i, o)
		}
	}
	return o
}

// failure is why an attempt did not succeed: nil for exit code 0, and for a status of 2xx. What the handler said goes before
// the error beside it, which is for clients and does not tell it.
func failure(r *abi.Result, err error) error {
	switch {
	case r.Error != "":
		return abi.WithCode(cmp.Or(abi.CodeOf(err), abi.FunctionFailed), errors.New(r.Error))
	case err != nil:
		return err
	case r.Status != 0 && r.Status/100 != 2:
		return abi.WithCode(abi.FunctionFailed, fmt.Errorf("the function answered status %d", r.Status))
	}
	return nil
}

// kind is what an error means to an invocation that can wait.
type kind int

const (
	fine        kind = iota
	failed           // the function had its chance
	refused          // it had none
	gone             // and never will
	conflicting      // what it read was changed meanwhile
)

func classify(err error) kind {
	switch abi.CodeOf(err) {
	case "":
		return fine
	case abi.TooManyRequests, abi.Unavailable, abi.NoSpace, abi.Internal:
		return refused
	case abi.NotFound:
		return gone
	case abi.Conflict:
		return conflicting
	}
	return failed
}

// async answers what a function's heaviest live version says of asynchronous invocations; nil: every default.
func (d *Delivery) async(app, function string) *registry.Async {
	f := d.config.Functions.Snapshot().Function(app, function)
	if f == nil {
		return nil
	}
	return f.Live()[0].Settings.Async
}

// linger answers a context that ends the drain time after ctx does, or with cancel.
func (d *Delivery) linger(ctx context.Context) (context.Context, context.CancelFunc) {
	lingering, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(d.config.Drain):
			cancel()
		case <-lingering.Done():
		}
	})
	return lingering, func() {
		stop()
		cancel()
	}
}

// pause waits; it is false when ctx has ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
