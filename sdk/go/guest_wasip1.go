package sett

import (
	"math/rand/v2"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// module is the guest, beside its event.
var module struct {
	guest
	in [nearBytes]byte
}

// far is for events that module has no room for.
var far [16 << 10]byte

var _ = func() bool { module.prepare(); return true }()

//go:wasmexport sett_abi_version
func exportVersion() uint32 { return abi.Version }

//go:wasmexport sett_describe
func exportDescribe() { host.DescriptionWrite(describe()) }

//go:wasmexport sett_warmup
func exportWarmup() { warmUp() }

// exportRandom draws random numbers and tells the host which, so that it finds the state of Go's generator in this
// memory and gives it a new one in every instance: math/rand, math/rand/v2 and the order of maps then differ. It also
// selects, which draws from a quicker generator beside it.
//
//go:wasmexport sett_random
func exportRandom() {
	var drawn [8]uint64
	for i := range drawn {
		drawn[i] = ^rand.Uint64() // flipped, so that the host does not take this copy for the state
	}
	a, b := make(chan int, 1), make(chan int, 1)
	a <- 1
	b <- 1
	select {
	case <-a:
	case <-b:
	}
	host.RandomDrawn(drawn[:])
}

//go:wasmexport sett_handle
func exportHandle(size uint32) uint32 {
	in := module.in[:]
	if int(size) > len(in) {
		in = far[:]
	}
	if int(size) > len(in) {
		in = make([]byte, size)
	}
	n := host.EventRead(in)
	if n != int(size) {
		println("sett: the event has", n, "bytes, the host said", size)
		return 1
	}
	reply, err := module.handle(in[:n])
	if err != nil {
		println("sett: read event:", err.Error())
		return 1
	}
	if reply != nil {
		host.ReplyWrite(reply)
	}
	return 0
}

// rehearsing answers the guest that will serve invocations.
func rehearsing() *guest { return &module.guest }
