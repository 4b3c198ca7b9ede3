package peer

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults and limits of a Loader.
const (
	// DefaultFetches is how many modules are fetched at once. Higher fills a new node sooner and takes more of the
	// network from invocations.
	DefaultFetches = 4

	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second // the pauses between tries double up to here
)

// Module is a module that a node is to have.
type Module struct {
	Digest    string
	SizeBytes int64
}

// LoaderConfig says how a Loader loads. Fetcher, Modules and Holders are needed.
type LoaderConfig struct {
	Fetcher Fetcher
	Modules Sink
	// Holders answers the living nodes that should have the module, nearest first. It is asked before each try.
	Holders func(digest string) []Node
	// Arrived is told of each module that came, after Missing has forgotten it; nil: nobody is. It may call any method
	// but Close.
	Arrived func(digest string)
	Log     *slog.Logger // default: discards
	Fetches int          // at once; default DefaultFetches
}

// Loader keeps a node's modules as Want says: what is missing it fetches, and tries again until it has it or it is no
// longer wanted. It removes nothing. All its methods may be called concurrently.
type Loader struct {
	config  LoaderConfig
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	room    chan struct{} // a place for each fetch
	group   sync.WaitGroup
	missing atomic.Pointer[map[string]Module]

	mu      sync.Mutex          // guards what follows
	present map[string]bool     // wanted and here
	loads   map[string]*loading // wanted and not here
	again   chan struct{}       // closed by Retry
}

// loading is a module on its way.
type loading struct {
	module   Module
	cancel   context.CancelFunc
	received atomic.Int64
	tries    int   // guarded by Loader.mu, as is err
	err      error // of the last try
}

// Progress says how far a module on its way is.
type Progress struct {
	Module
	ReceivedBytes int64
	Tries         int   // that failed
	Err           error // of the last of them; nil: none has
}

// NewLoader makes a loader that wants nothing yet.
func NewLoader(config LoaderConfig) (*Loader, error) {
	if config.Fetcher == nil || config.Modules == nil || config.Holders == nil {
		return nil, errors.New("open loader: it needs a fetcher, modules and holders")
	}
	if config.Arrived == nil {
		config.Arrived = func(string) {}
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Fetches <= 0 {
		config.Fetches = DefaultFetches
	}
	l := &Loader{
		config: config, room: make(chan struct{}, config.Fetches),
		present: map[string]bool{}, loads: map[string]*loading{}, again: make(chan struct{}),
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.missing.Store(new(map[string]Module))
	return l, nil
}

// Close stops all fetches and waits for their end.
func (l *Loader) Close() {
	l.mu.Lock()
	l.stop()
	l.mu.Unlock()
	l.group.Wait()
}

// Want says which modules this node is to have from now on, and forgets the others. When it returns, Missing is right.
// It looks on the disk once for each module that was not wanted before, and does not wait for fetches.
func (l *Loader) Want(modules []Module) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return
	}
	wanted := make(map[string]bool, len(modules))
	for _, m := range modules {
		wanted[m.Digest] = true
		switch {
		case l.present[m.Digest] || l.loads[m.Digest] != nil:
		case l.config.Modules.Has(m.Digest):
			l.present[m.Digest] = true
		default:
			l.begin(m)
		}
	}
	maps.DeleteFunc(l.present, func(digest string, _ bool) bool { return !wanted[digest] })
	maps.DeleteFunc(l.loads, func(digest string, one *loading) bool {
		if !wanted[digest] {
			one.cancel()
		}
		return !wanted[digest]
	})
	l.publish()
}

// Missing are the wanted modules that are not here, nil when none is missing. It costs a pointer's read; the map is not
// to be changed.
func (l *Loader) Missing() map[string]Module { return *l.missing.Load() }

// Progress tells of each missing module how far it is, in no order.
func (l *Loader) Progress() []Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Progress, 0, len(l.loads))
	for _, one := range l.loads {
		list = append(list, Progress{Module: one.module, ReceivedBytes: one.received.Load(), Tries: one.tries, Err: one.err})
	}
	return list
}

// Retry ends the pauses between tries: there are holders that were not there before.
func (l *Loader) Retry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.again)
	l.again = make(chan struct{})
}

// begin starts the loading of a module. The caller holds mu.
func (l *Loader) begin(m Module) {
	one := &loading{module: m}
	var ctx context.Context
	ctx, one.cancel = context.WithCancel(l.ctx)
	l.loads[m.Digest] = one
	l.group.Go(func() {
		defer one.cancel()
		l.load(ctx, one)
	})
}

// publish makes the snapshot that Missing answers. The caller holds mu.
func (l *Loader) publish() {
	var missing map[string]Module
	if len(l.loads) > 0 {
		missing = make(map[string]Module, len(l.loads))
		for digest, one := range l.loads {
			missing[digest] = one.module
		}
	}
	l.missing.Store(&missing)
}

// load tries until the module is here or ctx ends.
func (l *Loader) load(ctx context.Context, one *loading) {
	for {
		err := l.try(ctx, one)
		if err == nil {
			if l.arrived(one) {
				l.config.Arrived(one.module.Digest)
			}
			return
		}
		if !l.wait(ctx, one, err) {
			return
		}
	}
}

// try fetches the module when there is room.
func (l *Loader) try(ctx context.Context, one *loading) error {
	select {
	case l.room <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.room }()
	m := one.module
	return l.config.Fetcher.Fetch(ctx, FetchRequest{
		Digest: m.Digest, SizeBytes: m.SizeBytes, Holders: l.config.Holders(m.Digest), Received: &one.received,
	}, l.config.Modules)
}

// arrived takes a module off the missing ones. It is false when it was no longer wanted.
func (l *Loader) arrived(one *loading) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	digest := one.module.Digest
	if l.loads[digest] != one {
		return false
	}
	delete(l.loads, digest)
	l.present[digest] = true
	l.publish()
	return true
}

// wait pauses after a try that failed. It is false when the module is no longer wanted.
func (l *Loader) wait(ctx context.Context, one *loading, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	l.mu.Lock()
	one.tries++
	one.err = err
	tries, again := one.tries, l.again
	l.mu.Unlock()
	l.config.Log.Warn("fetch module", "module", one.module.Digest, "tries", tries, "err", err)
	pause := time.NewTimer(jittered(min(lastRetry, firstRetry<<min(tries-1, 10))))
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-again:
	case <-pause.C:
	}
	return true
}
