package router

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// crockford is the alphabet of invocation ids: no I, L, O or U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// invocationIDBytes is the length of an invocation's id.
const invocationIDBytes = 26

// putInvocationID writes a new invocation id into dst: 48 bits of milliseconds since 1970, then 80 random bits, in
// base32 that sorts by time. The random bits come from the process's seeded ChaCha8 generator: unguessable to
// those who have not seen many, and cheap; an id is a name and not a secret.
// Source: https://github.com/ulid/spec.
func putInvocationID(dst *[invocationIDBytes]byte, now time.Time) {
	ms, a, b := uint64(now.UnixMilli()), rand.Uint64(), rand.Uint64()
	for i := range 10 {
		dst[i] = crockford[ms>>(45-5*i)&31]
	}
	for i := range 8 {
		dst[10+i] = crockford[a>>(5*i)&31]
		dst[18+i] = crockford[b>>(5*i)&31]
	}
}

// invocationContext is the context of one invocation. It has a deadline, and ends with the router's base context
// (forced shutdown), with its caller's, or when the invocation returns. A timer and a channel are made only once
// someone asks for Done: most invocations are over before that.
type invocationContext struct {
	caller   context.Context
	base     context.Context
	deadline time.Time

	mu    sync.Mutex // guards what follows
	armed context.Context
	end   context.CancelFunc
	ended bool
}

var _ context.Context = (*invocationContext)(nil)

func (c *invocationContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *invocationContext) Done() <-chan struct{} { return c.arm().Done() }

// Err never needs the timer: a deadline that has passed is an error whether or not someone waits for it.
func (c *invocationContext) Err() error {
	c.mu.Lock()
	armed, ended := c.armed, c.ended
	c.mu.Unlock()
	switch {
	case armed != nil:
		return armed.Err()
	case ended:
		return context.Canceled
	case c.caller.Err() != nil:
		return c.caller.Err()
	case c.base.Err() != nil:
		return c.base.Err()
	case !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	}
	return nil
}

// Value asks the armed context once there is one, so that contexts made from this one are cancelled through it
// without a goroutine each.
func (c *invocationContext) Value(key any) any {
	c.mu.Lock()
	armed := c.armed
	c.mu.Unlock()
	if armed != nil {
		return armed.Value(key)
	}
	return c.caller.Value(key)
}

func (c *invocationContext) arm() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed != nil {
		return c.armed
	}
	inner, cancel := context.WithDeadline(c.caller, c.deadline)
	c.armed, c.end = inner, cancel
	if c.caller != c.base {
		stop := context.AfterFunc(c.base, cancel)
		c.end = func() { stop(); cancel() }
	}
	if c.ended {
		c.end()
	}
	return c.armed
}

// finish ends the context: the invocation has returned.
func (c *invocationContext) finish() {
	c.mu.Lock()
	c.ended = true
	end := c.end
	c.mu.Unlock()
	if end != nil {
		end()
	}
}
