package wasmbin

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// goGuest builds a guest of testdata with the Go toolchain. The race detector, which finds nothing where nothing is concurrent,
// makes compiling it take half a minute: with -short the test is skipped.
func goGuest(t testing.TB, name string, flags ...string) []byte {
	t.Helper()
	if testing.Short() {
		t.Skip("compiling a guest in Go is slow")
	}
	out := filepath.Join(t.TempDir(), name+".wasm")
	args := append(append([]string{"build", "-trimpath"}, flags...), "-o", out, "./testdata/guests/"+name)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	return built(t, cmd, out)
}

// cGuest builds the guest in C, where there is a compiler for it; with SETT_TEST_ALL there has to be one.
func cGuest(t testing.TB) []byte {
	t.Helper()
	for _, tool := range []string{"clang", "wasm-ld"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("SETT_TEST_ALL") == "" {
			t.Skipf("guests in C need %s", tool)
		}
	}
	out := filepath.Join(t.TempDir(), "c.wasm")
	return built(t, exec.Command("clang", "--target=wasm32", "-O2", "-nostdlib", "-mbulk-memory", "-Wl,--no-entry",
		"-o", out, "testdata/guests/c/kernels.c"), out)
}

func built(t testing.TB, cmd *exec.Cmd, file string) []byte {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var errExit = errors.New("exit")

// offerWASI offers WASI preview 1, with an exit that leaves the instance open.
func offerWASI(t testing.TB, w *world) {
	t.Helper()
	ctx := context.Background()
	b := w.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	b.NewFunctionBuilder().WithFunc(func(uint32) { panic(errExit) }).Export("proc_exit")
	if _, err := b.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
}

// kernels are exports of the guests that compute something from a size, with one for tests and one for benchmarks.
func kernels() []kernel {
	return []kernel{
		{"c", "empty", 1000, 3_000_000}, {"c", "fib", 12, 24}, {"c", "sort", 2000, 20_000}, {"c", "crc", 3000, 200_000},
		{"c", "matrix", 1, 6}, {"c", "sieve", 3000, 200_000}, {"c", "interpret", 3000, 300_000},
		{"c", "parse", 40, 4000}, {"c", "tree", 500, 5000}, {"c", "copies", 2000, 50_000},
		{"go", "fib", 12, 22}, {"go", "sort", 1000, 10_000}, {"go", "sha", 3, 100}, {"go", "json", 3, 30},
		{"go", "regexp", 2, 10}, {"go", "map", 3000, 40_000},
	}
}

type kernel struct {
	guest, name string
	few, many   uint64
}

func (k kernel) String() string { return k.guest + "/" + k.name }

// start instantiates a guest and initialises it.
func start(t testing.TB, data []byte, rewritten bool) (*world, *instance) {
	t.Helper()
	w := newWorld(t, api.CoreFeaturesV2, rewritten)
	w.slice = 100_000
	offerWASI(t, w)
	i := mustLoad(t, w, data)
	if f := i.ExportedFunction("_initialize"); f != nil {
		if _, err := f.Call(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if rewritten {
		i.takeImage()
	}
	return w, i
}

// TestGuests: guests compute what they did, and after a reset again, at the same price.
func TestGuests(t *testing.T) {
	for guest, build := range map[string]func(testing.TB) []byte{
		"c": cGuest, "go": func(t testing.TB) []byte { return goGuest(t, "go", "-buildmode=c-shared") },
	} {
		t.Run(guest, func(t *testing.T) {
			data := build(t)
			_, plain := start(t, data, false)
			w, i := start(t, data, true)
			if i.rewritten.Flags.Has(Counted | Shared) {
				t.Errorf("Flags = %v", i.rewritten.Flags)
			}
			for _, k := range kernels() {
				if k.guest != guest {
					continue
				}
				want, err := plain.call(t, k.name, k.few)
				if err != nil {
					t.Fatal(err)
				}
				var fuel [2]int64
				for round := range fuel {
					before := w.used(i)
					if got, err := i.call(t, k.name, k.few); err != nil || got != want {
						t.Errorf("%s = %d, %v, want %d", k, got, err, want)
					}
					fuel[round] = w.used(i) - before
					i.reset(t)
					if !i.same() {
						t.Fatalf("%s: a reset instance differs from its image", k)
					}
				}
				if fuel[0] != fuel[1] || fuel[0] <= 0 {
					t.Errorf("%s: %d and %d fuel used", k, fuel[0], fuel[1])
				}
			}
		})
	}
}

// TestGuestState: what a call leaves behind, however it ends, is gone after a reset.
func TestGuestState(t *testing.T) {
	w, i := start(t, goGuest(t, "go", "-buildmode=c-shared"), true)
	for round := range 40 {
		name, arg, fails := "visit", uint64(round), ""
		switch {
		case round%7 == 6:
			name, fails = "fail", "unreachable"
		case round%11 == 10:
			name, fails = "exit", "exit"
		case round == 20:
			name, fails = "recurse", errStack.Error()
		}
		got, err := i.call(t, name, arg)
		switch {
		case fails != "" && (err == nil || !strings.Contains(err.Error(), fails)):
			t.Errorf("%s: %v, want %s", name, err, fails)
		case fails == "" && (err != nil || got != 1):
			t.Errorf("%s = %d, %v, want 1", name, got, err)
		}
		i.reset(t)
		if !i.same() {
			t.Fatalf("round %d: a reset instance differs from its image", round)
		}
		i.ExportedGlobal(FuelGlobal).(api.MutableGlobal).Set(0)
		w.granted = 0
	}
}

// TestOtherCompilers runs the commands that the engine's module archive carries, of TinyGo, Rust, Zig and C: their
// output and end must be the same.
func TestOtherCompilers(t *testing.T) {
	root := filepath.Join(specFolder(t), "..", "..", "..")
	ran := 0
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".wasm" || strings.Contains(path, "spectest") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if m, err := Read(data); err != nil || !hasStart(m) {
			return nil
		}
		got := runCommand(t, data, true)
		if strings.Contains(got, errFuel.Error()) { // one that never ends
			return nil
		}
		want := runCommand(t, data, false)
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		if strings.Contains(want, "exit") || strings.HasSuffix(want, "<nil>") {
			ran++
		}
		return nil
	})
	if err != nil || ran < 8 {
		t.Errorf("%d commands ran to their end, want 8: %v", ran, err)
	}
}

func hasStart(m *Module) bool {
	_, ok := m.Func("_start")
	return ok
}

// runCommand runs a command and answers all it said.
func runCommand(t *testing.T, data []byte, rewritten bool) string {
	w := newWorld(t, allFeatures, rewritten)
	offerWASI(t, w)
	w.limit = 1_000_000
	var out bytes.Buffer
	w.config = wazero.NewModuleConfig().WithStdin(strings.NewReader("some input\n")).WithStdout(&out).WithStderr(&out).
		WithArgs("command", "2", "3").WithEnv("A", "b")
	i, err := w.load(data, "")
	if err != nil {
		return "not instantiated"
	}
	_, err = i.call(t, "_start")
	if err != nil {
		return out.String() + class(err)
	}
	return out.String() + "<nil>"
}

// TestCommand: a command answers the same, byte for byte.
func TestCommand(t *testing.T) {
	data := goGuest(t, "command")
	var outputs [2]string
	for k, rewritten := range []bool{false, true} {
		w := newWorld(t, api.CoreFeaturesV2, rewritten)
		offerWASI(t, w)
		var out, log bytes.Buffer
		w.config = wazero.NewModuleConfig().WithStdin(strings.NewReader("a set is a set is a sett")).WithStdout(&out).
			WithStderr(&log).WithArgs("command", "x", "y").WithEnv("NAME", "badger")
		i := mustLoad(t, w, data)
		_, err := i.call(t, "_start")
		if !errors.Is(err, errExit) {
			t.Errorf("_start: %v, want %v", err, errExit)
		}
		outputs[k] = out.String() + log.String()
	}
	if want := "a 3\nis 2\nset 2\nsett 1\ndone: 4 [x y] badger\n"; outputs[0] != want || outputs[1] != want {
		t.Errorf("output = %q, rewritten %q, want %q", outputs[0], outputs[1], want)
	}
}
