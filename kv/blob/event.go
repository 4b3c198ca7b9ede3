package blob

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// What becomes of an object, in S3's words.
const (
	CreatedPut      = "ObjectCreated:Put"
	CreatedCopy     = "ObjectCreated:Copy"
	CreatedComplete = "ObjectCreated:CompleteMultipartUpload"
	RemovedDelete   = "ObjectRemoved:Delete"
)

// MaxEvents is how many events Events answers at most. Those that it answers are in order; when there are more, clocks
// of nodes that differ by more than it takes to make so many can have two of one key change places.
const MaxEvents = 10000

const settled = 100 // events that are settled in one transaction

// Event says what became of an object. It is written in the transaction that did it, for buckets with Bucket.Events,
// and stays until it is settled or EventLife is over.
type Event = op.ObjectEvent

// eventRecord is an Event in the store.
type eventRecord struct {
	Name     string `cbor:"1,keyasint"`
	Bucket   string `cbor:"2,keyasint"`
	Key      string `cbor:"3,keyasint"`
	Size     int64  `cbor:"4,keyasint,omitempty"`
	ETag     string `cbor:"5,keyasint,omitempty"`
	ObjectID string `cbor:"6,keyasint"`
	Time     int64  `cbor:"7,keyasint"`
	Function string `cbor:"8,keyasint,omitempty"` // of the origin
	Depth    int    `cbor:"9,keyasint,omitempty"`
}

// eventOf is the op that tells of an event. Of several of one object that happen at one moment, an invocation's, the last
// one has the id of those before.
func (o *Objects) eventOf(name string, i Info) op.Op {
	now := time.Now()
	r := eventRecord{Name: name, Bucket: i.Bucket, Key: i.Key, Size: i.Size, ETag: i.ETag, ObjectID: i.ID, Time: now.UnixNano(),
		Function: o.origin.Function, Depth: o.origin.Depth}
	if name == RemovedDelete {
		r.Size, r.ETag = 0, ""
	}
	id := newID(now)
	if o.moment != "" {
		sum := sha256.Sum256([]byte(o.moment + objectKey(i.Bucket, i.Key)))
		id = o.moment[:idBytes] + hex.EncodeToString(sum[:idBytes/2])
	}
	return op.Op{Kind: op.Set, Key: eventPrefix + id, Value: encode(r), TTL: EventLife}
}

// Events answers an app's oldest events that nobody has settled, at most MaxEvents, in an order in which those of one
// key are in the order they happened. One reader at a time: whoever reads hands them on and then settles them, so that
// each is handed on once at least.
func (o *Objects) Events(ctx context.Context, app string) (events []Event, err error) {
	if err = op.ValidateApp(app); err == nil {
		events, err = o.events(ctx, app)
	}
	return events, coded("read events", err)
}

// events puts in order what it reads: ids are drawn before the commit, by nodes whose clocks differ.
func (o *Objects) events(ctx context.Context, app string) (events []Event, err error) {
	q := op.Query{Prefix: eventPrefix, Read: op.Read{Consistency: op.Strong}}
	for i, err := range op.All(ctx, o.store, op.ObjectsOf(app), q) {
		if err != nil {
			return nil, err
		}
		e, err := decodeEvent(i)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
		if len(events) == MaxEvents {
			break
		}
	}
	slices.SortStableFunc(events, func(x, y Event) int { return cmp.Compare(x.Sequencer, y.Sequencer) })
	return events, nil
}

func decodeEvent(i op.Item) (Event, error) {
	var r eventRecord
	if err := decode(i.Value, &r); err != nil {
		return Event{}, err
	}
	return Event{Name: r.Name, Bucket: r.Bucket, Key: r.Key, Size: r.Size, ETag: r.ETag, ObjectID: r.ObjectID,
		Time: time.Unix(0, r.Time).UTC(), ID: strings.TrimPrefix(i.Key, eventPrefix), Sequencer: fmt.Sprintf("%016X", i.Revision),
		Origin: Origin{Function: r.Function, Depth: r.Depth}}, nil
}

// Settle takes events away. One that is not there is no error; after an error some are gone.
func (o *Objects) Settle(ctx context.Context, app string, ids ...string) error {
	err := op.ValidateApp(app)
	for part := range slices.Chunk(ids, settled) {
		if err != nil {
			break
		}
		_, err = o.store.Commit(ctx, settleTxn(app, part...))
	}
	return coded("settle events", err)
}

// settleTxn takes up to op.MaxOps events away.
func settleTxn(app string, ids ...string) op.Txn {
	t := op.Txn{Namespace: op.ObjectsOf(app)}
	for _, id := range ids {
		t.Ops = append(t.Ops, op.Op{Kind: op.Delete, Key: eventPrefix + id})
	}
	return t
}

// Happened yields whenever an app may have events that it had not before, until ctx ends. It begins with one, and an
// error ends it, after which Happened is to be called again.
func (o *Objects) Happened(ctx context.Context, app string) iter.Seq2[struct{}, error] {
	changes := o.store.Watch(ctx, op.ObjectsOf(app), eventPrefix, 0)
	return func(yield func(struct{}, error) bool) {
		if !yield(struct{}{}, nil) {
			return
		}
		for c, err := range changes {
			if err == nil && c.Deleted {
				continue
			}
			if !yield(struct{}{}, coded("watch events", err)) {
				return
			}
		}
	}
}
