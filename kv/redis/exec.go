package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// errWatch says that a watched key has changed.
var errWatch = errors.New("a watched key has changed")

// transaction is what a connection has said about its next EXEC.
type transaction struct {
	open   bool // after MULTI
	broken bool // a command was refused: EXEC does nothing
	queue  []queued
	args   int // in queue
	bytes  int // of them

	watched map[string]uint64 // revisions of watched keys, 0: absent
	lost    bool              // the watched keys are those of an app the connection has left
}

// queued is a command that waits for EXEC.
type queued struct {
	cmd  *command
	args [][]byte
}

func (c *conn) enqueue(cmd *command, args [][]byte) {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	if len(c.tx.queue) == MaxQueued || c.tx.args+len(args) > MaxArgs || c.tx.bytes+size > MaxQueuedBytes {
		c.reject(cmd, errQueueSize)
		return
	}
	c.tx.queue = append(c.tx.queue, queued{cmd, args})
	c.tx.args += len(args)
	c.tx.bytes += size
	c.out.status("QUEUED")
}

func runMulti(_ context.Context, c *conn, _ [][]byte) {
	if c.tx.open {
		c.out.fail(errNested)
		return
	}
	c.tx.open = true
	c.out.ok()
}

func runDiscard(_ context.Context, c *conn, _ [][]byte) {
	if !c.tx.open {
		c.out.fail(errDiscardAlone)
		return
	}
	c.tx = transaction{}
	c.out.ok()
}

func runWatch(ctx context.Context, c *conn, args [][]byte) {
	if c.tx.open {
		c.out.fail(errWatchInside)
		return
	}
	keys, err := keysOf(args[1:])
	if err == nil && len(keys) > op.MaxGets {
		err = errTooManyWatch
	}
	if err != nil {
		c.failRead(err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Timeout)
	defer cancel()
	items, _, err := c.fetch(ctx, look{keys, true, op.Read{Consistency: op.Strong}})
	if err != nil {
		c.failRead(err)
		return
	}
	if err := c.tx.watch(items); err != nil {
		c.failRead(err)
		return
	}
	c.out.ok()
}

// watch remembers the revisions of items. A key that is watched already keeps its own.
func (t *transaction) watch(items []op.Item) error {
	if t.watched == nil {
		t.watched = make(map[string]uint64)
	}
	for _, i := range items {
		if _, already := t.watched[i.Key]; already {
			continue
		}
		if len(t.watched) == op.MaxChecks {
			return errTooManyWatch
		}
		t.watched[i.Key] = i.Revision
	}
	return nil
}

func runUnwatch(_ context.Context, c *conn, _ [][]byte) {
	c.tx.watched, c.tx.lost = nil, false
	c.out.ok()
}

func runExec(ctx context.Context, c *conn, _ [][]byte) {
	tx := c.tx
	if !tx.open {
		c.out.fail(errExecAlone)
		return
	}
	c.tx = transaction{}
	switch {
	case tx.broken:
		c.out.fail(errExecAbort)
	case tx.lost:
		c.out.nullArray()
	default:
		c.execute(ctx, &tx)
	}
}

// execute does the commands of a transaction at one moment, or none of them.
//
// Commands that only write are handed to the store as they are, with the watched revisions as checks. As soon as one
// command depends on what is there, the keys of these commands are read, the commands are done on what was read to
// see what they would write, and this is committed on condition that the keys are still the same; else all is done
// again. So the transaction stands at the moment of its commit, and one that does not write at that of its read.
func (c *conn) execute(ctx context.Context, tx *transaction) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Timeout)
	defer cancel()
	e := newExecution(tx)
	for range MaxAttempts {
		results, err := e.attempt(ctx, c)
		switch {
		case err == nil:
			e.answer(ctx, c, results, start)
		case errors.Is(err, op.ErrConflict) && len(e.needed) > 0:
			continue // if it was a watched key, the next attempt sees it
		case errors.Is(err, op.ErrConflict), errors.Is(err, errWatch):
			c.out.nullArray()
		case ownFault(err) && e.needAll():
			continue
		default:
			c.failWrite(err)
		}
		return
	}
	c.out.fail(errContended)
}

// execution is an EXEC on its way.
type execution struct {
	watched map[string]uint64
	entries []entry
	needed  []string // keys whose items have to be known, ascending
	all     bool     // they are those of all commands
	read    op.Consistency

	items  map[string]op.Item // of needed and watched, as the commands before have left them
	whole  bool               // items were read at one moment
	checks []op.Check
	ops    []op.Op
}

// entry is a command of an execution.
type entry struct {
	queued
	plan    plan
	invalid error // of its arguments: there is no plan

	// What the attempt makes of it.
	err        error // it was seen to fail
	answer     func(w *writer, results []op.OpResult)
	first, end int // of its ops
}

func newExecution(tx *transaction) *execution {
	e := &execution{watched: tx.watched, entries: make([]entry, len(tx.queue))}
	for i, q := range tx.queue {
		n := &e.entries[i]
		n.queued = q
		if q.cmd.plan == nil {
			continue
		}
		if q.cmd.flags&writes != 0 {
			e.read = op.Strong
		}
		if n.plan, n.invalid = q.cmd.plan(q.args); n.invalid != nil {
			continue
		}
		e.needed = append(e.needed, n.plan.keys...)
		for _, check := range n.plan.checks {
			e.needed = append(e.needed, check.Key)
		}
	}
	e.compactNeeded()
	return e
}

func (e *execution) compactNeeded() {
	slices.Sort(e.needed)
	e.needed = slices.Compact(e.needed)
}

// needAll makes the items of all keys needed, after one op failed for what its key holds: Redis does the other
// commands then, so which one it is must be known. It answers false when they were already.
func (e *execution) needAll() bool {
	if e.all {
		return false
	}
	e.all = true
	for i := range e.entries {
		for _, o := range e.entries[i].plan.ops {
			e.needed = append(e.needed, o.Key)
		}
	}
	e.compactNeeded()
	return true
}

// attempt tries to do it once. errWatch and op.ErrConflict say that it did nothing.
func (e *execution) attempt(ctx context.Context, c *conn) ([]op.OpResult, error) {
	e.checks, e.ops, e.items, e.whole = nil, nil, nil, false
	for key, revision := range e.watched {
		e.checks = append(e.checks, op.Check{Key: key, Revision: revision})
	}
	if len(e.needed) > 0 {
		if err := e.fetch(ctx, c); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	for i := 0; i < len(e.entries) && len(e.ops) <= op.MaxOps; i++ {
		e.try(&e.entries[i], now)
	}
	if err := e.tooLarge(); err != nil {
		return nil, err
	}
	if len(e.ops) == 0 && (e.whole || len(e.checks) == 0) {
		return nil, nil // what was read was read at one moment, and the watched keys with it
	}
	return c.commit(ctx, e.checks, e.ops)
}

// fetch reads the needed keys, and the watched ones to see whether they have changed.
func (e *execution) fetch(ctx context.Context, c *conn) error {
	keys := slices.Clone(e.needed)
	for key := range e.watched {
		if _, needed := slices.BinarySearch(e.needed, key); !needed {
			keys = append(keys, key)
		}
	}
	if len(keys) > op.MaxGets {
		return tooLargeFor("looks at and watches %d keys, at most %d are allowed", len(keys), op.MaxGets)
	}
	read := c.session()
	read.Consistency = e.read
	items, parts, err := c.fetch(ctx, look{keys: keys, read: read})
	if err != nil {
		return err
	}
	e.items, e.whole = make(map[string]op.Item, len(items)), parts == 1
	for n, i := range items {
		e.items[i.Key] = i
		switch revision, watched := e.watched[i.Key]; {
		case watched && revision != i.Revision:
			return errWatch
		case n < len(e.needed) && !watched:
			e.checks = append(e.checks, op.Check{Key: i.Key, Revision: i.Revision})
		}
	}
	return nil
}

func tooLargeFor(format string, args ...any) replyError {
	return replyError("EXECABORT Transaction discarded because it " + fmt.Sprintf(format, args...))
}

// tooLarge says which limit of a transaction is passed.
func (e *execution) tooLarge() error {
	s := step{ops: e.ops}
	size := s.sizeBytes()
	for i := range e.checks {
		size += len(e.checks[i].Key)
	}
	switch {
	case len(e.ops) > op.MaxOps:
		return tooLargeFor("makes %d changes, at most %d are allowed", len(e.ops), op.MaxOps)
	case len(e.checks) > op.MaxChecks:
		return tooLargeFor("depends on %d keys, at most %d are allowed", len(e.checks), op.MaxChecks)
	case size > op.MaxTxnBytes:
		return tooLargeFor("has %d bytes, at most %d are allowed", size, op.MaxTxnBytes)
	}
	return nil
}

// try adds an entry's ops, and does them on the items that are known.
func (e *execution) try(n *entry, now time.Time) {
	if n.err = n.invalid; n.err != nil || n.cmd.plan == nil {
		return
	}
	s := n.plan.step
	if n.plan.decide != nil {
		items, size := make([]op.Item, len(n.plan.keys)), 0
		for i, k := range n.plan.keys {
			items[i] = e.items[k]
			size += len(items[i].Value)
		}
		if size > MaxReplyBytes && !n.plan.light { // one key may be asked for many times
			n.err = errReplySize
			return
		}
		s = n.plan.decide(items)
	}
	n.first, n.end, n.answer = len(e.ops), len(e.ops), s.answer
	for _, check := range s.checks {
		if there := e.items[check.Key].Revision != 0; there != (check.Kind == op.IsPresent) {
			n.answer = func(w *writer, _ []op.OpResult) { s.refused(w) }
			return
		}
	}
	for _, o := range s.ops {
		i, known := e.items[o.Key]
		if !known {
			continue
		}
		if i, n.err = after(i, o, now); n.err != nil {
			return // the only op of its command
		}
		e.items[o.Key] = i
	}
	e.ops = append(e.ops, s.ops...)
	n.end = len(e.ops)
}

// after answers what an op makes of an item. An item that it makes has a revision that is not 0 and means nothing.
func after(i op.Item, o op.Op, now time.Time) (op.Item, error) {
	found := i.Revision != 0
	expires := i.Expires
	if o.Kind == op.Set || o.Kind == op.Touch || !found {
		expires = time.Time{}
		if o.TTL != 0 {
			expires = now.Add(o.TTL)
		}
	}
	value := i.Value
	switch o.Kind {
	case op.Delete:
		return op.Item{Key: o.Key}, nil
	case op.Touch:
		if !found {
			return i, nil
		}
	case op.Set:
		value = o.Value
	case op.Append:
		if len(value)+len(o.Value) > op.MaxValueBytes {
			return i, errStringSize
		}
		value = slices.Concat(value, o.Value)
	case op.Incr:
		n, err := int64(0), error(nil)
		if found {
			n, err = op.ParseInteger(value)
		}
		if err == nil {
			n, err = o.Sum(n)
		}
		if err != nil {
			return i, err
		}
		value = op.FormatInteger(n)
	}
	return op.Item{Key: o.Key, Value: value, Revision: 1, Expires: expires}, nil
}

// answer writes the replies of all commands, and does those that have nothing to do with the store.
func (e *execution) answer(ctx context.Context, c *conn, results []op.OpResult, start time.Time) {
	c.out.array(len(e.entries))
	for i := range e.entries {
		n := &e.entries[i]
		c.out.failed = false
		switch {
		case n.err != nil:
			c.failWrite(n.err)
		case n.cmd.plan == nil:
			n.cmd.run(ctx, c, n.args)
		default:
			n.answer(&c.out, results[n.first:n.end])
		}
		n.cmd.count(&c.out, start)
		c.relieve()
	}
	c.out.failed = false
}
