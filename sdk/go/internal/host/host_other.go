//go:build !wasip1

// Package host is the border to the host: the host calls of docs/ABI.md on wasip1, and on every other platform
// stand-ins that package settest takes over. Importing it costs a module nothing; a host call is linked, and so
// imported by the module, only when something calls it.
package host

import "sync"

// Guest is what a sett module exports, for a host in the same process: package sett fills it.
var Guest struct {
	Handle   func(event []byte) (reply []byte, err error)
	Describe func() (description []byte)
	WarmUp   func()
}

var (
	mu   sync.Mutex                     // guards sink, store, world and client
	sink func(level int, record []byte) // nil: standard error
)

// Capture sends log records to f until restore is called; what took them before then takes them again.
func Capture(f func(level int, record []byte)) (restore func()) { return lend(&sink, f) }

// lend puts a value in a place that mu guards, until restore is called.
func lend[T any](place *T, value T) (restore func()) {
	mu.Lock()
	defer mu.Unlock()
	before := *place
	*place = value
	return func() {
		mu.Lock()
		defer mu.Unlock()
		*place = before
	}
}

// LogWrite hands over one log record.
func LogWrite(level int, record []byte) {
	mu.Lock()
	defer mu.Unlock()
	if sink != nil {
		sink(level, record)
		return
	}
	println(string(record))
}

// Run does nothing.
func Run() {}
