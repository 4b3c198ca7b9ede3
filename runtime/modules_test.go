package runtime

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestModulesPut(t *testing.T) {
	m, err := openModules(filepath.Join(t.TempDir(), "modules"), 100)
	if err != nil {
		t.Fatal(err)
	}
	ctx, b := context.Background(), []byte("a module")
	d := digest(b)
	if m.Has(d) {
		t.Error("Has before Put")
	}
	for range 2 { // the second replaces it with the same
		if n, err := m.Put(ctx, d, iotest.OneByteReader(bytes.NewReader(b))); n != 8 || err != nil {
			t.Fatalf("Put = %d, %v", n, err)
		}
	}
	if got, err := m.Read(d); !m.Has(d) || string(got) != string(b) || err != nil {
		t.Errorf("Read = %q, %v", got, err)
	}
	if names := files(t, m.dir); len(names) != 1 {
		t.Errorf("files = %q, want one", names)
	}
	if _, err := m.Read(digest(nil)); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Read of an absent module: %v, want not_found", err)
	}
	if _, err := m.Read("../" + d[3:]); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("Read of a path: %v, want invalid_input", err)
	}
}

// fullDisk is a file that has room for n bytes.
type fullDisk struct {
	moduleFile
	n       int
	syncErr error
}

func (f *fullDisk) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	return f.moduleFile.Write(b)
}

func (f *fullDisk) Sync() error { return errors.Join(f.moduleFile.Sync(), f.syncErr) }

// TestModulesPutFails checks that nothing is left behind, whatever stops an upload.
func TestModulesPutFails(t *testing.T) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	b := bytes.Repeat([]byte("x"), 1000)
	for _, test := range []struct {
		name   string
		ctx    context.Context
		digest string
		r      io.Reader
		room   int
		sync   error
		code   abi.Code
	}{
		{"limit", nil, digest(bytes.Repeat(b, 2)), bytes.NewReader(bytes.Repeat(b, 2)), 1 << 20, nil, abi.TooLarge},
		{"digest", nil, digest(nil), bytes.NewReader(b), 1 << 20, nil, abi.InvalidInput},
		{"no digest", nil, "latest", bytes.NewReader(b), 1 << 20, nil, abi.InvalidInput},
		{"upper case digest", nil, strings.ToUpper(digest(b)), bytes.NewReader(b), 1 << 20, nil, abi.InvalidInput},
		{"cut off", nil, digest(b), io.MultiReader(bytes.NewReader(b[:500]), iotest.ErrReader(io.ErrUnexpectedEOF)), 1 << 20, nil, abi.InvalidInput},
		{"canceled", canceled, digest(b), bytes.NewReader(b), 1 << 20, nil, abi.InvalidInput},
		{"disk full", nil, digest(b), bytes.NewReader(b), 600, nil, abi.NoSpace},
		{"disk full at sync", nil, digest(b), bytes.NewReader(b), 1 << 20, syscall.ENOSPC, abi.NoSpace},
		{"quota at sync", nil, digest(b), bytes.NewReader(b), 1 << 20, syscall.EDQUOT, abi.NoSpace},
	} {
		m, err := openModules(t.TempDir(), 1500)
		if err != nil {
			t.Fatal(err)
		}
		create := m.create
		m.create = func(dir string) (moduleFile, error) {
			f, err := create(dir)
			return &fullDisk{f, test.room, test.sync}, err
		}
		ctx := test.ctx
		if ctx == nil {
			ctx = context.Background()
		}
		n, err := m.Put(ctx, test.digest, test.r)
		if n != 0 || abi.CodeOf(err) != test.code {
			t.Errorf("%s: Put = %d, %v (%s), want %s", test.name, n, err, abi.CodeOf(err), test.code)
		}
		if names := files(t, m.dir); len(names) != 0 {
			t.Errorf("%s: left behind %q", test.name, names)
		}
	}
}

func TestModulesLimitExactly(t *testing.T) {
	m, err := openModules(t.TempDir(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1000, 1001} {
		b := make([]byte, n)
		_, err := m.Put(context.Background(), digest(b), bytes.NewReader(b))
		if want := n > 1000; (err != nil) != want {
			t.Errorf("Put of %d bytes with a limit of 1000: %v", n, err)
		}
	}
}

func TestModulesOpenRemovesPartial(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data [1]") // as a pattern it is another
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "123"+partial), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openModules(dir, 100); err != nil {
		t.Fatal(err)
	}
	if names := files(t, dir); len(names) != 0 {
		t.Errorf("left behind %q", names)
	}
}

func TestModulesCollect(t *testing.T) {
	r, _ := open(t, Config{})
	kept, old, young := deploy(t, r, command(hello)), deploy(t, r, command(hello+"2")), deploy(t, r, command(hello+"3"))
	past := time.Now().Add(-time.Hour)
	for _, v := range []string{kept.Module.Digest, old.Module.Digest} {
		if err := os.Chtimes(r.modules.path(v), past, past); err != nil {
			t.Fatal(err)
		}
	}
	n, err := r.Modules().Collect(map[string]int64{kept.Module.Digest: kept.Module.SizeBytes}, time.Minute)
	if n != 1 || err != nil {
		t.Errorf("Collect = %d, %v, want 1", n, err)
	}
	if !r.Modules().Has(kept.Module.Digest) || !r.Modules().Has(young.Module.Digest) || r.Modules().Has(old.Module.Digest) {
		t.Error("Collect removed the wrong module")
	}
	if _, err := os.Stat(r.codes.disk.code(old.Module.Digest)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("compiled code of a collected module: %v, want none", err)
	}
	if _, n := r.codes.size(); n != 2 {
		t.Errorf("%d modules resident, want 2", n)
	}
}
