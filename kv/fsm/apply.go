package fsm

import (
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// MaxWriteBytes is what the keys and values of an entry's writes have together at most: the storage must take as much
// at once. A command that would go over it because of those before it in its entry fails with op.ErrUnavailable.
const MaxWriteBytes = maxChangeBytes + MaxCommands*6*recordBytes

const (
	// maxChangeBytes is for what commands change and answer. Any command fits alone: its data and changes have
	// op.MaxTxnBytes each, and the keys in the expiry index, which are its deleted keys, once more.
	maxChangeBytes = 3*op.MaxTxnBytes + op.MaxPreviousBytes + 1<<18
	// maxImageBytes is of values that are read only because changes keep them, for one command.
	maxImageBytes = op.MaxTxnBytes
	recordBytes   = 128 // of a request without results, or of a namespace's usage, or one in a list of them
)

// ErrTooNew is that of a feature level this build does not know. The node must not go on.
var ErrTooNew = errors.New("the group's feature level is from a newer Sett: upgrade this node")

// Applied is what an entry does.
type Applied struct {
	Writes   []Write
	Outcomes []Outcome   // one for each command; none when the entry itself is malformed
	Time     time.Time   // leader time
	Queues   []QueueName // that may have more to receive than before
}

// Apply answers what the entry at index does to the state v, in a build that knows feature levels up to known: Level,
// or less in tests of groups of several builds. Its commands see what those before them did. One that fails changes
// nothing else than that its request is remembered. Entries are applied in the order of their indices.
//
// An error means that the state cannot be read or goes on in a newer Sett: the node stops. Nothing an entry holds
// brings it about but a RaiseLevel.
func Apply(v View, index uint64, entry []byte, known uint8) (Applied, error) {
	p, err := readProgress(v)
	switch {
	case err != nil:
		return Applied{}, fmt.Errorf("apply entry %d: %w", index, err)
	case p.level > known:
		return Applied{}, fmt.Errorf("apply entry %d: level %d: %w", index, p.level, ErrTooNew)
	case index <= p.index:
		return Applied{}, fmt.Errorf("apply entry %d: the state has entry %d already", index, p.index)
	}
	// What is malformed is so on every node: it does nothing, and time goes on.
	now, commands, malformed := decodeEntry(entry)
	if malformed != nil {
		now = time.Unix(0, 0)
	}
	p.index, p.time = index, max(now.UnixNano(), p.time+1) // whatever the leaders' clocks do
	b := batch{view: v, known: known, progress: p, spaces: make(map[string]*space), requests: make(map[string]Outcome), records: newRecords(v)}
	outcomes := make([]Outcome, len(commands))
	for i, c := range commands {
		if outcomes[i], err = b.run(Revision(index, i), c); err != nil {
			return Applied{}, fmt.Errorf("apply entry %d: %w", index, err)
		}
	}
	b.flush()
	b.records.flush(b.write)
	if err := b.flushHistory(); err != nil {
		return Applied{}, fmt.Errorf("apply entry %d: %w", index, err)
	}
	b.write(Write{Key: []byte(progressKey), Value: b.progress.append(nil)})
	return Applied{Writes: b.writes, Outcomes: outcomes, Time: timeOf(b.progress.time), Queues: b.woken}, nil
}

// batch is an entry at work.
type batch struct {
	view     View
	known    uint8 // feature level of the build
	progress progress

	spaces   map[string]*space
	order    []*space           // in which the entry came upon them
	requests map[string]Outcome // that this entry did, by the key of their record
	history  history
	writes   []Write
	bytes    int      // of what its commands change and answer, at most
	records  *records // of queues
	woken    []QueueName
}

func (b *batch) now() int64 { return b.progress.time }

// run does a command, unless it was done before.
func (b *batch) run(revision uint64, encoded []byte) (Outcome, error) {
	if len(encoded) > 0 && encoded[0] > b.progress.level {
		return refusal{fmt.Errorf("a command of feature level %d, the group has %d: %w",
			encoded[0], b.progress.level, op.ErrUnavailable)}.outcome(revision), nil
	}
	c, err := decodeCommand(encoded, b.known)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return refusal{err}.outcome(revision), nil
	}
	if c.Request == (Request{}) {
		return b.do(revision, c)
	}
	key := requestKey(c.Namespace, c.Request)
	outcome, done, err := b.done(key)
	if err != nil || done {
		return outcome, err
	}
	if outcome, err = b.do(revision, c); err == nil {
		b.remember(c, key, outcome)
	}
	return outcome, err
}

// done answers the outcome of a request that was done before.
func (b *batch) done(key []byte) (Outcome, bool, error) {
	if o, found := b.requests[string(key)]; found {
		return o, true, nil
	}
	value, found, err := b.view.Get(key)
	if err != nil || !found {
		return Outcome{}, false, err
	}
	o, err := DecodeOutcome(value)
	if err != nil {
		return Outcome{}, false, fmt.Errorf("request: %w", errDamaged)
	}
	return o, true, nil
}

func (b *batch) write(w Write) { b.writes = append(b.writes, w) }

// do runs a valid command. Only errors of the view, and ErrTooNew, are errors.
func (b *batch) do(revision uint64, c Command) (o Outcome, err error) {
	switch c.Kind {
	case Transact:
		o.Ops, err = b.transact(revision, c)
	case SetQuota:
		err = b.setQuota(c)
	case RaiseLevel:
		if c.Level > b.known {
			return Outcome{}, fmt.Errorf("level %d: %w", c.Level, ErrTooNew)
		}
		b.progress.level = max(b.progress.level, c.Level)
	case KeepPrevious:
		err = b.keepPrevious(c)
	case Queues:
		o.Ops, err = b.doQueues(revision, c)
	case Effects:
		err = b.effects(revision, c)
	case Tick:
		o.Ops, err = b.tick(revision, c.Limit)
	}
	var r refusal
	if errors.As(err, &r) {
		return r.outcome(revision), nil
	}
	o.Revision = revision
	return o, err
}

func (b *batch) keepPrevious(c Command) error {
	s, err := b.space(c.Namespace)
	if err == nil {
		s.keeps = c.Keep
	}
	return err
}

func (b *batch) setQuota(c Command) error {
	s, err := b.space(c.Namespace)
	if err == nil {
		s.usage.Quota = c.Quota
	}
	return err
}
