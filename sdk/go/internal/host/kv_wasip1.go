package host

import (
	"context"
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

// KVGet reads keys: an item each, in their order.
func KVGet(ctx context.Context, keys []string, c op.Consistency) ([]op.Item, error) {
	answer, err := ask(ctx, abi.KVError, abi.AppendKVGet(nil, keys, c), kvGet)
	if err != nil {
		return nil, err
	}
	return abi.DecodeKVItems(answer, keys)
}

// KVList reads a page of keys.
func KVList(ctx context.Context, q op.Query) (op.Page, error) {
	answer, err := ask(ctx, abi.KVError, abi.AppendKVQuery(nil, &q), kvList)
	if err != nil {
		return op.Page{}, err
	}
	return abi.DecodeKVPage(answer)
}

// KVCommit does a transaction in the app's namespace.
func KVCommit(ctx context.Context, t op.Txn) (op.Result, error) {
	answer, err := ask(ctx, abi.KVError, abi.AppendKVTxn(nil, &t), kvCommit)
	if err != nil {
		return op.Result{}, unknown(err)
	}
	return abi.DecodeKVResult(answer)
}
