package host

import (
	"context"
	"unsafe"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

//go:wasmimport sett object_head
func objectHead(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett object_open
func objectOpen(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett object_read
func objectRead(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett object_create
func objectCreate(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett object_write
func objectWrite(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett object_commit
func objectCommit(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett object_close
func objectClose(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett object_list
func objectList(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett object_copy
func objectCopy(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett object_delete
func objectDelete(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

func objectInfo(answer []byte, err error) (op.ObjectInfo, error) {
	if err != nil {
		return op.ObjectInfo{}, err
	}
	return abi.DecodeObjectInfo(answer)
}

// ObjectHead answers what is known of an object.
func ObjectHead(ctx context.Context, bucket, key string) (op.ObjectInfo, error) {
	return objectInfo(ask(ctx, abi.ObjectError, abi.AppendObjectName(nil, bucket, key), objectHead))
}

// ObjectOpen opens an object.
func ObjectOpen(ctx context.Context, o *abi.ObjectOpen) (abi.ObjectOpened, error) {
	answer, err := ask(ctx, abi.ObjectError, abi.AppendObjectOpen(nil, o), objectOpen)
	if err != nil {
		return abi.ObjectOpened{}, err
	}
	return abi.DecodeObjectOpened(answer)
}

// ObjectRead reads into to; 0 bytes are the end. After an error what to holds means nothing.
func ObjectRead(ctx context.Context, stream uint32, to []byte) (int, error) {
	answer, err := askInto(ctx, to, abi.ObjectError, abi.AppendObjectStream(nil, stream), objectRead)
	return len(answer), err
}

// ObjectCreate begins a new object.
func ObjectCreate(ctx context.Context, p *op.ObjectPut) (stream uint32, err error) {
	answer, err := ask(ctx, abi.ObjectError, abi.AppendObjectCreate(nil, p), objectCreate)
	if err != nil {
		return 0, err
	}
	return abi.DecodeObjectStream(answer)
}

// ObjectWrite writes a chunk.
func ObjectWrite(ctx context.Context, w *abi.ObjectWrite) error {
	_, err := ask(ctx, abi.ObjectError, abi.AppendObjectWrite(nil, w), objectWrite)
	return err
}

// ObjectCommit makes a new object visible.
func ObjectCommit(ctx context.Context, stream uint32) (op.ObjectInfo, error) {
	info, err := objectInfo(ask(ctx, abi.ObjectError, abi.AppendObjectStream(nil, stream), objectCommit))
	return info, unknown(err)
}

// ObjectClose closes a stream.
func ObjectClose(ctx context.Context, stream uint32) error {
	_, err := ask(ctx, abi.ObjectError, abi.AppendObjectStream(nil, stream), objectClose)
	return err
}

// ObjectList reads a page of objects.
func ObjectList(ctx context.Context, l *abi.ObjectList) (op.ObjectPage, error) {
	answer, err := ask(ctx, abi.ObjectError, abi.AppendObjectList(nil, l), objectList)
	if err != nil {
		return op.ObjectPage{}, err
	}
	return abi.DecodeObjectPage(answer)
}

// ObjectCopy copies an object.
func ObjectCopy(ctx context.Context, c *op.ObjectCopy) (op.ObjectInfo, error) {
	info, err := objectInfo(ask(ctx, abi.ObjectError, abi.AppendObjectCopy(nil, c), objectCopy))
	return info, unknown(err)
}

// ObjectDelete deletes objects.
func ObjectDelete(ctx context.Context, d *abi.ObjectDelete) (found bool, err error) {
	answer, err := ask(ctx, abi.ObjectError, abi.AppendObjectDelete(nil, d), objectDelete)
	if err != nil {
		return false, unknown(err)
	}
	return abi.DecodeObjectDeleted(answer)
}
