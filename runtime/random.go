package runtime

import (
	"bytes"
	crand "crypto/rand"
	"encoding/binary"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// The layout of the state of Go's generator in a guest's memory: a block of numbers, a seed, and three counters.
// Source: Go's internal/chacha8rand, State.
const (
	chachaBlock    = 32                   // numbers of a block
	chachaReseeds  = chachaBlock - 4      // numbers of a block whose last become the next seed
	chachaCounters = 8*chachaBlock + 32   // offset of: next number, numbers of the block, place of the block
	chachaBytes    = chachaCounters + 3*4 // of all

	// Behind it, on a boundary of eight bytes, stands the state of the quick generator that select asks.
	// Source: Go's runtime, fields chacha8 and cheaprand of type m.
	quickOffset = (chachaBytes + 7) &^ 7
	quickBytes  = 8
	maxQuick    = 4096 // numbers that the quick generator may draw while the other one is asked

	maxCandidates = 64 // places in memory where the drawn numbers stand that are looked at
)

// locate finds the state of the guest's generator of random numbers: the guest draws some and tells which, and
// they stand one behind the other in the block that the generator has made ahead. It answers 0 when they do not.
// Quick says whether the state of the quick generator stands behind it.
func (b *builder) locate(c *call, i *instance) (at uint32, quick bool) {
	if !b.code.Draws || b.code.Kind != registry.KindSett {
		return 0, false
	}
	for n := 0; n < 3 && at == 0; n++ { // the numbers may straddle two blocks
		at = findState(b.draw(c, i))
	}
	if at == 0 {
		return 0, false
	}
	before, ok := i.memory.Read(at+quickOffset, quickBytes)
	if !ok {
		return at, false
	}
	before = bytes.Clone(before)
	b.draw(c, i)
	after, ok := i.memory.Read(at+quickOffset, quickBytes)
	return at, ok && isQuick(before, after)
}

// draw has the guest draw random numbers, and answers its memory and those it says it drew, if it did.
func (b *builder) draw(c *call, i *instance) (mem []byte, drawn []uint64) {
	c.host.Drawn = nil
	c.host.Phase = host.Drawing
	f := i.call(c, i.module.ExportedFunction(abi.ExportRandom), abi.ExportRandom, nil)
	c.host.Phase = host.Initializing
	if f != nil {
		return nil, nil
	}
	mem, _ = i.memory.Read(0, i.memory.Size()) // all of it: never fails
	return mem, c.host.Drawn
}

// isQuick says whether a state of the quick generator leads to another one in a few draws, as nothing else would by
// chance. Source: Go's runtime, func cheaprand, for 32-bit systems: xorshift64+.
func isQuick(before, after []byte) bool {
	s1, s0 := binary.LittleEndian.Uint32(before), binary.LittleEndian.Uint32(before[4:])
	for range maxQuick {
		s1 ^= s1 << 17
		s0, s1 = s1^s0^s1>>7^s0>>16, s0
		if s1 == binary.LittleEndian.Uint32(after) && s0 == binary.LittleEndian.Uint32(after[4:]) {
			return s0 != 0 || s1 != 0
		}
	}
	return false
}

// findState answers where in memory the state stands that answered drawn last, 0 when there is not exactly one
// such place.
func findState(mem []byte, drawn []uint64) (at uint32) {
	if len(drawn) < host.MinDrawn {
		return 0
	}
	pattern := make([]byte, 0, 8*len(drawn))
	for _, v := range drawn {
		pattern = binary.LittleEndian.AppendUint64(pattern, v)
	}
	found := 0
	for from, n := 0, 0; n < maxCandidates; n++ {
		k := bytes.Index(mem[from:], pattern)
		if k < 0 {
			break
		}
		end := from + k + len(pattern)
		from += k + 1
		for first := 0; first+len(drawn) <= chachaBlock; first++ {
			state := end - 8*(first+len(drawn))
			if state > 0 && state%8 == 0 && state+chachaBytes <= len(mem) &&
				isState(mem[state:], uint32(first+len(drawn))) {
				at = uint32(state)
				found++
			}
		}
	}
	if found != 1 {
		return 0
	}
	return at
}

// isState says whether the counters behind a block are those of a generator that has answered next numbers of it.
func isState(b []byte, next uint32) bool {
	i := binary.LittleEndian.Uint32(b[chachaCounters:])
	n := binary.LittleEndian.Uint32(b[chachaCounters+4:])
	c := binary.LittleEndian.Uint32(b[chachaCounters+8:])
	return i == next && (n == chachaBlock || n == chachaReseeds) && c%4 == 0 && c < 16
}

// drawAnew gives the guest's own generator of random numbers a new state, where the image knows it.
// Source: Go's internal/chacha8rand, State: a block of 32 numbers used up, and a seed for the next.
func (i *instance) drawAnew() {
	if i.image == nil || i.image.random == 0 {
		return
	}
	state, ok := i.memory.Read(i.image.random, chachaBytes)
	if !ok {
		return // cannot be: it was there when the image was taken, and memories do not shrink
	}
	crand.Read(state[:chachaCounters]) // never fails: crypto/rand ends the process instead
	binary.LittleEndian.PutUint32(state[chachaCounters:], chachaBlock)
	binary.LittleEndian.PutUint32(state[chachaCounters+4:], chachaBlock)
	binary.LittleEndian.PutUint32(state[chachaCounters+8:], ^uint32(3))
	if quick, ok := i.memory.Read(i.image.random+quickOffset, quickBytes); ok && i.image.quick {
		crand.Read(quick)
		quick[0] |= 1 // all zeros would stay so
	}
}
