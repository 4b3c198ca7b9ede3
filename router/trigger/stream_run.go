package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// piece is a part of a batch that is invoked as one.
type piece struct {
	items   []item
	failed  int // attempts
	refused int // since the last attempt
	last    Outcome
}

// step is what came of a piece.
type step struct {
	done    int           // so many of its items
	written bool          // and that they are
	cut     int           // it is to be tried in two pieces, the first with so many items
	failed  int           // attempts that count for the second
	wait    time.Duration // before it is tried again
	over    bool          // ctx has ended, or the lease is lost; what is not written comes again
}

// handle has the function handle a batch, piece by piece in order, and writes after each how far it has come. False:
// ctx or working has ended first, or the lease is lost; what is not written comes again.
func (r *shardReader) handle(ctx, working context.Context, batch []item) bool {
	for pieces := []piece{{items: batch}}; len(pieces) > 0; {
		p := &pieces[0]
		r.lagging.waits(p.items[0].change.Time)
		s := r.try(working, p, r.placeAfter(pieces, len(p.items)))
		switch {
		case s.over:
			return false
		case s.done > 0:
			if !s.written && !r.lease.checkpoint(working, r.placeAfter(pieces, s.done)) {
				return false
			}
			if p.items, p.refused = p.items[s.done:], 0; len(p.items) == 0 {
				pieces = pieces[1:]
			}
		case s.cut > 0:
			rest := piece{items: p.items[s.cut:], failed: s.failed}
			p.items = p.items[:s.cut:s.cut]
			pieces = slices.Insert(pieces, 1, rest)
		}
		if s.wait > 0 && !pause(ctx, r.notTooLong(pieces[0], s.wait)) {
			return false
		}
	}
	return true
}

// errPartial says that an invocation asks for effects and reports items as failed: as it is not known for which items the
// effects are, none happen.
var errPartial = abi.WithCode(abi.FunctionFailed, errors.New("reports changes as failed"))

// try has the function handle a piece, behind which the place is end.
func (r *shardReader) try(working context.Context, p *piece, end position) step {
	if n := r.tooOld(p); n > 0 {
		return step{done: n, over: !r.bury(working, p.items[:n], p, conditionStreamAge)}
	}
	i := r.invocation(p)
	p.last = r.stream.config.Delivery.Attempt(working, i, streamPolicy(), func(ctx context.Context, o Outcome) error {
		if r.firstFailure(p.items, o) < len(p.items) {
			return errPartial
		}
		return r.lease.settle(ctx, o.Result.Effects, end)
	})
	p.refused = i.Refused
	switch o := p.last; {
	case o.Verdict == Succeeded:
		return r.succeeded(working, p)
	case o.Verdict == Interrupted, errors.Is(o.Err, errLost):
		return step{over: true}
	case o.Verdict == GivenUp: // the function is gone; its stream goes soon
		return step{wait: maxStreamBackoff}
	case i.Refused > 0:
		return step{wait: o.Delay}
	case errors.Is(o.Err, errPartial):
		return r.partial(working, p)
	}
	return r.failed(working, p)
}

// streamPolicy says how long to wait; what becomes of changes that fail is the shardReader's matter.
func streamPolicy() Policy {
	return Policy{Backoff: streamBackoff, MaxBackoff: maxStreamBackoff, Refused: refusedBackoff, MaxRefused: maxRefused}
}

func (r *shardReader) invocation(p *piece) *Invocation {
	s := r.stream
	return &Invocation{ID: streamBatchID(s.config.Function, s.arn, p.items), App: s.config.App, Function: s.config.Function,
		Trigger: abi.TriggerStream, Payload: streamEvent(p.items), Accepted: p.items[0].change.Time, Failed: p.failed, Refused: p.refused}
}

// placeAfter is the place when so many of the first piece's items are done.
func (r *shardReader) placeAfter(pieces []piece, done int) position {
	if len(pieces) == 1 && done == len(pieces[0].items) && len(r.buffer) == 0 {
		return r.at
	}
	return pieces[0].items[done-1].after
}

// tooOld is how many items of a piece are not to be tried, or not again.
func (r *shardReader) tooOld(p *piece) (n int) {
	age := r.stream.maxAge
	if age == 0 {
		if age = StreamRetention; p.failed == 0 {
			return 0 // they have not had their chance
		}
	}
	for n < len(p.items) && time.Since(p.items[n].change.Time) > age {
		n++
	}
	return n
}

// notTooLong shortens a wait so that what gets too old meanwhile does not wait for longer.
func (r *shardReader) notTooLong(p piece, wait time.Duration) time.Duration {
	age := r.stream.maxAge
	if age == 0 {
		age = StreamRetention
	}
	if left := age - time.Since(p.items[0].change.Time); left > 0 {
		return min(wait, left+time.Millisecond)
	}
	return wait
}

// succeeded says what becomes of a piece when the function has succeeded: all of it is done, or what is before the first
// item that it reports as failed.
func (r *shardReader) succeeded(working context.Context, p *piece) step {
	done := r.firstFailure(p.items, p.last)
	r.stream.count(messageHandled, done)
	if done == len(p.items) {
		return step{done: done, written: p.last.Committed}
	}
	if done == 0 {
		return r.failed(working, p)
	}
	p.failed = 1
	r.stream.count(messageFailed, len(p.items)-done)
	return step{done: done, wait: backoff(p.failed, streamBackoff, maxStreamBackoff)}
}

// partial has what is before the first item that was reported as failed handled again, alone, so that its effects happen.
func (r *shardReader) partial(working context.Context, p *piece) step {
	first := r.firstFailure(p.items, p.last)
	if first == 0 {
		return r.failed(working, p)
	}
	r.stream.count(messageFailed, len(p.items)-first)
	return step{cut: first, failed: 1}
}

// firstFailure is the index of the first of a batch's items that has failed; all succeeded: their number.
func (r *shardReader) firstFailure(batch []item, o Outcome) int {
	if !r.stream.config.Source.ReportItems {
		return len(batch)
	}
	return firstFailure(batch, o.Result.Body)
}

// firstFailure is the index of the first item that a reply reports as failed: len(batch) for an empty reply, 0 for one
// that cannot be understood. Source: AWS Lambda Developer Guide, "Configuring partial batch response with DynamoDB and
// Lambda".
func firstFailure(batch []item, reply []byte) int {
	var report struct {
		Failures []struct {
			ID string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if len(reply) == 0 {
		return len(batch)
	}
	if json.Unmarshal(reply, &report) != nil {
		return 0
	}
	first := len(batch)
	for _, f := range report.Failures {
		i := slices.IndexFunc(batch, func(i item) bool { return i.sequence == f.ID })
		if i < 0 {
			return 0
		}
		first = min(first, i)
	}
	return first
}

// failed says what becomes of a piece that failed as a whole: all of it is done, since it was given up; or it waits; or it
// is tried in halves.
func (r *shardReader) failed(working context.Context, p *piece) step {
	source := r.stream.config.Source
	r.stream.count(messageFailed, len(p.items))
	if source.Bisect && len(p.items) > 1 {
		return step{cut: len(p.items) / 2, failed: p.failed}
	}
	if p.failed++; source.Retries == nil || p.failed <= *source.Retries {
		return step{wait: backoff(p.failed, streamBackoff, maxStreamBackoff)}
	}
	return step{done: len(p.items), over: !r.bury(working, p.items, p, conditionStreamRetries)}
}

// bury gives items up and tells the destination. False: ctx has ended first.
func (r *shardReader) bury(ctx context.Context, items []item, p *piece, condition string) bool {
	s := r.stream
	i := r.invocation(&piece{items: items, failed: p.failed})
	i.Payload = nil
	if to := s.config.Source.OnFailure; to != "" {
		body, err := r.failure(items, i, condition, p.last)
		if err != nil {
			s.complain(ctx, "encode record", err)
		}
		for err == nil && !s.config.Delivery.send(ctx, i, Parcel{App: s.config.App, Destination: to, Body: body, Depth: 1}) {
			if !pause(ctx, storePause) {
				return false
			}
		}
	}
	s.config.Delivery.metrics.givenUp.WithLabelValues(abi.TriggerStream, condition).Inc()
	s.count(messageDead, len(items))
	s.config.Delivery.log.Warn("give up changes", "app", s.config.App, "function", s.config.Function, "condition", condition,
		"count", len(items), "from", items[0].sequence, "to", items[len(items)-1].sequence, "err", p.last.Err)
	return true
}
