package host

import (
	"context"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// descriptionWrite takes what a module says of itself.
func descriptionWrite() Function {
	return Function{
		Name: abi.ImportDescribe, Params: []api.ValueType{i32, i32},
		run: func(_ context.Context, c *Call, mem api.Memory, stack []uint64) {
			if c.Phase != Describing {
				panic(&Trap{"description_write: nobody asks for a description"})
			}
			d := new(abi.Description)
			if err := abi.DecodeDescription(view(mem, abi.ImportDescribe, stack[0], stack[1]), d); err != nil {
				panic(&Trap{"description_write: " + err.Error()})
			}
			c.Description = d
		},
	}
}
