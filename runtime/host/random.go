package host

import (
	"context"
	"encoding/binary"
	"strconv"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// How many numbers a guest tells at a time. Fewer than the least could stand in its memory by chance; a block of
// the generator holds no more than the most.
const (
	MinDrawn = 4
	MaxDrawn = 16
)

// randomDrawn takes random numbers that the guest drew one after the other, so that the host finds their generator
// in the guest's memory. They are told with all bits flipped: the guest's copy must not be taken for the generator.
func randomDrawn() Function {
	return Function{
		Name: abi.ImportRandom, Params: []api.ValueType{i32, i32},
		run: func(_ context.Context, c *Call, mem api.Memory, stack []uint64) {
			n := uint64(api.DecodeU32(stack[1]))
			if c.Phase != Drawing || n < MinDrawn || n > MaxDrawn {
				panic(&Trap{"random_drawn: " + strconv.FormatUint(n, 10) + " numbers that nobody asked for"})
			}
			b := view(mem, abi.ImportRandom, stack[0], 8*n)
			c.Drawn = make([]uint64, n)
			for i := range c.Drawn {
				c.Drawn[i] = ^binary.LittleEndian.Uint64(b[8*i:])
			}
		},
	}
}
