package wasmbin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// addSpecs gives a fuzz target every n-th of the specification's modules.
func addSpecs(f *testing.F, n int) {
	files, _ := filepath.Glob(filepath.Join(specFolder(f), "*", "testdata", "*.wasm"))
	if len(files) < 5000 {
		f.Fatalf("%d modules of the specification's tests, want 5,000", len(files))
	}
	for i := 0; i < len(files); i += n {
		data, err := os.ReadFile(files[i])
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 8<<10 {
			f.Add(data)
		}
	}
}

// FuzzRewrite checks Rewrite against the engine's own validation: what the engine accepts, it accepts rewritten, and
// what it refuses never becomes valid.
func FuzzRewrite(f *testing.F) {
	addSpecs(f, 7)
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(allFeatures))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Rewrite(data)
		if err != nil && (refusable(err) || errors.Is(err, ErrTruncated) || !plausible(data)) {
			return
		}
		before := compile(r, withoutCustoms(data))
		if err != nil {
			if before == nil && !stricter(err) {
				t.Fatalf("the engine accepts what Rewrite refuses: %v", err)
			}
			return
		}
		after := compile(r, m.Bytes)
		switch {
		case before == nil && after != nil:
			t.Fatalf("the engine refuses the rewritten module: %v", after)
		case before != nil && after == nil:
			t.Fatalf("the engine refuses the module, and accepts it rewritten: %v", before)
		}
	})
}

// compile compiles a module. The engine's validation panics over some that Rewrite refuses.
func compile(r wazero.Runtime, data []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the engine panics: %v", p)
		}
	}()
	code, err := r.CompileModule(context.Background(), data)
	if err == nil {
		code.Close(context.Background())
	}
	return err
}

// plausible says whether each section has as many bytes as it claims to have entries. The engine dies of some
// modules for which that does not hold.
func plausible(data []byte) bool {
	m := &module{data: data}
	if m.split() != nil {
		return false
	}
	for id, s := range m.sections {
		r := &reader{data: data, at: s.from, end: s.to}
		if id != startSection && id != dataCountSection && int64(r.u32()) > int64(s.len()) {
			return false
		}
	}
	return true
}

// stricter says whether Rewrite refuses what the specification does not allow and the engine does not look at.
func stricter(err error) bool {
	return regexp.MustCompile(`value type 0x|number is longer|data count section|unknown type \d+|table of`).MatchString(err.Error())
}

// refusable says whether Rewrite may refuse what the engine accepts: for its limits and its names.
func refusable(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Fault == TooLarge || strings.Contains(e.Reason, "reserved"))
}

// withoutCustoms answers a module without its custom sections. Rewrite drops them, or writes them anew; the engine
// refuses some that are well formed and takes minutes over others.
func withoutCustoms(data []byte) []byte {
	m := &module{data: data}
	if m.split() != nil {
		return data
	}
	out := append([]byte(nil), data[:8]...)
	for place := byte(1); place < sections; place++ {
		if id := sectionAt(place); m.has[id] {
			out = appendSection(out, id, m.content(id))
		}
	}
	return out
}

// FuzzDecode checks that reading takes no more memory than the bytes it reads account for.
func FuzzDecode(f *testing.F) {
	addSpecs(f, 7)
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x01\x05\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		info, err := Read(data)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20+200*uint64(len(data)) {
			t.Fatalf("%d bytes allocated to read %d", n, len(data))
		}
		if err == nil && info == nil {
			t.Fatal("neither a module nor an error")
		}
	})
}

// FuzzRun runs what a module exports, rewritten and as it is: both must come out the same. The rewritten one goes
// first, with little fuel, so that nothing runs for long.
func FuzzRun(f *testing.F) {
	addSpecs(f, 23)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Rewrite(data)
		if err != nil || m.Flags.Has(Threads) || m.Memory != nil && m.Memory.Min > 64 || importsMemory(data) {
			return
		}
		rewritten, original := newWorld(t, api.CoreFeaturesV2, true), newWorld(t, api.CoreFeaturesV2, false)
		rewritten.limit = 200_000
		got, err := rewritten.load(data, "")
		if err != nil && (errors.Is(err, errFuel) || errors.Is(err, errStack)) {
			return
		}
		want, wantErr := original.load(withoutCustoms(data), "")
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("instantiated: %v, want %v", err, wantErr)
		}
		if err != nil {
			return
		}
		exports := got.ExportedFunctionDefinitions()
		for _, name := range slices.Sorted(maps.Keys(exports)) {
			d := exports[name]
			if name == StartExport {
				continue
			}
			rewritten.granted = 0
			args := make([]uint64, 2*len(d.ParamTypes()))
			args = args[:words(d.ParamTypes())]
			for i := range args {
				args[i] = uint64(3 * (i + 1))
			}
			results, err := got.ExportedFunction(name).Call(context.Background(), args...)
			got.restoreStack()
			if errors.Is(err, errFuel) || errors.Is(err, errStack) {
				return
			}
			wantResults, wantErr := want.ExportedFunction(name).Call(context.Background(), args...)
			a, b := outcome(results, d.ResultTypes(), err), outcome(wantResults, d.ResultTypes(), wantErr)
			if a != b {
				t.Fatalf("%s: %s, want %s", name, a, b)
			}
		}
		if got.memory != nil && string(got.memory.buf) != string(want.memory.buf) {
			t.Fatal("memories differ")
		}
	})
}

func importsMemory(data []byte) bool {
	m, err := decode(data)
	return err == nil && m.importedMemories > 0
}

// words is how many words values of these types take on the engine's stack.
func words(types []api.ValueType) int {
	n := len(types)
	for _, t := range types {
		if t == 0x7b {
			n++
		}
	}
	return n
}
