package runtime

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// module assembles a module with a memory by running build.
func module(build func(m *wasmtest.Module)) []byte {
	m := new(wasmtest.Module)
	build(m)
	return m.Bytes()
}

// TestPrepareRefuses is every kind of upload that no node can run, each refused by name.
func TestPrepareRefuses(t *testing.T) {
	good := command(hello)
	start := func(m *wasmtest.Module) { m.Func("_start", "") }
	for _, test := range []struct {
		name   string
		module []byte
		code   abi.Code
		want   string
	}{
		{"text", []byte("#!/bin/sh\necho hello\n"), abi.InvalidModule, "not a WebAssembly binary"},
		{"empty", nil, abi.InvalidModule, "not a WebAssembly binary"},
		{"truncated", good[:len(good)/2], abi.InvalidModule, "truncated"},
		{"component without a handler", []byte("\x00asm\x0d\x00\x01\x00"), abi.InvalidModule, "component exports nothing, want wasi:http/incoming-handler@0.2"},
		{"component of another format", []byte("\x00asm\x0c\x00\x01\x00\x00"), abi.Unsupported, "module is a WebAssembly component of a version of the format that this node does not read"},
		{"unknown imports", module(func(m *wasmtest.Module) {
			m.Import("env", "foo", "")
			m.Import("wasi_snapshot_preview1", "fd_dance", "i:i")
			m.Memory(0, 1)
			start(m)
		}), abi.InvalidModule, "module imports env.foo, wasi_snapshot_preview1.fd_dance, which no host offers"},
		{"many unknown imports", module(func(m *wasmtest.Module) {
			for i := range 25 {
				m.Import("env", fmt.Sprintf("f%d", i), "")
			}
			m.Memory(0, 1)
			start(m)
		}), abi.InvalidModule, "env.f19 and 5 more, which no host offers"},
		{"other signature", module(func(m *wasmtest.Module) {
			m.Import(wasip1.ModuleName, "fd_write", "ii:i")
			m.Memory(0, 1)
			start(m)
		}), abi.InvalidModule, "module imports wasi_snapshot_preview1.fd_write as (i32, i32) -> i32, which the host offers as (i32, i32, i32, i32) -> i32"},
		{"shared memory", module(func(m *wasmtest.Module) {
			m.Memory(3, 1)
			start(m)
		}), abi.Unsupported, "threads and shared memory are not offered"},
		{"imported shared memory", module(func(m *wasmtest.Module) {
			m.ImportMemory("env", "memory", 3, 1)
			start(m)
		}), abi.Unsupported, "threads and shared memory are not offered"},
		{"64-bit memory", module(func(m *wasmtest.Module) {
			m.Memory(4, 1)
			start(m)
		}), abi.Unsupported, "memory64 is not offered"},
		{"two memories", module(func(m *wasmtest.Module) {
			m.Memory(0, 1)
			m.Memory(0, 1)
		}), abi.Unsupported, "module has 2 memories: more than one is not offered"},
		{"no memory", module(start), abi.InvalidModule, "module has no memory"},
		{"huge table", module(func(m *wasmtest.Module) {
			m.Memory(0, 1)
			m.Table(1 << 26)
			start(m)
		}), abi.TooLarge, "more than 1048576 elements"},
		{"no entry point", module(func(m *wasmtest.Module) {
			m.Memory(0, 1)
			m.Func("main", "")
		}), abi.InvalidModule, "module has no entry point"},
		{"reactor without handle", module(func(m *wasmtest.Module) {
			m.Memory(0, 1)
			m.Func("_initialize", "")
		}), abi.InvalidModule, "reactor without sett_handle"},
		{"handle without initialize", module(func(m *wasmtest.Module) {
			m.Memory(0, 1)
			m.Func("sett_handle", "i:i", wasmtest.I32(0))
		}), abi.InvalidModule, "exports sett_handle but not _initialize"},
		{"no version", module(func(m *wasmtest.Module) {
			m.Memory(0, 1)
			m.Func("_initialize", "")
			m.Func("sett_handle", "i:i", wasmtest.I32(0))
		}), abi.InvalidModule, "exports sett_handle but not sett_abi_version"},
		{"handle's signature", module(func(m *wasmtest.Module) {
			m.Memory(0, 1)
			m.Func("_initialize", "")
			m.Func("sett_abi_version", ":i", wasmtest.I32(1))
			m.Func("sett_handle", "ii:i", wasmtest.I32(0))
		}), abi.InvalidModule, "module exports sett_handle as (i32, i32) -> i32, want (i32) -> i32"},
		{"start's signature", module(func(m *wasmtest.Module) {
			m.Memory(0, 1)
			m.Func("_start", "i")
		}), abi.InvalidModule, "module exports _start as (i32), want ()"},
		{"SDK command", module(func(m *wasmtest.Module) {
			m.Import(abi.HostModule, abi.ImportEventRead, "ii:i")
			m.Memory(0, 1)
			start(m)
		}), abi.InvalidModule, "was built as a command; add -buildmode=c-shared"},
		{"SDK command with its exports", module(func(m *wasmtest.Module) {
			m.Import(abi.HostModule, abi.ImportEventRead, "ii:i")
			m.Memory(0, 1)
			m.Func("sett_handle", "i:i", wasmtest.I32(0))
			start(m)
		}), abi.InvalidModule, "was built as a command; add -buildmode=c-shared"},
		{"invalid code", module(func(m *wasmtest.Module) {
			m.Memory(0, 1)
			m.Func("_start", "", wasmtest.Add())
		}), abi.InvalidModule, "compile module: "},
		{"too much memory", module(func(m *wasmtest.Module) {
			m.Memory(0, 3200)
			start(m)
		}), abi.InvalidModule, "module starts with 200 MB of memory, more than the function's limit of 128 MB"},
		{"other version", settModule{version: 9, handle: [][]byte{wasmtest.I32(0)}}.bytes(), abi.InvalidModule,
			"module speaks version 9 of the binary interface, this node version 1"},
		{"initialize traps", settModule{version: 1, text: "bad news\n", initialize: [][]byte{
			wasmtest.Write(fdWrite, 2, 64, 9), wasmtest.Unreachable()}, handle: [][]byte{wasmtest.I32(0)}}.bytes(),
			abi.InvalidModule, "; it wrote: bad news"},
		{"initialize replies", settModule{version: 1, initialize: [][]byte{
			wasmtest.I32(0), wasmtest.I32(0), wasmtest.Call(replyWrite)}, handle: [][]byte{wasmtest.I32(0)}}.bytes(),
			abi.InvalidModule, "initialize module: reply_write: no event is being handled"},
		{"start function traps", module(func(m *wasmtest.Module) {
			m.Memory(0, 1)
			start(m)
			m.Start(m.Func("", "", wasmtest.Unreachable()))
		}), abi.InvalidModule, "initialize module: trap: unreachable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := open(t, Config{})
			v := upload(t, r, test.module)
			_, err := r.Prepare(context.Background(), v)
			if abi.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Prepare: %v (%s), want %q (%s)", err, abi.CodeOf(err), test.want, test.code)
			}
			if v.Module.Kind != "" || v.Module.SizeBytes != 0 {
				t.Errorf("Module = %+v, want it as it was", v.Module)
			}
			checkNothingLeft(t, r)
		})
	}
}

// TestRunMarker checks that a command which serves the SDK's handlers on purpose is a command.
func TestRunMarker(t *testing.T) {
	r, _ := open(t, Config{})
	v := deploy(t, r, module(func(m *wasmtest.Module) {
		m.Import(abi.HostModule, abi.ImportEventRead, "ii:i")
		m.Import(abi.HostModule, abi.ImportRunMarker, "")
		m.Memory(0, 1)
		m.Func("_start", "", wasmtest.Call(1))
	}))
	if v.Module.Kind != registry.KindCommand {
		t.Errorf("Kind = %s, want command", v.Module.Kind)
	}
}

func TestHandlerMustExist(t *testing.T) {
	r, _ := open(t, Config{})
	described := replying(&abi.Reply{})
	described.describe = &abi.Description{ABI: 1, Handles: []string{"resize"}}
	for _, test := range []struct {
		module        []byte
		handler, want string
	}{
		{described.bytes(), "resize", ""},
		{described.bytes(), "", ""},
		{described.bytes(), "size", "handler size: the module has no such handler; it has resize"},
		{replying(&abi.Reply{}).bytes(), "x", "does not say which handlers it has"},
		{command(hello), "x", "the module is a command, which has no named handlers"},
	} {
		v := upload(t, r, test.module)
		v.Settings.Handler = test.handler
		_, err := r.Prepare(context.Background(), v)
		if test.want == "" && err != nil || test.want != "" && (abi.CodeOf(err) != abi.InvalidInput || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("Prepare with handler %q: %v, want %q", test.handler, err, test.want)
		}
	}
}

func TestPrepareUnknownModule(t *testing.T) {
	r, _ := open(t, Config{})
	v := &registry.Version{Module: registry.Module{Digest: digest([]byte("nothing"))}}
	if _, err := r.Prepare(context.Background(), v); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Prepare: %v, want not_found", err)
	}
	res, err := r.Invoke(context.Background(), v, event())
	if abi.CodeOf(err) != abi.Unavailable || res == nil {
		t.Errorf("Invoke: %v, %v, want unavailable", res, err)
	}
}

// FuzzRecognise checks that any upload is recognised or refused with a code that is the uploader's.
func FuzzRecognise(f *testing.F) {
	f.Add(command(hello))
	f.Add(replying(&abi.Reply{Body: []byte("x")}).bytes())
	f.Add(bytes.Repeat([]byte("\x00asm"), 10))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := recognise(b)
		switch code := abi.CodeOf(err); code {
		case "":
			if k.Kind == "" {
				t.Error("recognised as nothing")
			}
		case abi.InvalidModule, abi.Unsupported, abi.TooLarge:
		default:
			t.Errorf("recognise: %v has code %s", err, code)
		}
	})
}
