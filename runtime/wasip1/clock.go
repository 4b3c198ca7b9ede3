package wasip1

import (
	"time"
)

// Clocks. Source: preview1/docs.md, "clockid".
const (
	clockRealtime  = 0
	clockMonotonic = 1
	clockProcess   = 2 // time of the processor: here the same as monotonic
	clockThread    = 3

	resolution = 1000 // nanoseconds, what the platforms we run on can promise
)

// monotonicStart is the least that the monotonic clock shows when the process starts. Go's runtime refuses zero.
const monotonicStart = time.Second

func clockResGet(c *call) errno {
	if c.u32(0) > clockThread {
		return inval
	}
	if !c.mem.WriteUint64Le(c.u32(1), resolution) {
		return fault
	}
	return success
}

func clockTimeGet(c *call) errno {
	now, ok := c.p.now(c.u32(0))
	if !ok {
		return inval
	}
	if !c.mem.WriteUint64Le(c.u32(2), uint64(now)) {
		return fault
	}
	return success
}

// now reads a clock, in nanoseconds; ok is false for an unknown one.
func (p *Process) now(clock uint32) (ns int64, ok bool) {
	switch clock {
	case clockRealtime:
		return time.Now().UnixNano(), true
	case clockMonotonic, clockProcess, clockThread:
		return int64(p.Now()), true
	}
	return 0, false
}

// Now is what the monotonic clock shows. A process that goes on from where another's memory was kept must not see
// less than that one did.
func (p *Process) Now() time.Duration {
	return time.Since(p.Started) + max(p.Monotonic, monotonicStart)
}
