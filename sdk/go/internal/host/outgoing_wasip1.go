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
	return replied(ask(ctx, abi.OutgoingError, abi.AppendFetch(nil, r), fetch))
}

// Invoke runs another function, or has it run later, and answers the reply, which the caller owns.
func Invoke(ctx context.Context, r *abi.InvokeRequest) (*abi.Reply, error) {
	return replied(ask(ctx, abi.OutgoingError, abi.AppendInvoke(nil, r), invoke))
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
