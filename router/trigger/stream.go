package trigger

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Times of a Stream.
const (
	// StreamRetention is how long a change is tried at most: as long as the store keeps changes, at least.
	StreamRetention = time.Hour

	streamBackoff    = time.Second // after the first failed attempt; then twice as long
	maxStreamBackoff = time.Minute
)

// StreamStore is where changes come from, and where it is kept how far they were handled: in namespace op.System.
// Package kv's Store is one.
type StreamStore interface {
	Get(ctx context.Context, namespace, key string, r op.Read) (op.Item, error)
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
	Changes(ctx context.Context, namespace string, f op.Follow) (op.Changes, error)
	Oldest() (uint64, error)
}

// StreamConfig is what a Stream needs. Store, Effects, App, Function and Delivery are required.
type StreamConfig struct {
	Store      StreamStore
	Effects    Effects
	Delivery   *Delivery
	App        string
	Function   string
	Source     registry.StreamSource
	Generation uint64              // of the snapshot that Source is from
	Turn       func(shard int) int // which in the line of nodes this one is for a shard, from 0; nil: the first
	Lease      time.Duration       // how long the owner of a shard may be silent; 0: DefaultLease
}

// Stream gives a function batches of the changes of an app's keys. Each node runs one; the changes are divided into
// shards by their keys, and each shard has one owner in the cluster, by a lease. The owner handles one batch at a time,
// and then writes how far it has come, if the lease still is its own: so those of a key are handled in their order, and
// whoever is the next owner goes on there. A batch whose end was not written comes again.
type Stream struct {
	config  StreamConfig
	filters []*Filter
	arn     string
	self    string // owner of leases: of this Stream, of no other
	maxAge  time.Duration
}

// NewStream answers a Stream that does nothing before Run. An error, coded abi.InvalidInput, is of its filters.
func NewStream(c StreamConfig) (*Stream, error) {
	settings := registry.Settings{Triggers: []registry.Trigger{{Stream: &c.Source}}}.Complete()
	c.Source = *settings.Triggers[0].Stream
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	s := &Stream{config: c, self: router.NewInvocationID(time.Now()), arn: streamARN(c.Delivery.config.Region, c.App, c.Source.ID())}
	var err error
	if s.filters, err = parseFilters(c.Source.Filters); err != nil {
		return nil, fmt.Errorf("stream %s: %w", c.Source.ID(), err)
	}
	s.maxAge = min(time.Duration(c.Source.MaxAgeSeconds)*time.Second, StreamRetention)
	return s, nil
}

// Run works until ctx ends. Then it begins with no batch any more, waits for the function as long as the Delivery's drain
// time says, and gives back what it owns. It is called once.
func (s *Stream) Run(ctx context.Context) {
	lingering, cancel := s.config.Delivery.linger(ctx)
	defer cancel()
	var shards sync.WaitGroup
	for i := range s.config.Source.Parallel {
		shards.Go(func() { s.own(ctx, lingering, i) })
	}
	shards.Wait()
}

// own takes a shard whenever nobody has it and handles its changes, until ctx ends.
func (s *Stream) own(ctx, lingering context.Context, shard int) {
	for ctx.Err() == nil {
		l, err := s.acquire(ctx, shard)
		if err != nil {
			s.complain(ctx, "take a shard", err)
			pause(ctx, storePause)
			continue
		}
		working, lose := context.WithCancel(lingering)
		var renewing sync.WaitGroup
		stop := make(chan struct{})
		renewing.Go(func() { l.renew(working, stop, lose) })
		r := &shardReader{stream: s, lease: l, at: l.record.Place, lagging: s.config.Delivery.metrics.lag.join(s.config.App, s.config.Function)}
		r.work(ctx, working)
		close(stop)
		renewing.Wait()
		lose()
		r.lagging.leave()
		l.release(context.WithoutCancel(ctx))
	}
}

// matches says whether a function wants a record, which is JSON.
func (s *Stream) matches(record []byte) bool {
	return len(s.filters) == 0 || slices.ContainsFunc(s.filters, func(f *Filter) bool { return f.Match(record) })
}

// complain logs an error, unless it is that ctx has ended.
func (s *Stream) complain(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		s.config.Delivery.log.Warn(what, "app", s.config.App, "function", s.config.Function, "stream", s.config.Source.ID(), "err", err)
	}
}

func (s *Stream) count(outcome string, n int) {
	if n > 0 {
		s.config.Delivery.metrics.messages.WithLabelValues(abi.TriggerStream, outcome).Add(float64(n))
	}
}
