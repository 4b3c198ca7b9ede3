// Package host is the border to the host: the host calls of docs/ABI.md on wasip1, and on every other platform
// stand-ins that package settest takes over. Importing it costs a module nothing; a host call is linked, and so
// imported by the module, only when something calls it.
package host

import "unsafe"

//go:wasmimport sett event_read
func eventRead(ptr unsafe.Pointer, n uint32) uint32

//go:wasmimport sett reply_write
func replyWrite(ptr unsafe.Pointer, n uint32)

//go:wasmimport sett description_write
func descriptionWrite(ptr unsafe.Pointer, n uint32)

//go:wasmimport sett log_write
func logWrite(level int32, ptr unsafe.Pointer, n uint32)

//go:wasmimport sett random_drawn
func randomDrawn(ptr unsafe.Pointer, count uint32)

//go:wasmimport sett run
func run()

// EventRead copies the event to b and answers the event's whole length.
func EventRead(b []byte) int {
	return int(eventRead(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))))
}

// ReplyWrite hands over the reply; b may be used again when it returns.
func ReplyWrite(b []byte) { replyWrite(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))) }

// DescriptionWrite hands over the description.
func DescriptionWrite(b []byte) {
	descriptionWrite(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)))
}

// RandomDrawn tells which random numbers were drawn, all bits flipped.
func RandomDrawn(numbers []uint64) {
	randomDrawn(unsafe.Pointer(unsafe.SliceData(numbers)), uint32(len(numbers)))
}

// LogWrite hands over one log record.
func LogWrite(level int, record []byte) {
	logWrite(int32(level), unsafe.Pointer(unsafe.SliceData(record)), uint32(len(record)))
}

// Run does nothing; that a module imports it says that it serves its handlers as a command.
func Run() { run() }
