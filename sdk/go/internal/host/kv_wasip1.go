package host

import (
	"context"
	"errors"
	"math"
	"time"
	"unsafe"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

//go:wasmimport sett kv_get
func kvGet(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett kv_list
func kvList(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett kv_commit
func kvCommit(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett answer_read
func answerRead(ptr unsafe.Pointer, n uint32) uint32

// answerRoom is how long an answer may be that takes one call. A value that is kept keeps this much memory.
const answerRoom = 512

// KVGet reads keys: an item each, in their order.
func KVGet(ctx context.Context, keys []string, c op.Consistency) ([]op.Item, error) {
	request := abi.AppendKVGet(nil, keys, c)
	answer, err := ask(ctx, func(to []byte, timeout uint32) int32 {
		return kvGet(unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)),
			unsafe.Pointer(unsafe.SliceData(to)), uint32(len(to)), timeout)
	})
	if err != nil {
		return nil, err
	}
	return abi.DecodeKVItems(answer, keys)
}

// KVList reads a page of keys.
func KVList(ctx context.Context, q op.Query) (op.Page, error) {
	request := abi.AppendKVQuery(nil, &q)
	answer, err := ask(ctx, func(to []byte, timeout uint32) int32 {
		return kvList(unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)),
			unsafe.Pointer(unsafe.SliceData(to)), uint32(len(to)), timeout)
	})
	if err != nil {
		return op.Page{}, err
	}
	return abi.DecodeKVPage(answer)
}

// KVCommit does a transaction in the app's namespace.
func KVCommit(ctx context.Context, t op.Txn) (op.Result, error) {
	request := abi.AppendKVTxn(nil, &t)
	answer, err := ask(ctx, func(to []byte, timeout uint32) int32 {
		return kvCommit(unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)),
			unsafe.Pointer(unsafe.SliceData(to)), uint32(len(to)), timeout)
	})
	var e *StoreError
	if errors.As(err, &e) && errors.Is(e.Kind, context.DeadlineExceeded) {
		e.Kind = errors.Join(e.Kind, op.ErrUnknown) // the host had asked the store
	}
	if err != nil {
		return op.Result{}, err
	}
	return abi.DecodeKVResult(answer)
}

// ask makes one call and answers its answer, which the caller owns.
func ask(ctx context.Context, call func(to []byte, timeout uint32) int32) ([]byte, error) {
	timeout, err := timeout(ctx)
	if err != nil {
		return nil, err
	}
	room := make([]byte, answerRoom)
	n := call(room, timeout)
	if n < 0 {
		return nil, &StoreError{Message: string(kept(room)), Kind: abi.KVError(-n)}
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
