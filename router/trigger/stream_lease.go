package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// errLost says that a shard has another owner, or that there is none any more.
var errLost = errors.New("the shard is another node's")

// shardLease is the right to handle a shard's changes. It holds as long as the record has the revision.
type shardLease struct {
	stream *Stream
	key    string
	shard  int

	mu       sync.Mutex // guards what follows, also while it is written
	record   shardRecord
	revision uint64
	lost     bool
}

// acquire waits until the shard is free, or its owner has been silent for the length of a lease by this node's clock, and
// takes it. An error is the store's, errNewer, or ctx's.
func (s *Stream) acquire(ctx context.Context, shard int) (*shardLease, error) {
	l := &shardLease{stream: s, key: s.shardKey(s.config.Source.Parallel, shard), shard: shard}
	turn := time.Duration(0)
	if s.config.Turn != nil {
		turn = time.Duration(s.config.Turn(shard)) * 2 * storePause
	}
	for seen := time.Now(); ; {
		item, err := s.config.Store.Get(ctx, op.System, l.key, op.Read{})
		switch {
		case errors.Is(err, op.ErrNotFound):
			if err := s.prepare(ctx); err != nil {
				return nil, err
			}
			if item, err = s.config.Store.Get(ctx, op.System, l.key, op.Read{Consistency: op.Strong}); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		}
		if item.Revision != l.revision {
			l.record, seen = shardRecord{}, time.Now()
			if l.revision = item.Revision; json.Unmarshal(item.Value, &l.record) != nil {
				return nil, fmt.Errorf("read %s: %w", l.key, errShard)
			}
		}
		wait := turn
		if l.record.Owner != "" && l.record.Owner != s.self {
			wait = s.config.Lease + turn
		}
		if time.Since(seen) >= wait && l.write(ctx, func(r *shardRecord) { r.Owner, r.Token = s.self, r.Token+1 }) == nil {
			return l, nil
		}
		if l.lost = false; !pause(ctx, storePause) {
			return nil, ctx.Err()
		}
	}
}

// renew shows that the shard has an owner, three times in a lease, until stop is closed; and how far it has come while
// nothing was to be handled. When the lease is lost it calls lose.
func (l *shardLease) renew(ctx context.Context, stop <-chan struct{}, lose func()) {
	t := time.NewTicker(l.stream.config.Lease / 3)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			if errors.Is(l.write(ctx, func(*shardRecord) {}), errLost) {
				lose()
				return
			}
		}
	}
}

// advance notes how far changes were looked at when none is to be handled. It is written with the next renewal.
func (l *shardLease) advance(p position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record.pass(p)
}

// checkpoint writes how far changes were handled, and tries until it is done. False: the lease is lost, or ctx has ended
// and the last try failed; then the changes come again.
func (l *shardLease) checkpoint(ctx context.Context, p position) bool {
	l.advance(p)
	for {
		last := ctx.Err() != nil
		err := l.write(context.WithoutCancel(ctx), func(*shardRecord) {})
		if err == nil {
			return true
		}
		if last || errors.Is(err, errLost) {
			return false
		}
		l.stream.complain(ctx, "write how far a stream has come", err)
		pause(ctx, storePause)
	}
}

// release gives the shard back.
func (l *shardLease) release(ctx context.Context) {
	if err := l.write(ctx, func(r *shardRecord) { r.Owner = "" }); err != nil && !errors.Is(err, errLost) {
		l.stream.complain(ctx, "give back a shard", err)
	}
}

// settle does what an invocation asks for and notes that the changes before a place are done: all of it, or nothing when
// the lease is lost or something that the invocation has read has changed.
func (l *shardLease) settle(ctx context.Context, e *op.Effects, place position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.lost:
		return errLost
	case l.record.Place.compare(place) >= 0:
		return nil // the entry before, of whose outcome nobody was told, was committed
	}
	next := l.record
	next.pass(place)
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	c := l.stream.config
	err = c.Effects.Commit(ctx, c.App, e, op.Ending{Record: op.Check{Key: l.key, Revision: l.revision}, Becomes: value})
	if err == nil {
		l.record = next
	}
	l.look(ctx, next.Owner) // for the revision; and whether an entry that nobody knows of, this one or one before, was committed
	switch {
	case l.lost && err != nil:
		return errLost
	case l.record.Place.compare(place) >= 0:
		return nil
	}
	return err
}

// write changes the record if the lease holds; if not, it is lost for good and the error errLost.
func (l *shardLease) write(ctx context.Context, change func(*shardRecord)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return errLost
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	before := l.record.Owner
	err := l.commit(ctx, change)
	if errors.Is(err, op.ErrConflict) && l.look(ctx, before) {
		err = l.commit(ctx, change)
	}
	if l.lost {
		return errLost
	}
	return err
}

// commit changes the record if it is as this node knows it. The caller holds mu.
func (l *shardLease) commit(ctx context.Context, change func(*shardRecord)) error {
	next := l.record
	change(&next)
	o, err := setOp(l.key, next)
	if err != nil {
		return err
	}
	result, err := l.stream.config.Store.Commit(ctx, op.Txn{Namespace: op.System,
		Checks: []op.Check{{Key: l.key, Revision: l.revision}}, Ops: []op.Op{o}})
	if err == nil {
		l.record, l.revision = next, result.Revision
	}
	return err
}

// look reads the record again: who has changed it may be this node, which was not told of the outcome. False: it has
// another owner, or cannot be read now. The caller holds mu.
func (l *shardLease) look(ctx context.Context, owner string) bool {
	item, err := l.stream.config.Store.Get(ctx, op.System, l.key, op.Read{Consistency: op.Strong})
	if err != nil && !errors.Is(err, op.ErrNotFound) {
		return false // the next one looks again
	}
	var r shardRecord
	if err != nil || json.Unmarshal(item.Value, &r) != nil || r.Owner != l.stream.self || owner != l.stream.self {
		l.lost = true
		return false
	}
	l.revision = item.Revision
	if r.Place.compare(l.record.Place) > 0 {
		l.record = r
	}
	return true
}
