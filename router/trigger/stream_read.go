package trigger

import (
	"context"
	"errors"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// shardReader handles the changes of a shard that this node owns.
type shardReader struct {
	stream  *Stream
	lease   *shardLease
	lagging *lag

	at     position // of the changes to be read next
	buffer []item   // that were read and are in no batch yet
}

// work handles changes until ctx ends, or working does since the lease is lost or the drain time is over.
func (r *shardReader) work(ctx, working context.Context) {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(working, cancel)()
	for reading.Err() == nil {
		if err := r.fill(reading); err != nil && reading.Err() == nil {
			r.stream.complain(ctx, "read changes", err)
			pause(reading, storePause)
			continue
		}
		batch := r.take()
		if len(batch) == 0 {
			r.lease.advance(r.at)
			r.lagging.waits(time.Time{})
			continue
		}
		if reading.Err() != nil || !r.handle(reading, working, batch) {
			return
		}
	}
}

// fill reads changes until there are enough for a batch, or there is one and the window is over. Without any it answers
// when the time of a long poll is over.
func (r *shardReader) fill(ctx context.Context) error {
	window := time.Duration(r.stream.config.Source.WindowMS) * time.Millisecond
	wait, deadline := longPoll, time.Now().Add(window)
	for first := true; len(r.buffer) < r.stream.config.Source.BatchSize && r.size() < MaxEventBytes; first = false {
		had := len(r.buffer)
		if had > 0 {
			r.lagging.waits(r.buffer[0].change.Time)
			if wait = time.Until(deadline); wait <= 0 && !first {
				return nil
			}
		}
		more, err := r.read(ctx, max(0, wait))
		if err != nil {
			return err
		}
		if had == 0 && len(r.buffer) > 0 {
			deadline = time.Now().Add(window)
		}
		if len(r.buffer) == 0 && !more {
			return nil
		}
	}
	return nil
}

// size is how many bytes wait to be in a batch.
func (r *shardReader) size() (n int) {
	for i := range r.buffer {
		n += len(r.buffer[i].record)
	}
	return n
}

// take takes a batch off the buffer.
func (r *shardReader) take() (batch []item) {
	n, size := 0, 0
	for n < len(r.buffer) && n < r.stream.config.Source.BatchSize {
		if size += len(r.buffer[n].record) + 1; size+len(`{"Records":[]}`) > MaxEventBytes && n > 0 {
			break
		}
		n++
	}
	batch, r.buffer = r.buffer[:n:n], r.buffer[n:]
	return batch
}

// read puts what comes next into the buffer, and says whether there may be more at once.
func (r *shardReader) read(ctx context.Context, wait time.Duration) (more bool, err error) {
	s := r.stream
	got, err := s.config.Store.Changes(ctx, s.config.App, op.Follow{Prefix: s.config.Source.Prefix, After: r.at.Next - 1, Wait: wait})
	if errors.Is(err, op.ErrCompacted) {
		return true, r.trimmed(ctx)
	}
	if err != nil {
		return false, err
	}
	r.lease.mu.Lock()
	earlier := r.lease.record.Earlier
	r.lease.mu.Unlock()
	for i, n := 0, 0; i < len(got.Changes); i++ {
		c := got.Changes[i]
		if i > 0 && got.Changes[i-1].Revision == c.Revision {
			n++
		} else {
			n = 0
		}
		here := position{Next: c.Revision, Done: n}
		if here.compare(r.at) < 0 || shardOf(c.Key, s.config.Source.Parallel) != r.lease.shard {
			continue
		}
		if len(earlier) > 0 && here.compare(earlier[shardOf(c.Key, len(earlier))]) < 0 {
			continue // it was done when there were so many shards
		}
		if err := r.accept(c, n); err != nil {
			return false, err
		}
	}
	r.at = position{Next: max(r.at.Next, got.Next+1)}
	return got.Next < got.Newest, nil
}

// accept puts a change into the buffer, the n-th of its transaction, if the function wants it.
func (r *shardReader) accept(c op.Change, n int) error {
	s := r.stream
	number := sequence(c.Revision, n)
	record, err := streamRecord(c, number, s.config.Delivery.config.Region, s.arn)
	if err != nil {
		return err
	}
	if !s.matches(record) {
		s.count(messageFiltered, 1)
		return nil
	}
	r.buffer = append(r.buffer, item{change: c, after: position{Next: c.Revision, Done: n + 1}, sequence: number, record: record})
	return nil
}

// trimmed goes on at the oldest change there is.
func (r *shardReader) trimmed(ctx context.Context) error {
	s := r.stream
	oldest, err := s.config.Store.Oldest()
	if err != nil {
		return err
	}
	s.config.Delivery.metrics.trims.WithLabelValues(s.config.App, s.config.Function).Inc()
	s.config.Delivery.log.Warn("changes were forgotten before the function had them", "app", s.config.App, "function", s.config.Function,
		"stream", s.config.Source.ID(), "from", r.at.Next, "to", oldest)
	r.at = position{Next: oldest + 1}
	if len(r.buffer) == 0 && !r.lease.checkpoint(ctx, r.at) {
		return errLost
	}
	return nil
}
