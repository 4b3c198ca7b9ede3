// Package blob keeps an app's objects: bytes of any size under a key of a bucket. Its main type is Objects. The bytes
// are in chunks, files named by their SHA-256 in a directory of each node; what an object is made of is a record in
// the replicated store.
//
// When Put, Copy or Complete returns without an error, the object's chunks are on the disks of two nodes (of one when
// there is no other) and its record is on those of a majority; whoever opens the object afterwards, on any node, reads
// those bytes or gets an error: every chunk is hashed before any of it is served. An object is replaced, or goes, whole;
// who reads one meanwhile has CollectAfter to finish. Chunks that nothing names go within a day. See GUARANTEES.md.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/op"
)

// The words for objects are package op's.
type (
	Name      = op.ObjectName
	Info      = op.ObjectInfo
	About     = op.ObjectAbout
	Headers   = op.ObjectHeaders
	Body      = op.ObjectBody
	Condition = op.ObjectCondition
	Put       = op.ObjectPut
	Copy      = op.ObjectCopy
	Query     = op.ObjectQuery
	Page      = op.ObjectPage
	Bucket    = op.Bucket
	Quota     = op.ObjectQuota
	Usage     = op.ObjectUsage
	Origin    = op.ObjectOrigin
)

// Limits beside those of package op. Raising one makes records, and so entries of the log, larger.
const (
	ChunkBytes   = 4 << 20 // of a chunk, but for the last of an object or part, which is shorter
	MinPartBytes = 5 << 20 // a part that is not the last one
	MaxParts     = 10000   // parts of an object, which have the numbers 1 to MaxParts

	UploadLife  = 7 * 24 * time.Hour // after which an upload that is not complete is aborted
	EventLife   = 7 * 24 * time.Hour // after which an event that nobody has settled goes
	MaxPutTime  = 6 * time.Hour      // from the first byte of a put or part to its record: later ones are refused
	maxAttempts = 16                 // at a change that others come before; more would only hide a fault
	spreading   = 3                  // chunks of a put that are on their way to the disks while more come
)

// Times of the background work.
const (
	CollectEvery = time.Hour
	// CollectAfter is how long a chunk that nothing names any more stays for those who read it. A chunk that nothing has
	// named yet stays for MaxPutTime and as long again.
	CollectAfter = time.Hour
	ScrubEvery   = 7 * 24 * time.Hour // within which each chunk is hashed once
)

// Errors beside those of package op. They are matched with errors.Is and have codes.
var (
	ErrNoUpload  = errors.New("upload not found") // completed, aborted, or older than UploadLife
	ErrContended = errors.New("others changed it at the same time, again and again")
	ErrTooSmall  = errors.New("part is too small") // of Complete
	ErrPart      = errors.New("part is not there as it is named")
	ErrDigest    = errors.New("body does not have the digest it came with")
	ErrShort     = errors.New("body does not have the size it came with")
	ErrTooSlow   = errors.New("body took longer than 6 hours")
	ErrLost      = errors.New("no node has the chunk whole")
	ErrOldToken  = errors.New("token is not one that a listing answered")
)

// Records keep what objects are. An op.Overlay is some, of one app.
type Records interface {
	GetMany(ctx context.Context, namespace string, keys []string, r op.Read) ([]op.Item, error)
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
}

// Store keeps records. Package kv's Store is one, and so is op.Memory.
type Store interface {
	Records
	Watch(ctx context.Context, namespace, prefix string, after uint64) iter.Seq2[op.Change, error]
}

// Chunk names bytes.
type Chunk struct {
	Digest    string // SHA-256, 64 lower-case hexadecimal digits
	SizeBytes int64  // ChunkBytes at most
}

// Sink takes chunks. Put stores what r holds when that has the digest, and else nothing. Chunks is one.
type Sink interface {
	Has(digest string) bool
	Put(ctx context.Context, digest string, r io.Reader) (int64, error)
}

// Peers are the other nodes. Its methods may be called concurrently.
type Peers interface {
	// Spread returns when another node has the chunk, which is here, on its disk; at once when that has it already, and
	// when there is no other node.
	Spread(ctx context.Context, c Chunk) error
	// Fetch brings a chunk here, from whichever node has it, with the bytes its digest names. It is an error when none
	// does.
	Fetch(ctx context.Context, c Chunk, into Sink) error
}

// Config says what objects are kept with.
type Config struct {
	Dir     string // of this node's chunks; made with mode 0700 when absent; one process at a time
	Store   Store
	Peers   Peers                          // nil: there is no other node, ever
	Heard   func(app, bucket string) bool  // whether a bucket has Bucket.Events whatever is asked for; nil: none has
	Admit   func() error                   // why the disk of Dir takes no more now, with a code; nil: it always does
	Log     *slog.Logger                   // nil: no log
	Metrics prometheus.Registerer          // nil: no metrics; what is registered goes again on Close
	create  func(dir string) (file, error) // of a temporary file; tests fail it
}

// Objects are the objects of all apps. Its methods may be called concurrently. Their errors have codes: NotFound,
// Conflict for a condition that does not hold, InvalidInput, TooLarge, NoSpace over the app's quota and for a full
// disk, Unavailable for a store without a leader and for chunks that no node can give.
type Objects struct {
	store   Store
	peers   Peers
	chunks  *Chunks
	log     *slog.Logger
	metrics *metrics
	heard   func(app, bucket string) bool
	origin  Origin // of changes
	moment  string // an id, of changes that all happen at one moment; empty: each has its own
	*upkeep
}

// upkeep is what the background work remembers.
type upkeep struct {
	background sync.Mutex           // guards what follows; held while a collection runs
	unnamed    map[string]time.Time // chunks here that nothing named when they were first found so
	orphans    map[string]time.Time // the same of ids of segments, with their app
}

// Open opens the objects whose chunks are in cfg.Dir. Nothing runs until Maintain is called.
func Open(cfg Config) (*Objects, error) {
	if cfg.Store == nil {
		return nil, errors.New("open objects: no store")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Heard == nil {
		cfg.Heard = func(string, string) bool { return false }
	}
	if cfg.Peers == nil {
		cfg.Peers = alone{}
	}
	chunks, err := OpenChunks(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open objects: %w", err)
	}
	if cfg.create != nil {
		chunks.create = cfg.create
	}
	if cfg.Admit != nil {
		chunks.admit = cfg.Admit
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("open objects: %w", err)
	}
	return &Objects{store: cfg.Store, peers: cfg.Peers, chunks: chunks, log: cfg.Log, metrics: m, heard: cfg.Heard, upkeep: new(upkeep)}, nil
}

// Over answers the same objects, seen and changed through other records than the store's: those of an invocation whose
// effects happen when it has succeeded, of each object no more than the last event among them. Chunks are written at
// once, and go when no record comes to name them. It is cheap, and needs no Close.
func (o *Objects) Over(r Records) *Objects {
	over := *o
	over.store, over.moment = layered{r, o.store}, newID(time.Now())
	return &over
}

// layered is a store whose records are others'.
type layered struct {
	Records
	under Store
}

// Watch is for Store.
func (l layered) Watch(ctx context.Context, namespace, prefix string, after uint64) iter.Seq2[op.Change, error] {
	return l.under.Watch(ctx, namespace, prefix, after)
}

// Close ends the metrics. Calls that run are not waited for.
func (o *Objects) Close() { o.metrics.unregister() }

// By answers the same objects, of whose changes events tell that an invocation made them. It is cheap, and needs no Close.
func (o *Objects) By(origin Origin) *Objects {
	by := *o
	by.origin = origin
	return &by
}

// Chunks are this node's, for other nodes to take and bring.
func (o *Objects) Chunks() *Chunks { return o.chunks }

// alone are the peers of a node that has none.
type alone struct{}

func (alone) Spread(context.Context, Chunk) error { return nil }

func (alone) Fetch(_ context.Context, c Chunk, _ Sink) error {
	return fmt.Errorf("chunk %s: %w", c.Digest, ErrLost)
}
