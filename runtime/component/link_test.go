package component

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero"
)

// pick answers the functions with these names.
func pick(names ...string) (list []function) {
	for _, f := range functions() {
		if slices.Contains(names, f.name) {
			list = append(list, f)
		}
	}
	return list
}

func TestRead(t *testing.T) {
	list := functions()
	tr, err := Read(fixture(list, wasmtest.Libc(), driver(list)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"wasi:http/incoming-handler@0.2.3", "wasi:io/poll@0.2.7", "wasi:logging/logging"} {
		if !slices.Contains(tr.Interfaces, want) {
			t.Errorf("Read: interfaces %v, want %s among them", tr.Interfaces, want)
		}
	}
	if tr.Memory.MinBytes != 100*wasmbin.PageBytes || tr.PostReturn {
		t.Errorf("Read = %+v", tr)
	}
}

// TestOffers finds every function under one name, and each resource's drop under one.
func TestOffers(t *testing.T) {
	list := functions()
	if all := offered(); len(all) != len(list) {
		t.Errorf("%d functions under %d names", len(list), len(all))
	}
}

func TestKey(t *testing.T) {
	for name, want := range map[string]string{
		"wasi:io/poll@0.2.0":                  "wasi:io/poll@0.2",
		"wasi:io/poll@0.2.12":                 "wasi:io/poll@0.2",
		"wasi:io/poll@0.2":                    "wasi:io/poll@0.2",
		"wasi:io/poll@0.3.0":                  "wasi:io/poll@0.3",
		"wasi:io/poll@0.20.1":                 "wasi:io/poll@0.20",
		"wasi:http/types@0.2.0-rc-2023-11-10": "wasi:http/types@0.2-rc-2023-11-10",
		"wasi:keyvalue/store@0.2.0-draft2":    "wasi:keyvalue/store@0.2-draft2",
		"wasi:config/store@0.2.0-rc.1":        "wasi:config/store@0.2",
		"wasi:keyvalue/store@0.2.0-draft":     "wasi:keyvalue/store@0.2",
		"wasi:logging/logging":                "wasi:logging/logging",
		"wasi:logging/logging@0.1.0-draft":    "wasi:logging/logging@0.1",
	} {
		if got := key(name); got != want {
			t.Errorf("key(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestLinkRefuses(t *testing.T) {
	poll := pick("wasi:io/poll@0.2#poll")
	renamed := func(name string) []function { return []function{{name: name, sig: "iii:"}} }
	handler := func(s string) []byte { return []byte(s) }
	replace := func(old, by string) []byte {
		b := string(fixture(poll, wasmtest.Libc(), driver(poll)))
		if !strings.Contains(b, old) {
			t.Fatalf("the component has no %q", old)
		}
		return handler(strings.Replace(b, old, by, 1))
	}
	wide := new(wasmtest.Module)
	wide.Import("host", imported(poll[0]), "iil:")
	wide.Func("handle", "ii:")
	answers := new(wasmtest.Module)
	answers.Import("host", imported(poll[0]), "iii:")
	answers.Func("handle", "ii:i", wasmtest.I32(0))
	second := new(wasmtest.Module)
	second.Import("host", imported(poll[0]), "iii:")
	second.Memory(0, 1)
	second.Func("handle", "ii:")
	alone := wasmtest.NewComponent
	nested := alone()
	for range MaxNesting + 1 {
		nested = alone().Raw(sectionComponent, nested.Bytes())
	}
	bomb := alone()
	for range 10 { // each component instantiates the one inside it four times
		one := wasmtest.Entry(byte(0), 0, 0)
		bomb = wasmtest.NewComponent().Raw(sectionComponent, bomb.Bytes()).Section(sectionInstance, one, one, one, one)
	}
	for _, c := range []struct {
		name      string
		component []byte
		code      abi.Code
		want      string
	}{
		{"unknown interface", fixture(renamed("wasi:nn/tensor@0.2#poll"), wasmtest.Libc(), driver(renamed("wasi:nn/tensor@0.2#poll"))),
			abi.Unsupported, "component imports wasi:nn/tensor@0.2.7, which Sett does not offer"},
		{"unknown function", fixture(renamed("wasi:io/poll@0.2#wink"), wasmtest.Libc(), driver(renamed("wasi:io/poll@0.2#wink"))),
			abi.Unsupported, "component imports wasi:io/poll@0.2.7#wink, which Sett does not offer"},
		{"release candidate", replace("\x12wasi:io/poll@0.2.7", "\x12wasi:io/poll@0.3.7"), abi.Unsupported, "imports wasi:io/poll@0.3.7"},
		{"other signature", fixture(poll, wasmtest.Libc(), wide.Bytes()), abi.InvalidModule,
			"imports wasi:io/poll@0.2#poll as (i32, i32, i64), which Sett offers as (i32, i32, i32)"},
		{"handler's signature", fixture(poll, wasmtest.Libc(), answers.Bytes()), abi.InvalidModule, "has handle as (i32, i32) -> i32, want (i32, i32)"},
		{"two memories", fixture(poll, wasmtest.Libc(), second.Bytes()), abi.Unsupported, "has 2 memories"},
		{"no handler", replace("incoming-handler", "outgoing-handler"), abi.InvalidModule, "exports wasi:http/outgoing-handler@0.2.3, want"},
		{"UTF-16", alone().Section(sectionCanon, wasmtest.Entry(byte(1), byte(0), 0, 1, byte(1))).Bytes(), abi.Unsupported, "not UTF-8"},
		{"async", alone().Section(sectionCanon, wasmtest.Entry(byte(1), byte(0), 0, 1, byte(6))).Bytes(), abi.Unsupported, "WASI 0.3"},
		{"future", alone().Section(sectionType, []byte{0x65, 0}).Bytes(), abi.Unsupported, "WASI 0.3"},
		{"start", alone().Section(sectionStart).Bytes(), abi.Unsupported, "start function"},
		{"index", alone().Section(sectionInstance, wasmtest.Entry(byte(0), 7, 0)).Bytes(), abi.InvalidModule, "index 7"},
		{"outer", alone().Section(sectionAlias, wasmtest.Entry(byte(3), byte(2), 9, 0)).Bytes(), abi.InvalidModule, "further out"},
		{"resources", alone().Section(sectionType, []byte{0x3f, 0x7f, 0}).Section(sectionCanon, wasmtest.Entry(byte(2), 0)).Bytes(), abi.Unsupported, "types of resources"},
		{"imported component", alone().Section(sectionType, []byte{0x41, 0}).Section(sectionImport, wasmtest.Entry(byte(0), "c", byte(4), 0)).Bytes(),
			abi.Unsupported, "imports c, which is no interface"},
		{"nesting", nested.Bytes(), abi.TooLarge, "within each other"},
		{"instances", bomb.Bytes(), abi.TooLarge, "in all its instances"},
		{"long name", alone().Section(sectionImport, wasmtest.Entry(byte(0), strings.Repeat("n", MaxNameBytes+1), byte(5), 0)).Bytes(), abi.TooLarge, "a name of"},
		{"long list", alone().Raw(sectionImport, []byte{0xff, 0xff, 0xff, 0xff, 0xf}).Bytes(), abi.TooLarge, "definitions"},
		{"truncated", alone().Raw(sectionImport, []byte{9}).Bytes(), abi.InvalidModule, "truncated"},
		{"rest", alone().Raw(sectionImport, []byte{0, 0}).Bytes(), abi.InvalidModule, "too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Link(c.component)
			if err == nil || abi.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Link: %v (%s), want %q (%s)", err, abi.CodeOf(err), c.want, c.code)
			}
		})
	}
}

// TestPostReturn links a handler that has something to run behind it.
func TestPostReturn(t *testing.T) {
	for _, sig := range []string{":", "i:"} {
		guest := new(wasmtest.Module)
		guest.Memory(0, 1)
		guest.Func("handle", "ii:")
		guest.Func("after", sig)
		c := wasmtest.NewComponent().
			Raw(sectionCoreModule, guest.Bytes()).
			Section(sectionCoreInstance, wasmtest.Entry(byte(0), 0, 0)).
			Section(sectionAlias, wasmtest.Entry(byte(0), byte(0), byte(1), 0, "handle"), wasmtest.Entry(byte(0), byte(0), byte(1), 0, "after")).
			Section(sectionType, wasmtest.FunctionType()).
			Section(sectionCanon, wasmtest.Entry(byte(0), byte(0), 0, 1, byte(5), 1, 0)).
			Section(sectionInstance, wasmtest.Entry(byte(1), 1, byte(0), "handle", byte(1), 0)).
			Section(sectionExport, wasmtest.Entry(byte(0), "wasi:http/incoming-handler@0.2.0", byte(5), 0, byte(0))).
			Bytes()
		tr, err := Read(c)
		if sig != ":" {
			if abi.CodeOf(err) != abi.InvalidModule || !strings.Contains(err.Error(), "has post-return as (i32), want ()") {
				t.Errorf("Read: %v", err)
			}
			continue
		}
		if err != nil || !tr.PostReturn {
			t.Fatalf("Read: %+v, %v", tr, err)
		}
		linked, err := Link(c)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wasmbin.Read(linked)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.Func(ExportPostReturn); !ok {
			t.Error("the linked module has no post-return")
		}
	}
}

// FuzzLink links any bytes: it answers a module that can be read, or an error with a code, and takes no more memory than
// the bytes account for.
func FuzzLink(f *testing.F) {
	list := pick("wasi:io/poll@0.2#poll", "wasi:clocks/monotonic-clock@0.2#now", drop+"pollable")
	f.Add(fixture(list, wasmtest.Libc(), driver(list)))
	f.Add(wasmtest.NewComponent().Section(sectionType, wasmtest.FunctionType(), wasmtest.InstanceType(), []byte{0x72, 1, 1, 'a', 0x7f}, []byte{0x6a, 1, 0x73, 0}).Bytes())
	f.Add(wasmtest.NewComponent().Raw(sectionComponent, wasmtest.NewComponent().Bytes()).Section(sectionInstance, wasmtest.Entry(byte(0), 0, 0)).Bytes())
	ctx := context.Background()
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		linked, err := Link(data)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20+2000*uint64(len(data)) {
			t.Fatalf("%d bytes allocated to link %d", n, len(data))
		}
		var e *wasmbin.Error
		switch {
		case err != nil && abi.CodeOf(err) == abi.Internal && !errors.As(err, &e):
			t.Fatalf("an error without a code: %v", err)
		case err != nil:
			return
		}
		if _, err := wasmbin.Rewrite(linked); err == nil {
			if code, err := engine.CompileModule(ctx, linked); err == nil {
				code.Close(ctx)
			}
		}
	})
}

// TestSignatures compares what is offered with what a compiler of components makes of the interfaces' definitions:
// testdata holds the core signature of each function of WASI 0.2.12, of what is unstable in it too, and of wasi:keyvalue
// 0.2.0-draft2, wasi:config 0.2.0-rc.1 and wasi:logging 0.1.0-draft. Source: wasm-tools' component embed --dummy.
func TestSignatures(t *testing.T) {
	text, err := os.ReadFile("testdata/signatures.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := offered()
	for line := range strings.Lines(string(text)) {
		name, sig, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch f := all[name]; {
		case f == nil:
			t.Errorf("%s is not offered", name)
		case f.sig != sig:
			t.Errorf("%s is offered as %s, want %s", name, f.sig, sig)
		}
		delete(all, name)
	}
	for name, f := range all {
		// What is left are other versions of interfaces, which have the same functions.
		twin := strings.NewReplacer("config/runtime", "config/store", "keyvalue/store@0.2", "keyvalue/store@0.2-draft2",
			"keyvalue/batch@0.2", "keyvalue/batch@0.2-draft2", "keyvalue/atomics@0.2", "keyvalue/atomics@0.2-draft2",
			"logging/logging#", "logging/logging@0.1#").Replace(name)
		if g := offered()[twin]; (g == nil || g.sig != f.sig) && !strings.HasSuffix(name, "list-keys") {
			t.Errorf("%s is offered, and nobody knows it", name)
		}
	}
}
