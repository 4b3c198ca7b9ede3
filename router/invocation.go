package router

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
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
	putULID(dst, now, rand.Uint64(), rand.Uint64())
}

// NewInvocationID answers a new invocation id.
func NewInvocationID(now time.Time) string { return InvocationID(now, rand.Uint64(), rand.Uint64()) }

// InvocationID answers the invocation id of a time and of 80 of the others' bits: the same for the same.
func InvocationID(t time.Time, a, b uint64) string {
	var id [invocationIDBytes]byte
	putULID(&id, t, a, b)
	return string(id[:])
}

func putULID(dst *[invocationIDBytes]byte, t time.Time, a, b uint64) {
	ms := uint64(t.UnixMilli())
	for i := range 10 {
		dst[i] = crockford[ms>>(45-5*i)&31]
	}
	for i := range 8 {
		dst[10+i] = crockford[a>>(5*i)&31]
		dst[18+i] = crockford[b>>(5*i)&31]
	}
}

// invocationContext is the context of one invocation. It has a deadline, and ends with the router's base context
// (forced shutdown), with its caller's, when its client leaves, or when the invocation returns. A timer and a channel
// are made only once someone asks for Done, and only then it cannot be used again for another invocation.
type invocationContext struct {
	caller   context.Context
	base     context.Context
	client   *conn // who waits for it; nil: nobody who could leave
	deadline time.Time

	armed atomic.Pointer[armedContext]
	ended atomic.Bool // set before armed is looked at, as armed is set before this is: one of them sees the other
}

// armedContext is the real context behind an invocationContext.
type armedContext struct {
	context.Context
	end context.CancelFunc
}

var _ context.Context = (*invocationContext)(nil)

// begin makes c the context of an invocation that ends at deadline, or at the caller's if that is earlier.
func (c *invocationContext) begin(caller, base context.Context, deadline time.Time) {
	if caller != base {
		if d, ok := caller.Deadline(); ok && d.Before(deadline) {
			deadline = d
		}
	}
	c.caller, c.base, c.deadline = caller, base, deadline
	c.ended.Store(false)
}

// Deadline is the invocation's.
func (c *invocationContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Done is closed when the invocation has to end.
func (c *invocationContext) Done() <-chan struct{} { return c.arm().Done() }

// Err never needs the timer: a deadline that has passed is an error whether or not someone waits for it.
func (c *invocationContext) Err() error {
	if armed := c.armed.Load(); armed != nil {
		return armed.Err()
	}
	switch {
	case c.ended.Load():
		return context.Canceled
	case c.caller.Err() != nil:
		return c.caller.Err()
	case c.base.Err() != nil:
		return c.base.Err()
	case c.client != nil && c.client.gone.Load():
		return context.Canceled
	case !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	}
	return nil
}

// Value asks the armed context once there is one, so that contexts made from this one are cancelled through it
// without a goroutine each.
func (c *invocationContext) Value(key any) any {
	if armed := c.armed.Load(); armed != nil {
		return armed.Value(key)
	}
	return c.caller.Value(key)
}

// arm answers the real context, made by whoever asks first.
func (c *invocationContext) arm() *armedContext {
	if armed := c.armed.Load(); armed != nil {
		return armed
	}
	inner, cancel := context.WithDeadline(c.caller, c.deadline)
	armed := &armedContext{inner, cancel}
	if c.caller != c.base {
		stop := context.AfterFunc(c.base, cancel)
		armed.end = func() { stop(); cancel() }
	}
	if !c.armed.CompareAndSwap(nil, armed) {
		armed.end()
		return c.armed.Load()
	}
	if c.client != nil {
		c.client.onLeave(cancel)
	}
	if c.ended.Load() {
		armed.end()
	}
	return armed
}

// reusable reports whether a finished context can be used again: nobody waits for it.
func (c *invocationContext) reusable() bool { return c.armed.Load() == nil }

// finish ends the context: the invocation has returned.
func (c *invocationContext) finish() {
	c.ended.Store(true)
	if armed := c.armed.Load(); armed != nil {
		armed.end()
		if c.client != nil {
			c.client.onLeave(nil)
		}
	}
}
