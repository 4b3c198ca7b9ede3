package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of a Worker.
const (
	// MaxEventBytes is what a batch's event has at most; one with more is invoked in halves.
	MaxEventBytes = registry.DefaultBodyBytes
	// MaxWaitingBytes is how many bytes of messages may wait for a batch to be full.
	MaxWaitingBytes = MaxEventBytes

	maxConflicts    = 10
	queueBackoff    = 5 * time.Second // before a queue's message comes again, doubled with each receive
	maxQueueBackoff = 5 * time.Minute // and the most, for a queue with a long visibility timeout
)

// Worker gives a function batches of a Source's messages. It waits for them by long polling, and asks again at once as
// long as there are some. Messages are acknowledged when the function has handled them. Those that it failed come again
// after a while; how often is the queue's matter, or a topic's subscription's Policy. When the function is busy the
// batch waits here, which is no attempt.
type Worker struct {
	source      Source
	delivery    *Delivery
	invocation  Invocation // of a batch, what all have in common
	name        string     // of the queue or topic
	encode      func(batch []op.Message) ([]byte, error)
	filters     []*Filter // of a queue: what matches none is dropped; none: all match
	policy      func() Policy
	depth       func(m op.Message) int // of a batch's first; nil: 0
	backoff     time.Duration          // before what failed comes again, at most
	lease       time.Duration          // how long what was received is invisible when nobody holds it any more
	batch       int
	window      time.Duration
	slots       int
	reportItems bool
	each        bool   // messages are invoked one by one, and what is given up goes to the dead letters
	deadLetter  string // destination; empty: none
}

// WorkerConfig is what a Worker needs.
type WorkerConfig struct {
	App      string
	Function string
	Source   Source
	Delivery *Delivery
	Slots    int // batches at once on this node; 0: the trigger's, else registry.DefaultConcurrency
	// Visibility is the queue's visibility timeout. What a function failed comes again after it at the latest, and so
	// does what a node had that was killed: a short one makes up for a crash sooner, and has messages come twice when the
	// store has no leader for as long. 0 is a long one.
	Visibility time.Duration
}

// NewQueueWorker answers the worker of a function's queue. An error, coded abi.InvalidInput, is of its filters.
func NewQueueWorker(c WorkerConfig, q registry.QueueSource) (*Worker, error) {
	filters, err := parseFilters(q.Filters)
	if err != nil {
		return nil, fmt.Errorf("queue %s: %w", q.Queue, err)
	}
	w := newWorker(c, abi.TriggerQueue, q.Queue)
	w.encode = func(batch []op.Message) ([]byte, error) { return queueEvent(batch, c.Delivery.config.Region, q.Queue) }
	w.filters = filters
	w.policy = func() Policy {
		return Policy{Backoff: queueBackoff, MaxBackoff: w.backoff, Refused: refusedBackoff, MaxRefused: maxRefused}
	}
	w.batch, w.window, w.reportItems = q.BatchSize, time.Duration(q.WindowMS)*time.Millisecond, q.ReportItems
	if w.batch == 0 {
		w.batch = registry.DefaultBatch
	}
	if c.Slots == 0 && q.Concurrency > 0 {
		w.slots = q.Concurrency
	}
	return w, nil
}

// NewTopicWorker answers the worker of a function's subscription, whose messages Source has: those that its filter lets
// by. Each is invoked alone, and tried again as the function's asynchronous invocations are; then it goes to the dead
// letters.
func NewTopicWorker(c WorkerConfig, t registry.TopicSource) *Worker {
	w := newEachWorker(c, abi.TriggerTopic, t.Topic, t.DeadLetter)
	w.encode = func(batch []op.Message) ([]byte, error) {
		return topicEvent(batch[0], c.Delivery.config.Region, t.Topic, c.Function)
	}
	return w
}

func newWorker(c WorkerConfig, trigger, name string) *Worker {
	w := &Worker{source: c.Source, delivery: c.Delivery, name: name, slots: c.Slots, backoff: maxQueueBackoff, lease: visibility}
	if c.Visibility > 0 {
		w.backoff, w.lease = min(w.backoff, c.Visibility), min(w.lease, c.Visibility)
	}
	w.invocation = Invocation{App: c.App, Function: c.Function, Trigger: trigger}
	if w.slots == 0 {
		w.slots = registry.DefaultConcurrency
	}
	return w
}

// newEachWorker answers the worker of messages that are invoked one by one and tried again as the function's asynchronous
// invocations are. Who gave them has looked whether they match.
func newEachWorker(c WorkerConfig, trigger, name, deadLetter string) *Worker {
	w := newWorker(c, trigger, name)
	w.policy = func() Policy { return AsyncPolicy(c.Delivery.async(c.App, c.Function)) }
	w.batch, w.each = 1, true
	if deadLetter != "" {
		w.deadLetter = registry.DestinationQueue + ":" + deadLetter
	}
	return w
}

// Run works until ctx ends. Then it receives no more, gives back what it has not begun with, and waits for the function
// as long as the Delivery's drain time says. It is called once.
func (w *Worker) Run(ctx context.Context) {
	lingering, cancel := w.delivery.linger(ctx)
	defer cancel()
	slots := make(chan struct{}, w.slots)
	var runs sync.WaitGroup
	defer runs.Wait()
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		if ctx.Err() != nil {
			return
		}
		batch, release := w.collect(ctx, lingering)
		if len(batch) == 0 {
			release()
			<-slots
			continue
		}
		runs.Go(func() {
			defer func() { <-slots }()
			w.handle(ctx, lingering, batch, release)
		})
	}
}

// collect receives a batch: what is there, or with a window what comes until it is over or the batch is full. Messages
// that match no filter are dropped. What it answers is held until release.
func (w *Worker) collect(ctx, lingering context.Context) (batch []op.Message, release func()) {
	var holds []func()
	release = func() {
		for _, r := range holds {
			r()
		}
	}
	var deadline time.Time
	wait, size := longPoll, 0
	for len(batch) < w.batch && size < MaxWaitingBytes {
		got := receive(ctx, w.delivery, w.source, op.Receive{Max: w.batch - len(batch), Wait: wait, Visibility: w.lease})
		if len(got) == 0 && len(batch) == 0 {
			return nil, release
		}
		var dropped op.Settlement
		if got, dropped.Delete = w.filter(got); len(got) > 0 {
			holds = append(holds, w.delivery.hold(lingering, w.source, got, w.lease))
			batch = append(batch, got...)
		}
		w.delivery.settle(lingering, w.source, dropped)
		for _, m := range got {
			size += op.Outgoing{Body: m.Body, Attributes: m.Attributes}.Bytes()
		}
		if w.window == 0 && len(batch) > 0 || ctx.Err() != nil {
			break
		}
		if deadline.IsZero() && len(batch) > 0 {
			deadline = time.Now().Add(w.window)
		}
		if !deadline.IsZero() {
			if wait = min(longPoll, time.Until(deadline)); wait <= 0 {
				break
			}
		}
	}
	return batch, release
}

// filter answers the messages that match, and the receipts of the others.
func (w *Worker) filter(messages []op.Message) (matching []op.Message, others []string) {
	for _, m := range messages {
		if len(w.filters) == 0 || slices.ContainsFunc(w.filters, func(f *Filter) bool { return f.matchesQueue(m) }) {
			matching = append(matching, m)
		} else {
			others = append(others, m.Receipt)
		}
	}
	w.count(messageFiltered, len(others))
	return matching, others
}

func (w *Worker) count(outcome string, n int) {
	if n > 0 {
		w.delivery.metrics.messages.WithLabelValues(w.invocation.Trigger, outcome).Add(float64(n))
	}
}

// handle invokes the function with a batch and settles it. Ctx ends when no more is to be begun.
func (w *Worker) handle(ctx, lingering context.Context, batch []op.Message, release func()) {
	s, _ := w.invoke(ctx, lingering, batch)
	release()
	w.delivery.settle(lingering, w.source, s)
}

// invoke makes an attempt, or if the event is too long several, and answers what becomes of the messages, and which of them
// come again, those included that are settled already since the function asked for effects.
func (w *Worker) invoke(ctx, lingering context.Context, batch []op.Message) (s op.Settlement, again []op.Release) {
	event, err := w.encode(batch)
	if err != nil {
		w.delivery.log.Error("encode messages", "app", w.invocation.App, "function", w.invocation.Function, "err", err)
		if w.each { // it will be no other next time
			i := w.begin(batch)
			i.Payload = batch[0].Body
			s = w.settlement(lingering, batch, &i, Outcome{Verdict: GivenUp, Condition: ConditionRetries, Result: new(abi.Result), Err: err})
			return s, s.Release
		}
		s = w.again(batch, maxQueueBackoff)
		return s, s.Release
	}
	if len(event) > MaxEventBytes && len(batch) > 1 {
		return w.halves(ctx, lingering, batch)
	}
	i := w.begin(batch)
	i.Payload, i.Failed = event, receives(batch)-1
	i.quiet = i.Trigger == abi.TriggerEvent && isPlatform(batch[0].Body)
	policy := w.policy()
	if i.Depth > abi.MaxDepth {
		i.Depth = abi.MaxDepth - 1 // the function's destination hears of it still
		o := Outcome{Verdict: GivenUp, Condition: ConditionRetries, Result: new(abi.Result), Err: errLoop()}
		s = w.settlement(lingering, batch, &i, w.delivery.ended(lingering, &i, o))
		return s, s.Release
	}
	o := Outcome{Verdict: Interrupted}
	for ctx.Err() == nil {
		o = w.delivery.Attempt(lingering, &i, policy, func(ctx context.Context, o Outcome) error {
			s = w.succeeded(batch, o)
			return w.commit(ctx, &i, o, s)
		})
		if o.Committed {
			w.countSettled(s)
			return op.Settlement{}, s.Release
		}
		if o.Verdict != Again || i.Refused == 0 || i.Refused > maxConflicts && abi.CodeOf(o.Err) == abi.Conflict || !pause(ctx, o.Delay) {
			break // after many conflicts the messages may be another's
		}
	}
	s = w.settlement(lingering, batch, &i, o)
	return s, s.Release
}

// halves invokes a batch whose event is too long in two. What is of a FIFO group of which something comes again waits behind
// that, as when the batch is invoked whole.
func (w *Worker) halves(ctx, lingering context.Context, batch []op.Message) (s op.Settlement, again []op.Release) {
	half := len(batch) / 2
	s, again = w.invoke(ctx, lingering, batch[:half])
	delays, behind := map[string]time.Duration{}, map[string]time.Duration{} // by receipt, and by group
	for _, r := range again {
		delays[r.Receipt] = r.Delay
	}
	for _, m := range batch[:half] {
		if delay, comes := delays[m.Receipt]; comes && m.Group != "" {
			behind[m.Group] = max(behind[m.Group], delay)
		}
	}
	var rest []op.Message
	for _, m := range batch[half:] {
		if delay, waits := behind[m.Group]; waits {
			r := op.Release{Receipt: m.Receipt, Delay: delay}
			s.Release, again = append(s.Release, r), append(again, r)
		} else {
			rest = append(rest, m)
		}
	}
	if len(rest) > 0 {
		more, later := w.invoke(ctx, lingering, rest)
		s.Delete, s.Release = slices.Concat(s.Delete, more.Delete), slices.Concat(s.Release, more.Release)
		again = slices.Concat(again, later)
	}
	return s, again
}

// begin answers a batch's invocation, without its payload.
func (w *Worker) begin(batch []op.Message) Invocation {
	i := w.invocation
	i.ID, i.Accepted = batchID(w.name, batch), batch[0].Sent
	if w.depth != nil {
		i.Depth = w.depth(batch[0])
	}
	return i
}

// receives is how often the message that was received most often was.
func receives(batch []op.Message) int {
	most := 1
	for _, m := range batch {
		most = max(most, m.Receives)
	}
	return most
}

// commit has what an invocation asks for happen together with the end of its messages, and with the record for its
// destination when they are invoked one by one.
func (w *Worker) commit(ctx context.Context, i *Invocation, o Outcome, s op.Settlement) error {
	commit := func(e op.Effects) error { return w.source.Commit(ctx, e, s) }
	if !w.each {
		return commit(*o.Result.Effects)
	}
	return w.delivery.commitWithRecord(ctx, i, o, w.delivery.async(i.App, i.Function), commit)
}

// settlement says what becomes of a batch. When a message that was invoked alone has ended, its destination and the dead
// letters are told first.
func (w *Worker) settlement(ctx context.Context, batch []op.Message, i *Invocation, o Outcome) op.Settlement {
	if w.each {
		w.delivery.report(ctx, i, &o, w.delivery.async(i.App, i.Function))
		w.bury(ctx, batch[0], i, &o)
	}
	switch {
	case o.Verdict == GivenUp && w.each:
		w.count(messageDead, len(batch))
		return op.Settlement{Delete: receipts(batch)}
	case o.Verdict == Succeeded:
		s := w.succeeded(batch, o)
		w.countSettled(s)
		return s
	case o.Verdict == Again && abi.CodeOf(o.Err) == abi.Conflict:
		return w.again(batch, o.Delay)
	case o.Verdict == Interrupted || o.Verdict == Again && i.Refused > 0:
		return w.again(batch, 0)
	case o.Verdict == GivenUp:
		o.Delay = maxQueueBackoff // the function is gone; the queue keeps its messages
	}
	w.count(messageFailed, len(batch))
	return w.again(batch, o.Delay)
}

// succeeded says what becomes of a batch when the function has succeeded.
func (w *Worker) succeeded(batch []op.Message, o Outcome) op.Settlement {
	if w.reportItems {
		return w.partial(batch, o.Result.Body)
	}
	return op.Settlement{Delete: receipts(batch)}
}

// countSettled counts the messages of a batch that has succeeded, or parts of which have.
func (w *Worker) countSettled(s op.Settlement) {
	w.count(messageHandled, len(s.Delete))
	w.count(messageFailed, len(s.Release))
}

func receipts(batch []op.Message) []string {
	all := make([]string, len(batch))
	for i, m := range batch {
		all[i] = m.Receipt
	}
	return all
}

// again has all messages come again.
func (w *Worker) again(batch []op.Message, delay time.Duration) (s op.Settlement) {
	for _, m := range batch {
		s.Release = append(s.Release, op.Release{Receipt: m.Receipt, Delay: delay})
	}
	return s
}

// bury sends a message that is given up to the dead letters until it is there; when ctx ends before, the attempt counts as
// interrupted.
func (w *Worker) bury(ctx context.Context, m op.Message, i *Invocation, o *Outcome) {
	if o.Verdict != GivenUp || w.deadLetter == "" {
		return
	}
	for !w.delivery.send(ctx, i, Parcel{App: i.App, Destination: w.deadLetter, Body: m.Body, Attributes: m.Attributes}) {
		if !pause(ctx, storePause) {
			o.Verdict = Interrupted
			return
		}
	}
}

// partial reads which messages the function reports as failed: none for an empty reply, all for one that cannot be
// understood. Source: AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda", section
// "Implementing partial batch responses".
func (w *Worker) partial(batch []op.Message, reply []byte) op.Settlement {
	var report struct {
		Failures []struct {
			ID string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	known, failed := map[string]bool{}, map[string]bool{}
	for _, m := range batch {
		known[m.ID] = true
	}
	understood := len(reply) == 0 || json.Unmarshal(reply, &report) == nil
	for _, f := range report.Failures {
		understood = understood && known[f.ID]
		failed[f.ID] = true
	}
	var s op.Settlement
	var broken []op.Message
	for _, m := range batch {
		if failed[m.ID] || !understood {
			broken = append(broken, m)
		} else {
			s.Delete = append(s.Delete, m.Receipt)
		}
	}
	s.Release = w.later(broken).Release
	return s
}

// later has messages come again, each after the longer the more often it was received. Those that were received as often
// come together.
func (w *Worker) later(messages []op.Message) (s op.Settlement) {
	delays := map[int]time.Duration{}
	for _, m := range messages {
		delay, known := delays[m.Receives]
		if !known {
			delay = backoff(m.Receives, queueBackoff, w.backoff)
			delays[m.Receives] = delay
		}
		s.Release = append(s.Release, op.Release{Receipt: m.Receipt, Delay: delay})
	}
	return s
}
