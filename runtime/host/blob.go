package host

import (
	"context"
	"fmt"
	"io"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Objects are the objects of all apps.
type Objects interface {
	// By answers them as an invocation sees and changes them: through records, where given, instead of the store itself.
	By(origin op.ObjectOrigin, records Store) ObjectCalls
}

// ObjectCalls is what functions do with objects; package kv/blob's Objects does it. What is asked of it has happened when
// it answers. Errors wrap those of package op, or ctx's, or have the code that says the same; messages of such reach the
// guest.
type ObjectCalls interface {
	Head(ctx context.Context, n op.ObjectName) (op.ObjectInfo, error)
	// Open opens an object, whose reads end with ctx.
	Open(ctx context.Context, n op.ObjectName) (op.ObjectInfo, io.ReadSeekCloser, error)
	List(ctx context.Context, app, bucket string, q op.ObjectQuery) (op.ObjectPage, error)
	Put(ctx context.Context, p op.ObjectPut) (op.ObjectInfo, error)
	Copy(ctx context.Context, c op.ObjectCopy) (op.ObjectInfo, error)
	Delete(ctx context.Context, n op.ObjectName, c op.ObjectCondition) (found bool, err error)
	DeleteMany(ctx context.Context, app, bucket string, keys ...string) error
}

// objectAsk asks c's objects what request, a message, says, and appends the answer to room. Both are the guest's memory.
// It lasts as long as call, and what it opens as long as ctx.
type objectAsk func(ctx, call context.Context, c *Call, request, room []byte) (answer []byte, err error)

// objectHead answers what is known of an object.
func objectHead() Function {
	return objectCall(abi.ImportObjectHead, func(_, call context.Context, c *Call, request, room []byte) ([]byte, error) {
		n, err := abi.DecodeObjectName(request)
		if err != nil {
			return nil, err
		}
		n.App = c.App
		info, err := c.objects().Head(call, n)
		if err != nil {
			return nil, err
		}
		return abi.AppendObjectInfo(room, &info), nil
	})
}

// objectList reads a page of objects.
func objectList() Function {
	return objectCall(abi.ImportObjectList, func(_, call context.Context, c *Call, request, room []byte) ([]byte, error) {
		l, err := abi.DecodeObjectList(request)
		if err != nil {
			return nil, err
		}
		page, err := c.objects().List(call, c.App, l.Bucket, l.ObjectQuery)
		if err != nil {
			return nil, err
		}
		return abi.AppendObjectPage(room, &page), nil
	})
}

// objectCopy has an object be as another one of the app is.
func objectCopy() Function {
	return objectCall(abi.ImportObjectCopy, func(_, call context.Context, c *Call, request, room []byte) ([]byte, error) {
		o, err := abi.DecodeObjectCopy(request)
		if err != nil {
			return nil, err
		}
		o.Name.App, o.From.App = c.App, c.App
		info, err := c.objects().Copy(call, o)
		if err != nil {
			return nil, err
		}
		return abi.AppendObjectInfo(room, &info), nil
	})
}

// objectDelete deletes one object, under a condition perhaps, or many.
func objectDelete() Function {
	return objectCall(abi.ImportObjectDelete, func(_, call context.Context, c *Call, request, room []byte) ([]byte, error) {
		d, err := abi.DecodeObjectDelete(request)
		switch {
		case err != nil:
			return nil, err
		case len(d.Keys) == 0 || len(d.Keys) > 1 && d.ETag != "":
			return nil, fmt.Errorf("%d keys to delete, with the ETag %.40q: one, or many without a condition: %w", len(d.Keys), d.ETag, op.ErrInvalid)
		case len(d.Keys) > 1:
			return room, c.objects().DeleteMany(call, c.App, d.Bucket, d.Keys...)
		}
		found, err := c.objects().Delete(call, op.ObjectName{App: c.App, Bucket: d.Bucket, Key: d.Keys[0]}, op.ObjectCondition{ETag: d.ETag})
		if err != nil {
			return nil, err
		}
		return abi.AppendObjectDeleted(room, found), nil
	})
}

// objectCall is a function that asks the objects.
func objectCall(name string, f objectAsk) Function {
	return asking(name, (*Call).refuseObjects, func(ctx context.Context, c *Call, a asked) ([]byte, error) {
		if c.Objects == nil {
			return nil, abi.ErrNoObjects
		}
		if c.objectCalls == c.MaxObjectCalls {
			return nil, fmt.Errorf("%w: %d", abi.ErrObjectCalls, c.MaxObjectCalls)
		}
		c.objectCalls++
		return c.await(ctx, a.wait, func(call context.Context) ([]byte, error) { return f(ctx, call, c, a.request, a.room) })
	})
}

// objects are those that the invocation sees.
func (c *Call) objects() ObjectCalls {
	if c.seenObjects == nil {
		c.seenObjects = c.Objects.By(op.ObjectOrigin{Function: c.Function, Depth: c.Depth}, c.Records)
	}
	return c.seenObjects
}

// refuseObjects answers the number of an error of an object call and keeps its message for the guest.
func (c *Call) refuseObjects(err error) (number int32) {
	number, ok := abi.ObjectErrorNumber(err)
	if !ok {
		c.StoreFault, err = err, abi.ErrObjectFailed
	}
	c.answer = []byte(err.Error())
	return number
}
