package node

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// TestObjectsOnTwoNodes puts an object at one node, reads it at another, and reads it whole though one copy rots.
func TestObjectsOnTwoNodes(t *testing.T) {
	t.Parallel()
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

// TestBackupOfWhatChanges backs up objects that are put again and again: of each, the one of the backup's moment is there.
func TestBackupOfWhatChanges(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	if err := n.objects.CreateBucket(ctx, "default", blob.Bucket{Name: "pics"}); err != nil {
		t.Fatal(err)
	}
	put := func(key string, i int) error {
		body := fmt.Sprintf("%s is %d", key, i)
		_, err := n.objects.Put(ctx, blob.Put{Name: blob.Name{App: "default", Bucket: "pics", Key: key},
			Body: blob.Body{Reader: strings.NewReader(body), Size: int64(len(body))}})
		return err
	}
	if err := n.objects.CreateBucket(ctx, "zoo", blob.Bucket{Name: "many"}); err != nil {
		t.Fatal(err)
	}
	one := blob.Name{App: "zoo", Bucket: "many", Key: "one"}
	if _, err := n.objects.Put(ctx, blob.Put{Name: one, Body: blob.Body{Reader: strings.NewReader("one"), Size: 3}}); err != nil {
		t.Fatal(err)
	}
	var copying sync.WaitGroup
	for c := range 20 { // so that reading which chunks there are takes a while
		copying.Go(func() {
			for i := range 50 {
				to := blob.Name{App: "zoo", Bucket: "many", Key: fmt.Sprint(c, "-", i)}
				err := blob.ErrContended // all of them count the bucket's objects
				for errors.Is(err, blob.ErrContended) {
					_, err = n.objects.Copy(ctx, blob.Copy{Name: to, From: one})
				}
				if err != nil {
					t.Errorf("copy: %v", err)
				}
			}
		})
	}
	copying.Wait()
	const keys = 8
	var enough atomic.Bool
	var busy, begun sync.WaitGroup
	for k := range keys {
		begun.Add(1)
		busy.Go(func() {
			for i := 0; !enough.Load(); i++ {
				if err := put(fmt.Sprint("key-", k), i); err != nil {
					t.Errorf("put: %v", err)
				}
				if i == 0 {
					begun.Done()
				}
			}
		})
	}
	begun.Wait()
	file := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(file)
	if err == nil {
		err = errors.Join(n.Backup(ctx, f), f.Close())
	}
	enough.Store(true)
	busy.Wait()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "restored")
	if r, err := Restore(ctx, file, data); err != nil || r.Chunks != keys+1 {
		t.Fatalf("Restore = %+v, %v, want %d chunks", r, err, keys+1)
	}
	again := start(t, data)
	for k := range keys {
		key := fmt.Sprint("key-", k)
		_, r, err := again.objects.Open(ctx, blob.Name{App: "default", Bucket: "pics", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || !strings.HasPrefix(string(body), key+" is ") {
			t.Errorf("%s restored is %q, %v", key, body, err)
		}
	}
}

// TestBackupOfWhatIsElsewhere backs up an object whose chunk is on another node, which does not answer: it may yet.
func TestBackupOfWhatIsElsewhere(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	b := join(t, a, "b")
	putAndLose(t, a)
	if err := b.den.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Backup(t.Context(), io.Discard); abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("Backup = %v, want %s", err, abi.Unavailable)
	}
}

// TestBackupOfWhatIsLost backs up an object whose chunk is nowhere: the backup has the rest.
func TestBackupOfWhatIsLost(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	putAndLose(t, a)
	if err := a.Backup(t.Context(), io.Discard); err != nil {
		t.Error(err)
	}
}

// TestBackupOfAModuleElsewhere backs up a function whose module only another node has, as a node does that has just joined.
func TestBackupOfAModuleElsewhere(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	join(t, a, "b")
	d := deploy(t, a, "hello", wasmtest.Answer("one"))
	if err := os.Remove(filepath.Join(a.dir.join(runtimeDir), "modules", d.Digest+".wasm")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(file)
	if err == nil {
		err = errors.Join(a.Backup(t.Context(), f), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Restore(t.Context(), file, filepath.Join(t.TempDir(), "restored")); err != nil || r.Modules != 1 {
		t.Errorf("Restore = %+v, %v, want a module", r, err)
	}
}

// putAndLose puts an object at a node, whose own copy of its chunk goes.
func putAndLose(t *testing.T, n *Node) {
	t.Helper()
	if err := n.objects.CreateBucket(t.Context(), "default", blob.Bucket{Name: "pics"}); err != nil {
		t.Fatal(err)
	}
	name := blob.Name{App: "default", Bucket: "pics", Key: "cat"}
	if _, err := n.objects.Put(t.Context(), blob.Put{Name: name, Body: blob.Body{Reader: strings.NewReader("meow"), Size: 4}}); err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte("meow")))
	if err := os.Remove(filepath.Join(n.dir.join(objectsDir), digest[:2], digest)); err != nil {
		t.Fatal(err)
	}
}
