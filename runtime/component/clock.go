package component

import (
	crand "crypto/rand"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"time"
)

// clockFunctions are wasi:clocks'. The monotonic clock is the process's, which goes on from that of its image.
// Source: WASI 0.2, wit/deps/clocks.
func clockFunctions() []function {
	return slices.Concat(group("wasi:clocks/monotonic-clock@0.2",
		function{"now", ":l", false, func(c *Call, p []uint64) { p[0] = uint64(c.Process.Now()) }},
		function{"resolution", ":l", false, func(_ *Call, p []uint64) { p[0] = resolution }},
		function{"subscribe-instant", "l:i", false, subscribeInstant},
		function{"subscribe-duration", "l:i", false, subscribeDuration},
	), group("wasi:clocks/wall-clock@0.2",
		function{"now", "i:", false, func(c *Call, p []uint64) { c.putTime(p[0], time.Now()) }},
		function{"resolution", "i:", false, func(c *Call, p []uint64) { c.putTime(p[0], time.Unix(0, resolution)) }},
	), group("wasi:clocks/timezone@0.2",
		function{"display", "lii:", true, func(c *Call, p []uint64) {
			at := c.at(p[2], 4)
			c.put32(at, 0)
			c.putText(at+4, "UTC")
			c.put8(at+12, 0)
		}},
		function{"utc-offset", "li:i", false, func(_ *Call, p []uint64) { p[0] = 0 }},
	))
}

// resolution is in nanoseconds, as wasip1's.
const resolution = 1000

func subscribeInstant(c *Call, p []uint64) {
	now := uint64(c.Process.Now())
	p[0] -= min(p[0], now)
	subscribeDuration(c, p)
}

func subscribeDuration(c *Call, p []uint64) {
	d := time.Duration(min(p[0], math.MaxInt64/2))
	p[0] = uint64(c.own(&pollable{at: time.Now().Add(d)}, 0))
}

// putTime writes a datetime.
func (c *Call) putTime(ret uint64, t time.Time) {
	at := c.at(ret, 8)
	c.put64(at, uint64(t.Unix()))
	c.put32(at+8, uint32(t.Nanosecond()))
}

// MaxRandomBytes is how many random bytes a guest may ask for at once; Web Crypto's limit is the same.
const MaxRandomBytes = 64 << 10

// randomFunctions are wasi:random's. What is called insecure there is as good as the rest.
func randomFunctions() []function {
	return slices.Concat(group("wasi:random/random@0.2",
		function{"get-random-bytes", "li:", true, randomBytes},
		function{"get-random-u64", ":l", false, randomNumber},
	), group("wasi:random/insecure@0.2",
		function{"get-insecure-random-bytes", "li:", true, randomBytes},
		function{"get-insecure-random-u64", ":l", false, randomNumber},
	), group("wasi:random/insecure-seed@0.2",
		function{"insecure-seed", "i:", false, func(c *Call, p []uint64) {
			var seed [1]uint64
			for i := range uint32(2) {
				randomNumber(c, seed[:])
				c.put64(c.at(p[0], 8)+8*i, seed[0])
			}
		}},
	))
}

func (c *Call) random(b []byte) {
	if c.Process.Random == nil {
		crand.Read(b) // never fails: crypto/rand ends the process instead
		return
	}
	if _, err := io.ReadFull(c.Process.Random, b); err != nil {
		panic(err)
	}
}

func randomBytes(c *Call, p []uint64) {
	if p[0] > MaxRandomBytes {
		trap("%d random bytes at once, more than %d", p[0], MaxRandomBytes)
	}
	b := make([]byte, p[0])
	c.random(b)
	c.putBytes(c.at(p[1], 4), b)
}

func randomNumber(c *Call, p []uint64) {
	var b [8]byte
	c.random(b[:])
	p[0] = binary.LittleEndian.Uint64(b[:])
}
