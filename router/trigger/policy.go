package trigger

import (
	"math/rand/v2"
	"time"

	"github.com/sett-run/sett/runtime/registry"
)

// Waits before an asynchronous invocation is tried again. Source: AWS Lambda Developer Guide, "How Lambda handles
// errors and retries with asynchronous invocation".
const (
	asyncBackoff    = time.Minute // after the first failed attempt; then twice as long
	maxAsyncBackoff = 2 * time.Minute
	refusedBackoff  = time.Second // after the first refusal; then twice as long
	maxRefused      = 5 * time.Minute
	conflictBackoff = 20 * time.Millisecond // after the first conflict, at most; then twice as long
)

// Policy says when what failed is tried again, and when it is given up. The zero value tries again at once, for ever.
type Policy struct {
	Attempts   int           // that may fail, the first included; more keep a broken event longer. 0: no limit
	MaxAge     time.Duration // after which nothing is tried any more; 0: no limit
	Backoff    time.Duration // before the second attempt; doubles with each
	MaxBackoff time.Duration // is never passed, but for jitter
	Refused    time.Duration // Backoff of refusals, which are no attempts: the function is busy, or no node can run it
	MaxRefused time.Duration
}

// AsyncPolicy is that of asynchronous invocations, as a function's settings have it; nil is every default.
func AsyncPolicy(a *registry.Async) Policy {
	p := Policy{
		Attempts: registry.MaxRetries + 1, MaxAge: registry.MaxMaxAgeSeconds * time.Second,
		Backoff: asyncBackoff, MaxBackoff: maxAsyncBackoff, Refused: refusedBackoff, MaxRefused: maxRefused,
	}
	if a != nil && a.Retries != nil {
		p.Attempts = *a.Retries + 1
	}
	if a != nil && a.MaxAgeSeconds != 0 {
		p.MaxAge = time.Duration(a.MaxAgeSeconds) * time.Second
	}
	return p
}

// backoff is how long to wait after the nth failure: base, doubled n-1 times, most at most. Up to a tenth is added at
// random, so that what failed together does not come back together.
func backoff(n int, base, most time.Duration) time.Duration {
	d := base
	for ; n > 1 && d < most; n-- {
		d *= 2
	}
	d = min(d, most)
	if d < 10 {
		return max(d, 0)
	}
	return d + rand.N(d/10)
}
