package sett

import "github.com/sett-run/sett/sdk/abi"

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
}
