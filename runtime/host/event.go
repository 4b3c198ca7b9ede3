package host

import (
	"context"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// eventRead copies the event's first bytes, as many as there is room for, and answers the event's whole length.
// While no event is being handled it copies nothing and answers 0.
func eventRead() Function {
	return Function{
		Name: abi.ImportEventRead, Params: []api.ValueType{i32, i32}, Results: []api.ValueType{i32},
		run: func(_ context.Context, c *Call, mem api.Memory, stack []uint64) {
			if c.Phase != Handling {
				stack[0] = 0
				return
			}
			n := min(uint64(api.DecodeU32(stack[1])), uint64(len(c.Event)))
			copy(view(mem, abi.ImportEventRead, stack[0], n), c.Event)
			stack[0] = uint64(len(c.Event))
		},
	}
}
