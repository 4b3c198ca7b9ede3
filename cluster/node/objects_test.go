package node

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/op"
)

// TestObjectsOnTwoNodes puts an object at one node, reads it at another, and reads it whole though one copy rots.
func TestObjectsOnTwoNodes(t *testing.T) {
	a := start(t, t.TempDir())
	b := join(t, a, "b")
	ctx := t.Context()
	if err := a.objects.CreateBucket(ctx, "default", blob.Bucket{Name: "pics"}); err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), 400_000) // two chunks
	name := blob.Name{App: "default", Bucket: "pics", Key: "cat"}
	if _, err := a.objects.Put(ctx, blob.Put{Name: name, Body: blob.Body{Reader: bytes.NewReader(body), Size: int64(len(body))}}); err != nil {
		t.Fatal(err)
	}
	read := func(n *Node) []byte {
		t.Helper()
		_, r, err := n.objects.Open(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	files := func(n *Node) (all []string) {
		err := filepath.Walk(n.dir.join(objectsDir), func(path string, info os.FileInfo, err error) error {
			if err == nil && info.Mode().IsRegular() && info.Size() > 1000 {
				all = append(all, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if len(files(a)) != 2 || len(files(b)) != 2 {
		t.Errorf("a has %v, b has %v, want both chunks on each", files(a), files(b))
	}
	await(t, "b to know the object", func() bool {
		_, err := b.objects.Head(ctx, name)
		return !errors.Is(err, op.ErrNoObject)
	})
	if err := os.WriteFile(files(b)[0], []byte(strings.Repeat("x", 4<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*Node{a, b} {
		if !bytes.Equal(read(n), body) {
			t.Errorf("node %s reads other bytes", n.Name())
		}
	}
}
