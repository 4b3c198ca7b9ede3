package host

import (
	"bytes"
	"context"
	"strconv"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// replyWrite keeps a copy of the reply. The last one written counts.
func replyWrite() Function {
	return Function{
		Name: abi.ImportReplyWrite, Params: []api.ValueType{i32, i32},
		run: func(_ context.Context, c *Call, mem api.Memory, stack []uint64) {
			if c.Phase != Handling {
				panic(&Trap{"reply_write: no event is being handled"})
			}
			if c.Started {
				panic(&Trap{"reply_write: the reply was started, and is sent in pieces"})
			}
			b := view(mem, abi.ImportReplyWrite, stack[0], stack[1])
			if len(b) > c.MaxReplyBytes {
				panic(&Trap{"reply_write: a reply of " + strconv.Itoa(len(b)) + " bytes is over the limit of " +
					strconv.Itoa(c.MaxReplyBytes)})
			}
			c.Reply, c.Replied = bytes.Clone(b), true
		},
	}
}
