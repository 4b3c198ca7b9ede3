package host

import (
	"context"
	"fmt"
	"time"

	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/tetratelabs/wazero/api"
)

// asked is what a guest gives to a function that answers: a request, room for the answer, both its own memory, and how
// long it wants to wait, 0 being as long as it may.
type asked struct {
	request, room []byte
	wait          time.Duration
}

// asking is a function that has a request answered by the outside world. Its parameters are the request, room for the
// answer, and how many milliseconds the guest wants to wait, 0 being as long as it may. It answers the answer's length.
// When that is more than there was room for, the answer is kept for answer_read; so is the message of an error, whose
// number, as refuse says, it answers negative. A guest that is ended while it waits has an effect on the world or has
// not, as with a lost connection.
func asking(name string, refuse func(*Call, error) int32,
	f func(ctx context.Context, c *Call, a asked) (answer []byte, err error)) Function {
	return Function{
		Name: name, Params: []api.ValueType{i32, i32, i32, i32, i32}, Results: []api.ValueType{i32},
		run: func(ctx context.Context, c *Call, mem api.Memory, stack []uint64) {
			if c.Phase != Handling && c.Phase != Commanding {
				panic(&Trap{name + ": there is no outside world while the module is initialised"})
			}
			request, room := view(mem, name, stack[0], stack[1]), view(mem, name, stack[2], stack[3])
			wait := time.Duration(api.DecodeU32(stack[4])) * time.Millisecond
			c.answer = nil
			answer, err := f(ctx, c, asked{request, room[:0:len(room)], wait})
			if err != nil {
				stack[0] = api.EncodeI32(-refuse(c, err))
				return
			}
			switch {
			case len(answer) > len(room):
				c.answer = answer
			case len(answer) > 0 && &answer[0] != &room[0]:
				copy(room, answer)
			}
			stack[0] = uint64(len(answer))
		},
	}
}

// await runs f for wait at most, with the guest's lane given to others, and ends the guest when its time is over before
// f has answered.
func (c *Call) await(ctx context.Context, wait time.Duration, f func(ctx context.Context) ([]byte, error)) ([]byte, error) {
	limited, cancel := within(ctx, wait)
	defer cancel()
	if c.Waiter != nil {
		c.Waiter.Waiting()
		defer c.Waiter.Waited()
	}
	answer, err := f(limited)
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		panic(wasip1.ErrInterrupted)
	case limited.Err() != nil:
		return nil, fmt.Errorf("no answer within %v: %w", wait, context.DeadlineExceeded)
	}
	return nil, err
}

// deadlineSlack is how close to the invocation's deadline a guest's own counts as the same: an event tells it in
// whole milliseconds.
const deadlineSlack = 2 * time.Millisecond

// within limits ctx to wait, unless that is later than its own deadline or 0.
func within(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	if wait == 0 {
		return ctx, func() {}
	}
	end := time.Now().Add(wait)
	if deadline, ok := ctx.Deadline(); ok && end.After(deadline.Add(-deadlineSlack)) {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, end)
}
