package memory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// content is what a slot armed with img holds.
func content(t testing.TB, img *Image) []byte {
	t.Helper()
	slots := New(Config{})
	defer slots.Close()
	slot, err := slots.Take(img.Size(), img)
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Free()
	return bytes.Clone(slot.Reallocate(0))
}

func TestImageFileRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	one := make([]byte, 40*WasmPage)
	one[30*WasmPage] = 1
	many := make([]byte, 64*WasmPage) // more extents than the first read of the head holds
	for at := 0; at < len(many); at += (mergeBlocks + 2) * block {
		many[at] = 1
	}
	tests := []struct {
		name  string
		mem   []byte
		extra []byte
	}{
		{"no memory", nil, nil},
		{"zeros", make([]byte, 3*WasmPage), nil},
		{"one byte", one, []byte("x")},
		{"sparse", sparse(random, 50*WasmPage), []byte("globals")},
		{"many extents", many, bytes.Repeat([]byte("e"), MaxExtraBytes)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			if err := newImageOf(t, test.mem).Save(path, []byte("key"), test.extra); err != nil {
				t.Fatal(err)
			}
			img, extra, err := OpenImage(path, []byte("key"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			if !bytes.Equal(content(t, img), test.mem) {
				t.Error("the memory differs")
			}
			if !bytes.Equal(extra, test.extra) {
				t.Errorf("extra = %d bytes, want %d", len(extra), len(test.extra))
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
			}
			again := path + "2"
			if err := img.Save(again, []byte("key"), extra); err != nil {
				t.Fatal(err)
			}
			if a, b := readFile(t, path), readFile(t, again); !bytes.Equal(a, b) {
				t.Error("an opened image saves other bytes")
			}
		})
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestZerosAreNotStored sees what a mostly empty memory costs.
func TestZerosAreNotStored(t *testing.T) {
	mem := make([]byte, 1000*WasmPage)
	mem[5], mem[500*WasmPage] = 1, 1
	img := newImageOf(t, mem)
	if img.StoredBytes() != 2*block {
		t.Errorf("StoredBytes() = %d, want %d", img.StoredBytes(), 2*block)
	}
	if want := roundUp(500*WasmPage+block, uint64(pageSize())); img.stored != want {
		t.Errorf("%d bytes are mapped, want %d", img.stored, want)
	}
}

func TestNewImageRefuses(t *testing.T) {
	if _, err := NewImage(make([]byte, WasmPage+1)); err == nil {
		t.Error("NewImage took a memory that is not whole pages")
	}
}

// savedSparse is an image file with a hole, and where its parts start.
func savedSparse(t testing.TB, path string) (hole, data int64) {
	t.Helper()
	mem := make([]byte, 9*WasmPage)
	noise(rand.New(rand.NewPCG(1, 1)), mem[:WasmPage])
	noise(rand.New(rand.NewPCG(1, 2)), mem[8*WasmPage:])
	if err := newImageOf(t, mem).Save(path, []byte("key"), []byte("extra")); err != nil {
		t.Fatal(err)
	}
	return fileAlign + 4*WasmPage, fileAlign + 8*WasmPage
}

// TestDamageIsFound damages an image file everywhere: it is never taken, and says why.
func TestDamageIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	hole, data := savedSparse(t, path)
	good := readFile(t, path)
	head := (&fileHeader{extents: 2, extra: 5}).headEnd()
	flip := func(at int64) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 0x10; return b }
	}
	tests := []struct {
		name   string
		damage func([]byte) []byte
		want   error
	}{
		{"magic", flip(3), ErrForeign},
		{"format version", flip(8), ErrForeign},
		{"number of extents", flip(12), ErrCorrupt},
		{"huge number of extents", flip(15), ErrCorrupt},
		{"size", flip(18), ErrCorrupt},
		{"odd size", flip(16), ErrCorrupt},
		{"huge size", flip(22), ErrCorrupt},
		{"length of extra", flip(24), ErrCorrupt},
		{"huge length of extra", flip(27), ErrCorrupt},
		{"reserved", flip(30), ErrCorrupt},
		{"key", flip(40), ErrForeign},
		{"table", flip(headerBytes + 4), ErrCorrupt},
		{"sum of an extent", flip(headerBytes + 8), ErrCorrupt},
		{"extra", flip(headerBytes + 2*entryBytes), ErrCorrupt},
		{"sum of the head", flip(head - 1), ErrCorrupt},
		{"first byte of the memory", flip(fileAlign), ErrCorrupt},
		{"byte in a hole", flip(hole), ErrCorrupt},
		{"byte of the second extent", flip(data + 77), ErrCorrupt},
		{"last byte", flip(int64(len(good)) - 1), ErrCorrupt},
		{"empty", func([]byte) []byte { return nil }, ErrCorrupt},
		{"header only", func(b []byte) []byte { return b[:headerBytes] }, ErrCorrupt},
		{"cut in the table", func(b []byte) []byte { return b[:headerBytes+5] }, ErrCorrupt},
		{"cut before the memory", func(b []byte) []byte { return b[:fileAlign] }, ErrCorrupt},
		{"cut by a byte", func(b []byte) []byte { return b[:len(b)-1] }, ErrCorrupt},
		{"a byte more", func(b []byte) []byte { return append(b, 0) }, ErrCorrupt},
		{"something else", func([]byte) []byte { return bytes.Repeat([]byte("no image "), 1000) }, ErrForeign},
		{"nothing wrong", func(b []byte) []byte { return b }, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile(path, test.damage(bytes.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			img, _, err := OpenImage(path, []byte("key"), nil)
			if !errors.Is(err, test.want) || (err == nil) != (img != nil) {
				t.Errorf("OpenImage() = %v, want %v", err, test.want)
			}
			if img != nil {
				img.Close()
			}
		})
	}
}

// TestChecked sees that a file that was found right is not read again, and that one that changed is.
func TestChecked(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "image"), filepath.Join(dir, "other")
	savedSparse(t, path)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checked := new(Checked)
	read := func(want error) {
		t.Helper()
		img, _, err := OpenImage(path, []byte("key"), checked)
		if !errors.Is(err, want) {
			t.Fatalf("OpenImage() = %v, want %v", err, want)
		}
		if img == nil {
			return
		}
		defer img.Close()
		slot := takeTestSlot(t, newTestSlots(t, Config{}), 20*WasmPage, img)
		if err := Compare(slot, img); err != nil {
			t.Error(err)
		}
	}
	read(nil)
	read(nil)
	if len(checked.files) > 1 {
		t.Errorf("%d files are remembered, want 1", len(checked.files))
	}
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	if err := os.WriteFile(other, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil { // of the same size
		t.Fatal(err)
	}
	read(ErrCorrupt)
	read(ErrCorrupt)
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	read(nil)
	if _, _, err := OpenImage(path, []byte("other key"), checked); !errors.Is(err, ErrForeign) {
		t.Errorf("OpenImage() = %v with another key, want ErrForeign", err)
	}
}

// TestCheckedForgets reaches the limit of what is remembered.
func TestCheckedForgets(t *testing.T) {
	c := new(Checked)
	for i := range maxChecked + 1 {
		c.add(fmt.Sprint(i), identity{inode: uint64(i) + 1})
	}
	if len(c.files) != 1 || !c.has(fmt.Sprint(maxChecked), identity{inode: maxChecked + 1}) {
		t.Errorf("%d files are remembered, want the last alone", len(c.files))
	}
	if c.add("unknown", identity{}); c.has("unknown", identity{}) {
		t.Error("a file of which nothing is known counts as checked")
	}
}

func TestForeignImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	savedSparse(t, path)
	if _, _, err := OpenImage(path, []byte("other key"), nil); !errors.Is(err, ErrForeign) {
		t.Errorf("OpenImage() = %v with another key, want ErrForeign", err)
	}
	if _, _, err := OpenImage(path+"x", nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenImage() = %v for no file, want fs.ErrNotExist", err)
	}
}

// TestSaveIsWholeOrNothing sees that a failed save leaves the old file and nothing else.
func TestSaveIsWholeOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "image")
	img := newTestImage(t, WasmPage)
	if err := img.Save(path, nil, make([]byte, MaxExtraBytes+1)); !errors.Is(err, ErrLimit) {
		t.Errorf("Save() = %v with too much extra, want ErrLimit", err)
	}
	if err := img.Save(filepath.Join(dir, "missing", "image"), nil, nil); err == nil {
		t.Error("Save() = nil for a directory that is not there")
	}
	if err := os.Mkdir(path, 0o700); err != nil { // a rename over it fails
		t.Fatal(err)
	}
	if err := img.Save(path, nil, nil); err == nil {
		t.Error("Save() = nil over a directory")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v are left, want only the directory", entries, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := img.Save(path, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	closed, err := NewImage(nil)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	closed.Close()
	if err := closed.Save(path, nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Save() = %v after Close, want ErrClosed", err)
	}
}

// TestClosedImageServesItsSlots closes an image under an armed slot.
func TestClosedImageServesItsSlots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	savedSparse(t, path)
	img, _, err := OpenImage(path, []byte("key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	slots := newTestSlots(t, Config{})
	slot := takeTestSlot(t, slots, 20*WasmPage, img)
	img.Close()
	if _, err := slots.Take(20*WasmPage, img); !errors.Is(err, ErrClosed) {
		t.Errorf("Take() = %v, want ErrClosed", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		clear(slot.Reallocate(10 * WasmPage)[:WasmPage])
		if _, err := slot.Reset(nil); err != nil {
			t.Fatal(err)
		}
		if err := Compare(slot, img); err != nil {
			t.Fatal(err)
		}
	}
	slot.Free()
	if img.refs.Load() != 0 || slots.free[0].image != nil {
		t.Error("a closed image is kept when its last slot is freed")
	}
	img, _, err = OpenImage(newSaved(t), []byte("key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	takeTestSlot(t, slots, 20*WasmPage, img).Free()
	img.Close()
	if img.refs.Load() != 0 || slots.free[0].image != nil {
		t.Error("a closed image is kept by a free slot")
	}
}

func newSaved(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "image")
	savedSparse(t, path)
	return path
}

// FuzzOpenImage opens image files put together from what the fuzzer makes of a head and of a memory, with the sums
// put right so that it gets past them. What is taken must be the memory that the file says.
func FuzzOpenImage(f *testing.F) {
	mem := make([]byte, 2*WasmPage)
	mem[3*block], mem[9*block] = 1, 2
	img := newImageOf(f, mem)
	head, _ := img.head(nil, []byte("extra"))
	f.Add(head, mem[:img.end()])
	f.Add(head[:headerBytes], []byte{})
	head, _ = newImageOf(f, nil).head(nil, nil)
	f.Add(head, []byte{})
	path := filepath.Join(f.TempDir(), "image")
	f.Fuzz(func(t *testing.T, head, mem []byte) {
		file := assemble(head, mem)
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		img, extra, err := OpenImage(path, nil, nil)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrForeign) {
				t.Errorf("OpenImage() = %v, want ErrCorrupt or ErrForeign", err)
			}
			return
		}
		defer img.Close()
		if img.Size() > 64<<20 {
			return
		}
		start := fileHeader{extents: uint32(len(img.extents)), extra: uint32(len(extra))}
		want := make([]byte, img.Size())
		copy(want, file[start.content():])
		if !bytes.Equal(content(t, img), want) {
			t.Error("the memory is not the file's")
		}
	})
}

// assemble makes an image file of a head and a memory, and puts its key and sums right as far as its parts can be
// found.
func assemble(head, mem []byte) []byte {
	b := bytes.Clone(head)
	if len(b) < headerBytes {
		return b
	}
	key := sha256.Sum256(nil)
	copy(b[32:headerBytes], key[:])
	h, err := parseHeader(b)
	if err != nil || h.headEnd() > int64(len(b)) {
		return b
	}
	for i := range int(h.extents) {
		entry := b[headerBytes+i*entryBytes:]
		e := extent{binary.LittleEndian.Uint32(entry), binary.LittleEndian.Uint32(entry[4:])}
		if e.end() <= uint64(len(mem)) {
			binary.LittleEndian.PutUint32(entry[8:], sum(0, mem[e.offset():e.end()]))
		}
	}
	b = b[:h.headEnd()]
	end := len(b) - sumBytes
	binary.LittleEndian.PutUint32(b[end:], sum(0, b[:end]))
	return append(append(b, make([]byte, h.content()-h.headEnd())...), mem...)
}
