package host

import (
	"context"
	"errors"
	"io"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// Pieces is the client of an invocation whose body is read, or whose reply is sent, in pieces. An error ends the guest with
// itself as its trap; a reader's io.EOF does not.
type Pieces interface {
	io.Reader
	// Start sends the status and the headers of r; its body is not looked at.
	Start(r *abi.Reply) error
	// Write sends the next bytes of the body.
	io.Writer
}

// pieces answers the client, or traps where there is none.
func (c *Call) pieces(name string) Pieces {
	if c.Phase != Handling || c.Pieces == nil {
		panic(&Trap{name + ": no event is being handled"})
	}
	return c.Pieces
}

// bodyRead reads what follows the event's body, and answers how many bytes it has read; 0 is the end.
func bodyRead() Function {
	return Function{
		Name: abi.ImportBodyRead, Params: []api.ValueType{i32, i32}, Results: []api.ValueType{i32},
		run: func(_ context.Context, c *Call, mem api.Memory, stack []uint64) {
			p, b := c.pieces(abi.ImportBodyRead), view(mem, abi.ImportBodyRead, stack[0], stack[1])
			if stack[0] = 0; len(b) == 0 {
				return
			}
			for { // a reader may answer nothing now and then
				n, err := p.Read(b)
				if n > 0 || errors.Is(err, io.EOF) {
					stack[0] = uint64(n)
					return
				}
				if err != nil {
					panic(err)
				}
			}
		},
	}
}

// replyStart sends the reply's status and headers, a message, and its body's beginning if there is one.
func replyStart() Function {
	return Function{
		Name: abi.ImportReplyStart, Params: []api.ValueType{i32, i32},
		run: func(_ context.Context, c *Call, mem api.Memory, stack []uint64) {
			p, r := c.pieces(abi.ImportReplyStart), new(abi.Reply)
			err := abi.DecodeReply(view(mem, abi.ImportReplyStart, stack[0], stack[1]), r)
			if err != nil {
				panic(&Trap{"reply_start: " + err.Error()})
			}
			if r.Error != "" {
				panic(&Trap{"reply_start: a reply that is sent in pieces has no error"})
			}
			if err = p.Start(r); err == nil && len(r.Body) > 0 {
				_, err = p.Write(r.Body)
			}
			if err != nil {
				panic(err)
			}
			c.Started = true
		},
	}
}

// replySend sends the next bytes of a reply that was started.
func replySend() Function {
	return Function{
		Name: abi.ImportReplySend, Params: []api.ValueType{i32, i32},
		run: func(_ context.Context, c *Call, mem api.Memory, stack []uint64) {
			p := c.pieces(abi.ImportReplySend)
			if _, err := p.Write(view(mem, abi.ImportReplySend, stack[0], stack[1])); err != nil {
				panic(err)
			}
		},
	}
}
