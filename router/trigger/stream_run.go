package trigger

import (
	"context"
	"encoding/json"
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

// handle has the function handle a batch, piece by piece in order, and writes after each how far it has come. False:
// ctx or working has ended first, or the lease is lost; what is not written comes again.
func (r *shardReader) handle(ctx, working context.Context, batch []item) bool {
	for pieces := []piece{{items: batch}}; len(pieces) > 0; {
		p := &pieces[0]
		r.lagging.waits(p.items[0].change.Time)
		done, retry := 0, time.Duration(0)
		if n := r.tooOld(p); n > 0 {
			if !r.bury(working, p.items[:n], p, conditionStreamAge) {
				return false
			}
			done = n
		} else {
			i := r.invocation(p)
			p.last = r.stream.config.Delivery.Attempt(working, i, streamPolicy())
			p.refused = i.Refused
			switch o := p.last; {
			case o.Verdict == Succeeded:
				done, retry = r.succeeded(working, p)
			case o.Verdict == Interrupted:
				return false
			case o.Verdict == GivenUp: // the function is gone; its stream goes soon
				retry = maxStreamBackoff
			case i.Refused > 0:
				retry = o.Delay
			default:
				done, retry = r.failed(working, p)
			}
		}
		switch {
		case done < 0:
			return false
		case done > 0:
			if !r.lease.checkpoint(working, r.placeAfter(pieces, done)) {
				return false
			}
			if p.items, p.refused = p.items[done:], 0; len(p.items) == 0 {
				pieces = pieces[1:]
			}
		case retry == 0: // it fails as a whole
			half := len(p.items) / 2
			rest := piece{items: p.items[half:], failed: p.failed}
			p.items = p.items[:half:half]
			pieces = slices.Insert(pieces, 1, rest)
		}
		if retry > 0 && !pause(ctx, r.notTooLong(pieces[0], retry)) {
			return false
		}
	}
	return true
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

// succeeded answers how many of a piece's items are done, when the function has succeeded: all, or those before the first
// that it reports as failed; and how long the others wait.
func (r *shardReader) succeeded(working context.Context, p *piece) (done int, retry time.Duration) {
	done = len(p.items)
	if r.stream.config.Source.ReportItems {
		done = firstFailure(p.items, p.last.Result.Body)
	}
	r.stream.count(messageHandled, done)
	if done == len(p.items) {
		return done, 0
	}
	if done == 0 {
		return r.failed(working, p)
	}
	p.failed = 1
	r.stream.count(messageFailed, len(p.items)-done)
	return done, backoff(p.failed, streamBackoff, maxStreamBackoff)
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

// failed says what becomes of a piece that failed as a whole: all of it is done, since it was given up; or it waits; or,
// when both are 0, it is tried in halves. Below 0: it can not be given up now.
func (r *shardReader) failed(working context.Context, p *piece) (done int, retry time.Duration) {
	source := r.stream.config.Source
	r.stream.count(messageFailed, len(p.items))
	if source.Bisect && len(p.items) > 1 {
		return 0, 0
	}
	if p.failed++; source.Retries == nil || p.failed <= *source.Retries {
		return 0, backoff(p.failed, streamBackoff, maxStreamBackoff)
	}
	if !r.bury(working, p.items, p, conditionStreamRetries) {
		return -1, 0
	}
	return len(p.items), 0
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
		"changes", len(items), "from", items[0].sequence, "to", items[len(items)-1].sequence, "err", p.last.Err)
	return true
}
