package host

import (
	"context"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// MaxRecordBytes is how much of a log record is kept. A higher limit lets one line fill a guest's log.
const MaxRecordBytes = 64 << 10

// logWrite hands one structured record to the invocation's log.
func logWrite() Function {
	return Function{
		Name: abi.ImportLogWrite, Params: []api.ValueType{i32, i32, i32},
		run: func(_ context.Context, c *Call, mem api.Memory, stack []uint64) {
			b := view(mem, abi.ImportLogWrite, stack[1], stack[2])
			c.Log(api.DecodeI32(stack[0]), b[:min(len(b), MaxRecordBytes)])
		},
	}
}
