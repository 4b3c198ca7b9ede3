package host

import (
	"context"
	"unsafe"

	"github.com/sett-run/sett/sdk/abi"
)

//go:wasmimport sett fetch
func fetch(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett invoke
func invoke(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

// Fetch sends an HTTP request and answers the reply, which the caller owns.
func Fetch(ctx context.Context, r *abi.FetchRequest) (*abi.Reply, error) {
	request := abi.AppendFetch(nil, r)
	return replied(ask(ctx, abi.OutgoingError, func(to []byte, timeout uint32) int32 {
		return fetch(unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)),
			unsafe.Pointer(unsafe.SliceData(to)), uint32(len(to)), timeout)
	}))
}

// Invoke runs another function, or has it run later, and answers the reply, which the caller owns.
func Invoke(ctx context.Context, r *abi.InvokeRequest) (*abi.Reply, error) {
	request := abi.AppendInvoke(nil, r)
	return replied(ask(ctx, abi.OutgoingError, func(to []byte, timeout uint32) int32 {
		return invoke(unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)),
			unsafe.Pointer(unsafe.SliceData(to)), uint32(len(to)), timeout)
	}))
}

func replied(answer []byte, err error) (*abi.Reply, error) {
	if err != nil {
		return nil, err
	}
	r := new(abi.Reply)
	if err := abi.DecodeReply(answer, r); err != nil {
		return nil, err
	}
	return r, nil
}
