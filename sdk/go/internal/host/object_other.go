//go:build !wasip1

package host

import (
	"context"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Objects are the objects of functions in the same process.
type Objects interface {
	Head(ctx context.Context, bucket, key string) (op.ObjectInfo, error)
	Open(ctx context.Context, o *abi.ObjectOpen) (abi.ObjectOpened, error)
	Read(ctx context.Context, stream uint32, to []byte) (int, error)
	Create(ctx context.Context, p *op.ObjectPut) (uint32, error)
	Write(ctx context.Context, w *abi.ObjectWrite) error
	Commit(ctx context.Context, stream uint32) (op.ObjectInfo, error)
	Close(ctx context.Context, stream uint32) error
	List(ctx context.Context, l *abi.ObjectList) (op.ObjectPage, error)
	Copy(ctx context.Context, c *op.ObjectCopy) (op.ObjectInfo, error)
	Delete(ctx context.Context, d *abi.ObjectDelete) (bool, error)
}

func objectsOf(ctx context.Context) (Objects, error) {
	if o := worldOf(ctx).Objects; o != nil {
		return o, ctx.Err()
	}
	return nil, abi.ErrNoObjects
}

// ObjectHead answers what is known of an object.
func ObjectHead(ctx context.Context, bucket, key string) (op.ObjectInfo, error) {
	all, err := objectsOf(ctx)
	if err != nil {
		return op.ObjectInfo{}, err
	}
	return all.Head(ctx, bucket, key)
}

// ObjectOpen opens an object.
func ObjectOpen(ctx context.Context, o *abi.ObjectOpen) (abi.ObjectOpened, error) {
	all, err := objectsOf(ctx)
	if err != nil {
		return abi.ObjectOpened{}, err
	}
	return all.Open(ctx, o)
}

// ObjectRead reads into to; 0 bytes are the end.
func ObjectRead(ctx context.Context, stream uint32, to []byte) (int, error) {
	all, err := objectsOf(ctx)
	if err != nil {
		return 0, err
	}
	return all.Read(ctx, stream, to)
}

// ObjectCreate begins a new object.
func ObjectCreate(ctx context.Context, p *op.ObjectPut) (uint32, error) {
	all, err := objectsOf(ctx)
	if err != nil {
		return 0, err
	}
	return all.Create(ctx, p)
}

// ObjectWrite writes a chunk.
func ObjectWrite(ctx context.Context, w *abi.ObjectWrite) error {
	all, err := objectsOf(ctx)
	if err != nil {
		return err
	}
	return all.Write(ctx, w)
}

// ObjectCommit makes a new object visible.
func ObjectCommit(ctx context.Context, stream uint32) (op.ObjectInfo, error) {
	all, err := objectsOf(ctx)
	if err != nil {
		return op.ObjectInfo{}, err
	}
	return all.Commit(ctx, stream)
}

// ObjectClose closes a stream.
func ObjectClose(ctx context.Context, stream uint32) error {
	all, err := objectsOf(ctx)
	if err != nil {
		return err
	}
	return all.Close(ctx, stream)
}

// ObjectList reads a page of objects.
func ObjectList(ctx context.Context, l *abi.ObjectList) (op.ObjectPage, error) {
	all, err := objectsOf(ctx)
	if err != nil {
		return op.ObjectPage{}, err
	}
	return all.List(ctx, l)
}

// ObjectCopy copies an object.
func ObjectCopy(ctx context.Context, c *op.ObjectCopy) (op.ObjectInfo, error) {
	all, err := objectsOf(ctx)
	if err != nil {
		return op.ObjectInfo{}, err
	}
	return all.Copy(ctx, c)
}

// ObjectDelete deletes objects.
func ObjectDelete(ctx context.Context, d *abi.ObjectDelete) (bool, error) {
	all, err := objectsOf(ctx)
	if err != nil {
		return false, err
	}
	return all.Delete(ctx, d)
}
