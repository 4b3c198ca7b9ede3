package wasip1

import (
	"encoding/binary"
	"time"
)

// Subscriptions and events. Source: preview1/docs.md, "subscription" and "event".
const (
	subscriptionBytes = 48
	eventBytes        = 32

	eventClock = 0
	eventRead  = 1
	eventWrite = 2

	flagAbsolute = 1 // the timeout is a point of the clock, not a duration
)

// MaxSubscriptions is how many things a guest may wait for at once. A higher limit lets one call look at more
// memory without a check of the deadline.
const MaxSubscriptions = 4096

// pollOneoff waits for the first of several clocks, or for standard streams, which are always ready: all input
// is there, and output never blocks.
func pollOneoff(c *call) errno {
	in, out, count := c.u32(0), c.u32(1), c.u32(2)
	if count == 0 || count > MaxSubscriptions {
		return inval
	}
	subscriptions, ok := c.mem.Read(in, count*subscriptionBytes)
	if !ok {
		return fault
	}
	events, ok := c.mem.Read(out, count*eventBytes)
	if !ok {
		return fault
	}
	// The two arrays may overlap, or the waiting host meet a guest's mischief: read everything first.
	pending := make([]pending, count)
	ready, first := c.p.subscribe(pending, subscriptions)
	if !ready {
		sleep(c, first)
	}
	n := 0
	for i := range pending {
		if s := &pending[i]; s.ready || !ready && s.wait <= first {
			s.write(events[n*eventBytes:])
			n++
		}
	}
	if !c.mem.WriteUint32Le(c.u32(3), uint32(n)) {
		return fault
	}
	return success
}

// pending is one thing waited for.
type pending struct {
	userdata uint64
	kind     byte
	err      errno
	ready    bool // at once
	wait     time.Duration
	bytes    uint64 // that can be read
}

// subscribe fills all from the guest's subscriptions. It answers whether something is ready at once, and else
// how long the first takes.
func (p *Process) subscribe(all []pending, b []byte) (ready bool, first time.Duration) {
	first = 1<<63 - 1
	for i := range all {
		s := &all[i]
		s.read(p, b[i*subscriptionBytes:])
		ready = ready || s.ready
		if !s.ready {
			first = min(first, s.wait)
		}
	}
	return ready, first
}

func (s *pending) read(p *Process, b []byte) {
	s.userdata, s.kind = binary.LittleEndian.Uint64(b), b[8]
	switch s.kind {
	case eventClock:
		s.readClock(p, b)
	case eventRead, eventWrite:
		s.ready = true
		f := p.file(binary.LittleEndian.Uint32(b[16:]))
		switch {
		case f == nil || (f.stream == stdin) != (s.kind == eventRead):
			s.err = badf
		case s.kind == eventRead:
			s.bytes = uint64(len(p.Stdin) - p.read)
		}
	default:
		s.ready, s.err = true, inval
	}
}

func (s *pending) readClock(p *Process, b []byte) {
	now, ok := p.now(binary.LittleEndian.Uint32(b[16:]))
	if !ok {
		s.ready, s.err = true, inval
		return
	}
	timeout := binary.LittleEndian.Uint64(b[24:])
	if binary.LittleEndian.Uint16(b[40:])&flagAbsolute != 0 {
		if uint64(now) >= timeout {
			timeout = 0
		} else {
			timeout -= uint64(now)
		}
	}
	s.wait = time.Duration(min(timeout, 1<<63-1))
	s.ready = s.wait == 0
}

// write writes the event of s: userdata u64, error u16, type u8, bytes u64 at 16, flags u16.
func (s *pending) write(b []byte) {
	clear(b[:eventBytes])
	binary.LittleEndian.PutUint64(b, s.userdata)
	binary.LittleEndian.PutUint16(b[8:], uint16(s.err))
	b[10] = s.kind
	binary.LittleEndian.PutUint64(b[16:], s.bytes)
}

// sleep waits, and ends the guest when the context ends before.
func sleep(c *call, d time.Duration) {
	if w := c.p.Waiter; w != nil {
		w.Waiting()
		defer w.Waited()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
		panic(ErrInterrupted)
	}
}
