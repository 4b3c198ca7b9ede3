package host_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// guest makes a module with a page of memory that exports every function of the host.
func guest(t testing.TB) api.Module {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { r.Close(ctx) })
	if err := host.Instantiate(ctx, r); err != nil {
		t.Fatal(err)
	}
	m := new(wasmtest.Module)
	functions := host.Functions()
	for _, f := range functions {
		m.Import(abi.HostModule, f.Name, signature(f))
	}
	m.Memory(0, 1)
	for i, f := range functions {
		var code [][]byte
		for p := range f.Params {
			code = append(code, wasmtest.Get(uint32(p)))
		}
		m.Func(f.Name, signature(f), append(code, wasmtest.Call(uint32(i)))...)
	}
	mod, err := r.Instantiate(ctx, m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return mod
}

func signature(f host.Function) string {
	return strings.Repeat("i", len(f.Params)) + ":" + strings.Repeat("i", len(f.Results))
}

// TestCalls calls each function at each moment of an instance's life.
func TestCalls(t *testing.T) {
	description := string(abi.AppendDescription(nil, &abi.Description{ABI: 1, Handles: []string{"h"}}))
	const page = 1 << 16
	for _, test := range []struct {
		name   string
		phase  host.Phase
		call   string
		params []uint64
		result uint64
		trap   string // empty: none
		check  func(c *host.Call, mem api.Memory) bool
	}{
		{"event", host.Handling, abi.ImportEventRead, []uint64{100, 5}, 5, "", memory(100, "event\x00")},
		{"event with room", host.Handling, abi.ImportEventRead, []uint64{100, 1 << 30}, 5, "", memory(100, "event\x00")},
		{"event in part", host.Handling, abi.ImportEventRead, []uint64{100, 2}, 5, "", memory(100, "ev\x00")},
		{"event's length", host.Handling, abi.ImportEventRead, []uint64{0, 0}, 5, "", nil},
		{"event at the end", host.Handling, abi.ImportEventRead, []uint64{page - 5, 5}, 5, "", memory(page-5, "event")},
		{"event outside", host.Handling, abi.ImportEventRead, []uint64{page - 4, 5}, 0, "event_read: 5 bytes at 65532 are outside of memory", nil},
		{"event too early", host.Initializing, abi.ImportEventRead, []uint64{100, 5}, 0, "", memory(100, "\x00")},
		{"event while describing", host.Describing, abi.ImportEventRead, []uint64{100, 5}, 0, "", nil},
		{"reply", host.Handling, abi.ImportReplyWrite, []uint64{8, 4}, 0, "", func(c *host.Call, _ api.Memory) bool {
			return c.Replied && string(c.Reply) == "\x00\x00\x00\x00"
		}},
		{"empty reply", host.Handling, abi.ImportReplyWrite, []uint64{0, 0}, 0, "", func(c *host.Call, _ api.Memory) bool {
			return c.Replied && len(c.Reply) == 0
		}},
		{"reply at the limit", host.Handling, abi.ImportReplyWrite, []uint64{0, 1000}, 0, "", nil},
		{"reply over the limit", host.Handling, abi.ImportReplyWrite, []uint64{0, 1001}, 0, "reply_write: a reply of 1001 bytes is over the limit of 1000", nil},
		{"reply outside", host.Handling, abi.ImportReplyWrite, []uint64{page, 1}, 0, "outside of memory", nil},
		{"reply too early", host.Initializing, abi.ImportReplyWrite, []uint64{0, 1}, 0, "no event is being handled", nil},
		{"reply while describing", host.Describing, abi.ImportReplyWrite, []uint64{0, 1}, 0, "no event is being handled", nil},
		{"description", host.Describing, abi.ImportDescribe, []uint64{200, uint64(len(description))}, 0, "", func(c *host.Call, _ api.Memory) bool {
			return c.Description != nil && c.Description.Handles[0] == "h"
		}},
		{"malformed description", host.Describing, abi.ImportDescribe, []uint64{0, 4}, 0, "malformed message", nil},
		{"description outside", host.Describing, abi.ImportDescribe, []uint64{0, page + 1}, 0, "outside of memory", nil},
		{"description too late", host.Handling, abi.ImportDescribe, []uint64{200, 1}, 0, "nobody asks", nil},
		{"log", host.Initializing, abi.ImportLogWrite, []uint64{4, 200, 3}, 0, "", logged(4, 3)},
		{"negative level", host.Handling, abi.ImportLogWrite, []uint64{1<<32 - 4, 200, 3}, 0, "", logged(-4, 3)},
		{"longest log", host.Handling, abi.ImportLogWrite, []uint64{0, 0, page}, 0, "", logged(0, host.MaxRecordBytes)},
		{"log outside", host.Handling, abi.ImportLogWrite, []uint64{0, 1, page}, 0, "log_write: 65536 bytes at 1 are outside", nil},
		{"run", host.Handling, abi.ImportRunMarker, nil, 0, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			mod := guest(t)
			mod.Memory().WriteString(200, description)
			c := &host.Call{Phase: test.phase, Event: []byte("event"), MaxReplyBytes: 1000}
			c.Log = func(level int32, record []byte) { c.Event = append([]byte{byte(level)}, record...) }
			out, err := mod.ExportedFunction(test.call).Call(context.WithValue(context.Background(), host.Key{}, c), test.params...)
			var trap *host.Trap
			if test.trap != "" {
				if !errors.As(err, &trap) || !strings.Contains(trap.Reason, test.trap) {
					t.Fatalf("%s: %v, want trap %q", test.call, err, test.trap)
				}
				if c.Replied || c.Description != nil {
					t.Errorf("%s traps and has an effect", test.call)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(out) > 0 && out[0] != test.result {
				t.Errorf("%s = %d, want %d", test.call, out[0], test.result)
			}
			if test.check != nil && !test.check(c, mod.Memory()) {
				t.Errorf("%s%v left %+v", test.call, test.params, c)
			}
		})
	}
}

func memory(at uint32, want string) func(*host.Call, api.Memory) bool {
	return func(_ *host.Call, mem api.Memory) bool {
		b, ok := mem.Read(at, uint32(len(want)))
		return ok && string(b) == want
	}
}

func logged(level int32, n int) func(*host.Call, api.Memory) bool {
	return func(c *host.Call, _ api.Memory) bool { return len(c.Event) == n+1 && c.Event[0] == byte(level) }
}

// TestReplyIsACopy checks that a guest cannot change what it has replied, and that the last reply counts.
func TestReplyIsACopy(t *testing.T) {
	mod := guest(t)
	c := &host.Call{Phase: host.Handling, MaxReplyBytes: 1000}
	ctx := context.WithValue(context.Background(), host.Key{}, c)
	for _, text := range []string{"first", "second"} {
		mod.Memory().WriteString(0, text)
		if _, err := mod.ExportedFunction(abi.ImportReplyWrite).Call(ctx, 0, uint64(len(text))); err != nil {
			t.Fatal(err)
		}
		mod.Memory().WriteString(0, "changed")
		if string(c.Reply) != text {
			t.Errorf("Reply = %q, want %q", c.Reply, text)
		}
	}
}
