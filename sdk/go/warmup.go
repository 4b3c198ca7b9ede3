package sett

import (
	"runtime"

	"github.com/sett-run/sett/sdk/abi"
)

// Warmup runs fn once when the module is deployed, after everything is initialised and before the memory is kept
// from which every invocation starts. What fn leaves in memory, every invocation finds: caches filled, templates
// parsed, a handler's first allocations made. Functions given to Warmup run in the order given.
//
// There is no outside world yet: no event, no state, and no reply. Random numbers that fn draws are the same in
// every invocation, so nothing secret may come of them. Call Warmup while the program is initialised.
func Warmup(fn func()) {
	if fn == nil {
		panic("sett: Warmup of a nil function")
	}
	table.warmups = append(table.warmups, fn)
}

// rehearsals is how often an event is rehearsed before the memory is kept. The first ones make what later ones use.
const rehearsals = 3

// warmUp is run by the host before it keeps the memory. It also has an event read and a reply written by nobody's
// handler, so that their first allocations are made.
func warmUp() {
	for _, fn := range table.warmups {
		fn()
	}
	event := abi.AppendEvent(nil, &abi.Event{
		Trigger: abi.TriggerHTTP, Method: "GET", Scheme: "http", Proto: "HTTP/1.1", Host: "localhost", Path: "/",
		Handler: "\x00", Headers: []abi.Field{{Name: "Accept", Value: "*/*"}},
	})
	for range rehearsals {
		if _, err := rehearsing().handle(event); err != nil {
			panic(err) // the event is ours
		}
	}
	stockUp()
}

// stockBytes is the largest size that stockUp allocates. More makes the image larger by up to two pages a size, less
// leaves larger allocations to make their room in each invocation.
const stockBytes = 4096

// headless is the largest size of an allocation with pointers that has no word before it in which Go notes its type.
const headless = 512

// stockUp allocates once of each small size, with and without pointers. The allocator then has room for more of each
// in the memory that is kept, and an invocation need not look for any: that takes 7,000 instructions, and wrote a dozen
// pages in each, which had to be copied back each time. Once: a second one could use up the room.
func stockUp() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m) // it knows the sizes
	for _, class := range m.BySize {
		if size := int(class.Size); 0 < size && size <= stockBytes {
			table.stock = make([]byte, size)
			if size > headless {
				size -= 8
			}
			table.stock = make([]*byte, size/8)
		}
	}
	table.stock = nil
}
