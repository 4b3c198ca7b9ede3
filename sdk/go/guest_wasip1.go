package sett

import (
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

var (
	module  = newGuest()
	inbound = make([]byte, roomBytes)
)

//go:wasmexport sett_abi_version
func exportVersion() uint32 { return abi.Version }

//go:wasmexport sett_describe
func exportDescribe() { host.DescriptionWrite(describe()) }

//go:wasmexport sett_handle
func exportHandle(size uint32) uint32 {
	if int(size) > len(inbound) {
		inbound = make([]byte, size)
	}
	n := host.EventRead(inbound)
	if n != int(size) {
		println("sett: the event has", n, "bytes, the host said", size)
		return 1
	}
	reply, err := module.handle(inbound[:n])
	if err != nil {
		println("sett: read event:", err.Error())
		return 1
	}
	host.ReplyWrite(reply)
	return 0
}
