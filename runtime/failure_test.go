package runtime

import (
	"errors"
	"strings"
	"testing"
)

func TestTrapReason(t *testing.T) {
	for text, want := range map[string]string{
		"wasm error: unreachable": "unreachable",
		"wasm error: unreachable\nwasm stack trace:\n\t.$7(i32) i32\n\t.$1()":                                                             "unreachable",
		"wasm error: out of bounds memory access\nwasm stack trace:\n\t.<A as B>::get(i32,i64) i32\n\t\tget.rs:7:1\n\t.$1()\n\t._start()": "out of bounds memory access in <A as B>::get, called by _start",
		"wasm error: unreachable\nwasm stack trace:" + strings.Repeat("\n\t.f()", 30) + "\n\t... maybe followed by omitted frames":        "unreachable in f" + strings.Repeat(", called by f", maxFrames-1),
	} {
		if got := trapReason(errors.New(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
