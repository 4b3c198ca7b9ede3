package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sett-run/sett/sdk/abi"
)

// Kinds of what nodes fetch from each other by its digest.
const (
	KindModule = "modules"
	KindChunk  = "chunks" // of objects
)

// FetchRequest says which module, or chunk, to fetch and where it is.
type FetchRequest struct {
	Kind      string // empty: KindModule
	Digest    string
	SizeBytes int64
	Holders   []Node        // nearest first
	Received  *atomic.Int64 // told how many bytes have come; nil: nobody asks
}

// ErrNoHolder is why a fetch fails when each holder has said that it has not what is fetched, or was of no use.
var ErrNoHolder = errors.New("no holder has it")

// path is where it is at a node.
func (r FetchRequest) path() string { return pathOf(r.Kind, r.Digest) }

func pathOf(kind, digest string) string { return "/" + cmp.Or(kind, KindModule) + "/" + digest }

// Fetch brings a module into the sink, unless it is there. Holders are asked one after the other, each going on where
// the one before broke off; the first is one of the nearest, another one for each node and module. A holder that has
// it not, or delivered wrong bytes, is not asked again; the others are, a few times. While the module is being fetched
// already, Fetch waits for that instead. Errors are coded: abi.Unavailable when no holder could deliver, ErrNoHolder among
// them, abi.Timeout and abi.Unavailable when ctx ended, the sink's own otherwise.
func (c *Client) Fetch(ctx context.Context, r FetchRequest, into Sink) error {
	if !isDigest(r.Digest) {
		return errNoDigest(r.Digest)
	}
	if r.SizeBytes <= 0 {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("fetch module %s: its size is not given", r.Digest))
	}
	for {
		f, mine := c.flights.join(r.path())
		if mine {
			defer c.flights.end(r.path(), f)
			f.givenUp = true // should the sink panic
			f.err = c.fetch(ctx, r, into)
			f.givenUp = ctx.Err() != nil
			return f.err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("fetch module %s: %w", r.Digest, coded(ctx.Err()))
		case <-f.done:
		}
		if f.err == nil || !f.givenUp {
			return f.err
		}
	}
}

// fetch has the sink read the module from its holders, from the beginning again when the bytes were wrong.
func (c *Client) fetch(ctx context.Context, r FetchRequest, into Sink) error {
	if into.Has(r.Digest) {
		return nil
	}
	d := c.newDownload(ctx, r)
	defer d.close()
	for {
		_, err := into.Put(ctx, r.Digest, d)
		switch {
		case err == nil:
			c.metrics.fetches[outcomeOK].Inc()
			return nil
		case ctx.Err() != nil:
			c.metrics.fetches[outcomeCanceled].Inc()
			return fmt.Errorf("fetch module %s: %w", r.Digest, coded(ctx.Err()))
		case errors.Is(d.err, errAgain):
			d.restart()
		case d.err != nil:
			c.metrics.fetches[outcomeFailed].Inc()
			return abi.WithCode(abi.Unavailable, fmt.Errorf("fetch module %s: %w", r.Digest, d.err))
		default:
			c.metrics.fetches[outcomeFailed].Inc()
			return fmt.Errorf("fetch module %s: %w", r.Digest, err)
		}
	}
}

// flights are the fetches under way, at most one a module.
type flights struct {
	mu       sync.Mutex // guards byDigest
	byDigest map[string]*flight
}

type flight struct {
	done    chan struct{} // closed at its end
	err     error         // when done
	givenUp bool          // when done: its caller's context ended, which is no reason for others to give up
}

// join answers the flight that fetches a module, and whether the caller is to make it.
func (f *flights) join(digest string) (*flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byDigest == nil {
		f.byDigest = map[string]*flight{}
	}
	if other := f.byDigest[digest]; other != nil {
		return other, false
	}
	own := &flight{done: make(chan struct{})}
	f.byDigest[digest] = own
	return own, true
}

// end tells those who wait.
func (f *flights) end(digest string, own *flight) {
	f.mu.Lock()
	delete(f.byDigest, digest)
	f.mu.Unlock()
	close(own.done)
}
