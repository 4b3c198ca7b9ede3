package replica

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// TestInterruptedSeal cuts the writes of a log at every point of the one that fills a file. What was acknowledged
// before must be there, and the log must take more.
func TestInterruptedSeal(t *testing.T) {
	t.Parallel()
	const limit = 4 << 10
	data := bytes.Repeat([]byte("x"), 300)
	for acknowledged := uint64(9); acknowledged <= 12; acknowledged++ { // 12 fill a file
		for torn := int64(0); torn < 800; torn += 36 {
			dir := t.TempDir()
			last := writeCut(t, dir, limit, acknowledged, torn, data)
			w, err := wal.Open(dir, wal.WithSegmentSize(limit), wal.WithMetaStore(&segments{limit: limit}))
			if err != nil {
				t.Fatal(err)
			}
			got, err := w.LastIndex()
			if err != nil || got != acknowledged && got != last {
				t.Fatalf("%d entries, then %d bytes: last is %d, %v", acknowledged, torn, got, err)
			}
			for i := got + 1; i <= got+5; i++ {
				if err := w.StoreLog(&raft.Log{Index: i, Term: 1, Data: data}); err != nil {
					t.Fatalf("%d entries, then %d bytes: append %d: %v", acknowledged, torn, i, err)
				}
			}
			for i := uint64(1); i <= got+5; i++ {
				var l raft.Log
				if err := w.GetLog(i, &l); err != nil || l.Index != i || !bytes.Equal(l.Data, data) {
					t.Fatalf("%d entries, then %d bytes: entry %d is %d, %v", acknowledged, torn, i, l.Index, err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// writeCut writes so many entries, and of two more only the first bytes, and leaves the log as a crash then would,
// without a record of what the last write did. It answers the last entry when all of it is there.
func writeCut(t *testing.T, dir string, limit int, acknowledged uint64, torn int64, data []byte) (last uint64) {
	t.Helper()
	files := &cutFS{left: -1}
	open := wal.WithSegmentFiler(segment.NewFiler(dir, files))
	w, err := wal.Open(dir, wal.WithSegmentSize(limit), open, wal.WithMetaStore(&segments{limit: limit}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range acknowledged {
		if err := w.StoreLog(&raft.Log{Index: i + 1, Term: 1, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	files.left = torn
	before := filepath.Join(t.TempDir(), "meta")
	meta := filepath.Join(dir, "wal-meta.db")
	// A clean rotation before the last write must be recorded; appending nothing new waits for it.
	if err := w.DeleteRange(1<<40, 1<<40); err != nil {
		t.Fatal(err)
	}
	copyFile(t, before, meta)
	w.StoreLogs([]*raft.Log{
		{Index: acknowledged + 1, Term: 1, Data: data}, {Index: acknowledged + 2, Term: 1, Data: data}})
	w.Close()
	copyFile(t, meta, before)
	return acknowledged + 2
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// cutFS writes only so many bytes more; negative: all.
type cutFS struct {
	fs.FS
	left int64
}

func (c *cutFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := c.FS.Create(dir, name, size)
	return cutFile{f, c}, err
}

func (c *cutFS) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := c.FS.OpenWriter(dir, name)
	return cutFile{f, c}, err
}

type cutFile struct {
	types.WritableFile
	fs *cutFS
}

func (f cutFile) WriteAt(p []byte, at int64) (int, error) {
	if f.fs.left < 0 {
		return f.WritableFile.WriteAt(p, at)
	}
	n := min(int64(len(p)), f.fs.left)
	f.fs.left -= n
	if _, err := f.WritableFile.WriteAt(p[:n], at); err != nil {
		return 0, err
	}
	if n < int64(len(p)) {
		return int(n), fmt.Errorf("cut after %d bytes", n)
	}
	return len(p), nil
}
