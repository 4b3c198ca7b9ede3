package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
)

// toolGuest builds a guest that needs more than Go. Where that is missing the test is skipped with the reason; with
// SETT_TEST_ALL it fails.
func toolGuest(t testing.TB, build func() ([]byte, error)) []byte {
	t.Helper()
	b, err := build()
	switch {
	case err == nil:
		return b
	case os.Getenv("SETT_TEST_ALL") != "":
		t.Fatal(err)
	}
	t.Skip(err)
	return nil
}

func buildC(t testing.TB) []byte    { t.Helper(); return toolGuest(t, cGuest) }
func buildJS(t testing.TB) []byte   { t.Helper(); return toolGuest(t, jsGuest) }
func buildRust(t testing.TB) []byte { t.Helper(); return toolGuest(t, rustGuest) }

// cGuest is testdata/c, built once a run where there is a toolchain for it.
var cGuest = sync.OnceValues(func() ([]byte, error) {
	return compile("clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "testdata/c/guest.c")
})

// jsGuest is testdata/js with QuickJS 2021-03-27, whose sources are in the directory SETT_QUICKJS.
var jsGuest = sync.OnceValues(func() ([]byte, error) {
	sources := os.Getenv("SETT_QUICKJS")
	if sources == "" {
		return nil, errors.New("guests in JavaScript need QuickJS: SETT_QUICKJS names no directory of its sources")
	}
	script, err := os.ReadFile("testdata/js/guest.js")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "guests")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var header strings.Builder
	header.WriteString("static const unsigned char script[] = {")
	for _, b := range append(script, 0) {
		fmt.Fprintf(&header, "%d,", b)
	}
	header.WriteString("};\n")
	if err := os.WriteFile(filepath.Join(dir, "script.h"), []byte(header.String()), 0o600); err != nil {
		return nil, err
	}
	args := []string{"clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-w", "-D_GNU_SOURCE", "-DEMSCRIPTEN",
		`-DCONFIG_VERSION="guest"`, "-DFE_DOWNWARD=0", "-DFE_UPWARD=0", // WebAssembly rounds to nearest alone
		"-Wl,-z,stack-size=1048576", "-I", dir, "-I", sources, "testdata/js/guest.c", "-lm"}
	for _, name := range []string{"quickjs.c", "cutils.c", "libregexp.c", "libunicode.c", "libbf.c"} {
		args = append(args, filepath.Join(sources, name))
	}
	return compile(args...)
})

// rustGuest is testdata/rust, built by the first compiler that has the standard library for WASI.
var rustGuest = sync.OnceValues(func() (b []byte, err error) {
	for _, compiler := range []string{"rustc", "/usr/bin/rustc"} {
		for _, target := range []string{"wasm32-wasip1", "wasm32-wasi"} {
			b, err = compile(compiler, "--edition", "2021", "--target", target, "-O", "-C", "strip=symbols", "testdata/rust/guest.rs")
			if err == nil {
				return b, nil
			}
		}
	}
	return nil, err
})

// compile runs a compiler, which is told where to write, and answers what it wrote.
func compile(command ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "guests")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command(command[0], append(command[1:], "-o", file)...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %.500s", command[0], err, said)
	}
	return os.ReadFile(file)
}

func TestIsolationC(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, buildC(t))
	if v.Module.Isolation != registry.IsolationReset || v.Module.IsolationReason != "" {
		t.Errorf("isolation is %s: %s", v.Module.Isolation, v.Module.IsolationReason)
	}
	proveIsolation(t, r, s, v, "1 1 1 0", askCount)
}

func TestIsolationJS(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, buildJS(t))
	if v.Module.Isolation != registry.IsolationReset || v.Module.IsolationReason != "" {
		t.Errorf("isolation is %s: %s", v.Module.Isolation, v.Module.IsolationReason)
	}
	proveIsolation(t, r, s, v, "1 1 1 1", askCount)
}
