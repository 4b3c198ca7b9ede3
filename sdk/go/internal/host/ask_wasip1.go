package host

import (
	"context"
	"errors"
	"math"
	"time"
	"unsafe"

	"github.com/sett-run/sett/kv/op"
)

//go:wasmimport sett answer_read
func answerRead(ptr unsafe.Pointer, n uint32) uint32

// answerRoom is how long an answer may be that takes one call. A value that is kept keeps this much memory.
const answerRoom = 512

// hostCall is a call of the host with a request, and room for the answer.
type hostCall func(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

// ask makes one call and answers its answer, which the caller owns. Kind says what the numbers of its errors mean.
func ask(ctx context.Context, kind func(int32) error, request []byte, call hostCall) ([]byte, error) {
	return askInto(ctx, make([]byte, answerRoom), kind, request, call)
}

// askInto is ask with room for the answer, which the answer is part of when it fits.
func askInto(ctx context.Context, room []byte, kind func(int32) error, request []byte, call hostCall) ([]byte, error) {
	timeout, err := timeout(ctx)
	if err != nil {
		return nil, err
	}
	n := call(unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)), unsafe.Pointer(unsafe.SliceData(room)), uint32(len(room)), timeout)
	if n < 0 {
		return nil, &CallError{Message: string(kept(room)), Kind: kind(-n)}
	}
	if int(n) > len(room) {
		return kept(nil), nil
	}
	return room[:n], nil
}

// kept reads what the last call had no room for, into room when that is enough.
func kept(room []byte) []byte {
	n := int(answerRead(unsafe.Pointer(unsafe.SliceData(room)), uint32(len(room))))
	if n > len(room) {
		room = make([]byte, n)
		answerRead(unsafe.Pointer(unsafe.SliceData(room)), uint32(n))
	}
	return room[:n]
}

// timeout is how many milliseconds are left until ctx ends, rounded up; 0: it does not end by itself. It looks at the
// clock, since a timer has no chance to end ctx while the instance waits for the host.
func timeout(ctx context.Context) (uint32, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0, nil
	}
	left := time.Until(deadline)
	if left <= 0 {
		return 0, context.DeadlineExceeded
	}
	return uint32(min((left+time.Millisecond-1)/time.Millisecond, math.MaxUint32)), nil
}

// unknown says of a change that was not answered in time that it may have happened: the host had asked for it.
func unknown(err error) error {
	var e *CallError
	if errors.As(err, &e) && errors.Is(e.Kind, context.DeadlineExceeded) {
		e.Kind = errors.Join(e.Kind, op.ErrUnknown)
	}
	return err
}
