package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// An object gets into a file as another program's output would: with the rights that the file has, or that new ones
// get, and what is no file stays what it is.
func TestGotInto(t *testing.T) {
	dir := t.TempDir()
	get := func(name string) fs.FileMode {
		t.Helper()
		g := got{body: strings.NewReader("cat")}
		if err := g.into(filepath.Join(dir, name), nil); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	umask := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(umask) })
	if mode := get("new"); mode != 0o600 {
		t.Errorf("a new file has mode %v under umask 077", mode)
	}
	for _, want := range []fs.FileMode{0o600, 0o755} {
		if err := os.Chmod(filepath.Join(dir, "new"), want); err != nil {
			t.Fatal(err)
		}
		if mode := get("new"); mode != want {
			t.Errorf("a file of mode %v has %v now", want, mode)
		}
	}
	if err := os.Symlink(os.DevNull, filepath.Join(dir, "null")); err != nil {
		t.Fatal(err)
	}
	if mode := get("null"); mode.IsRegular() {
		t.Errorf("%s is a file now, of mode %v", os.DevNull, mode)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".sett-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
