package runtime

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
)

// cGuest is testdata/c, built once a run where there is a toolchain for it.
var cGuest = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guests")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-o", file, "testdata/c/guest.c")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, &exec.Error{Name: "clang: " + strings.TrimSpace(string(said)), Err: err}
	}
	return os.ReadFile(file)
})

func buildC(t testing.TB) []byte {
	t.Helper()
	b, err := cGuest()
	if err != nil {
		t.Skipf("no C toolchain for WebAssembly: %v", err)
	}
	return b
}

func TestIsolationC(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, buildC(t))
	if v.Module.Isolation != registry.IsolationReset || v.Module.IsolationReason != "" {
		t.Errorf("isolation is %s: %s", v.Module.Isolation, v.Module.IsolationReason)
	}
	proveIsolation(t, r, s, v, "1 1 1 0", askCount)
}
