package host

import (
	"context"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// answerRead copies the first bytes, as many as there is room for, of what the last call had no room for: its answer,
// or its error's message. It answers the whole length, 0 when nothing is kept.
func answerRead() Function {
	return Function{
		Name: abi.ImportAnswerRead, Params: []api.ValueType{i32, i32}, Results: []api.ValueType{i32},
		run: func(_ context.Context, c *Call, mem api.Memory, stack []uint64) {
			n := min(uint64(api.DecodeU32(stack[1])), uint64(len(c.answer)))
			copy(view(mem, abi.ImportAnswerRead, stack[0], n), c.answer)
			stack[0] = uint64(len(c.answer))
		},
	}
}
