package blob_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
	"github.com/sett-run/sett/sdk/go/settest"
)

// onBoth runs a test with settest's objects and with a node's, which have the same buckets.
func onBoth(t *testing.T, test func(t *testing.T, ctx context.Context), buckets ...string) {
	t.Run("settest", func(t *testing.T) {
		settest.Buckets(t, buckets...)
		test(t, settest.Context(t))
	})
	t.Run("node", func(t *testing.T) {
		objects, err := blob.Open(blob.Config{Dir: t.TempDir(), Store: new(op.Memory)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(objects.Close)
		for _, name := range buckets {
			if err := objects.CreateBucket(t.Context(), host.App, op.Bucket{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		test(t, host.WithWorld(t.Context(), host.World{Objects: &ofNode{objects: objects, streams: map[uint32]any{}}}))
	})
}

// ofNode is a node's objects in the same process.
type ofNode struct {
	objects *blob.Objects
	streams map[uint32]any // io.Reader or *draft
	last    uint32
}

type draft struct {
	put  op.ObjectPut
	body bytes.Buffer
}

// told is an error as a function is told of it.
func told[T any](v T, err error) (T, error) {
	if err == nil {
		return v, nil
	}
	number, _ := abi.ObjectErrorNumber(err)
	return v, &host.CallError{Message: err.Error(), Kind: abi.ObjectError(number)}
}

func (n *ofNode) add(s any) uint32 {
	n.last++
	n.streams[n.last] = s
	return n.last
}

func (n *ofNode) Head(ctx context.Context, bucket, key string) (op.ObjectInfo, error) {
	return told(n.objects.Head(ctx, op.ObjectName{App: host.App, Bucket: bucket, Key: key}))
}

// Open knows whole objects alone: which bytes a range has is package runtime/host's to say.
func (n *ofNode) Open(ctx context.Context, o *abi.ObjectOpen) (opened abi.ObjectOpened, err error) {
	info, body, err := n.objects.Open(ctx, op.ObjectName{App: host.App, Bucket: o.Bucket, Key: o.Key})
	if err == nil && o.ETag != "" && o.ETag != info.ETag {
		err = fmt.Errorf("its ETag is %s: %w", info.ETag, op.ErrPrecondition)
	}
	if err != nil {
		return told(opened, err)
	}
	return abi.ObjectOpened{Stream: n.add(body), Length: info.Size, Info: info}, nil
}

func (n *ofNode) Read(_ context.Context, stream uint32, to []byte) (int, error) {
	read, err := n.streams[stream].(io.Reader).Read(to)
	if err == io.EOF {
		err = nil
	}
	return read, err
}

func (n *ofNode) Create(_ context.Context, p *op.ObjectPut) (uint32, error) {
	return n.add(&draft{put: *p}), nil
}

func (n *ofNode) Write(_ context.Context, w *abi.ObjectWrite) error {
	_, err := n.streams[w.Stream].(*draft).body.Write(w.Data)
	return err
}

func (n *ofNode) Commit(ctx context.Context, stream uint32) (op.ObjectInfo, error) {
	d := n.streams[stream].(*draft)
	d.put.Name.App, d.put.Body.Reader = host.App, &d.body
	return told(n.objects.Put(ctx, d.put))
}

func (n *ofNode) Close(_ context.Context, stream uint32) error {
	if c, ok := n.streams[stream].(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (n *ofNode) List(ctx context.Context, l *abi.ObjectList) (op.ObjectPage, error) {
	return told(n.objects.List(ctx, host.App, l.Bucket, l.ObjectQuery))
}

func (n *ofNode) Copy(ctx context.Context, c *op.ObjectCopy) (op.ObjectInfo, error) {
	c.Name.App, c.From.App = host.App, host.App
	return told(n.objects.Copy(ctx, *c))
}

func (n *ofNode) Delete(ctx context.Context, d *abi.ObjectDelete) (bool, error) {
	if len(d.Keys) > 1 {
		return told(false, n.objects.DeleteMany(ctx, host.App, d.Bucket, d.Keys...))
	}
	return told(n.objects.Delete(ctx, op.ObjectName{App: host.App, Bucket: d.Bucket, Key: d.Keys[0]}, op.ObjectCondition{ETag: d.ETag}))
}
