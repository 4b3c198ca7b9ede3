// A guest for tests: a sett module without the SDK. Its reply tells how often this instance was called and
// what it was given.
package main

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/sett-run/sett/sdk/abi"
)

//go:wasmimport sett event_read
func eventRead(ptr unsafe.Pointer, n int32) int32

//go:wasmimport sett reply_write
func replyWrite(ptr unsafe.Pointer, n int32)

//go:wasmimport sett description_write
func descriptionWrite(ptr unsafe.Pointer, n int32)

//go:wasmimport sett log_write
func logWrite(level int32, ptr unsafe.Pointer, n int32)

var calls int

//go:wasmexport sett_abi_version
func version() int32 { return abi.Version }

//go:wasmexport sett_describe
func describe() {
	b := abi.AppendDescription(nil, &abi.Description{ABI: abi.Version, SDK: "test", Handles: []string{"panic"}})
	descriptionWrite(unsafe.Pointer(&b[0]), int32(len(b)))
}

//go:wasmexport sett_handle
func handle(n int32) int32 {
	b := make([]byte, n)
	eventRead(unsafe.Pointer(&b[0]), n)
	var e abi.Event
	if err := abi.DecodeEvent(b, &e); err != nil {
		panic(err)
	}
	if e.Handler == "panic" {
		panic("boom")
	}
	calls++
	record := []byte(`{"msg":"called","attrs":{"path":"` + e.Path + `"}}`)
	logWrite(0, unsafe.Pointer(&record[0]), int32(len(record)))
	go func() { calls += 100 }() // left behind when the call ends
	b = abi.AppendReply(nil, &abi.Reply{Status: 201, Headers: []abi.Field{{Name: "X-Calls", Value: fmt.Sprint(calls)}},
		Body: append([]byte(os.Getenv("COLOR")+" "), e.Body...)})
	replyWrite(unsafe.Pointer(&b[0]), int32(len(b)))
	return 0
}

func main() {}
