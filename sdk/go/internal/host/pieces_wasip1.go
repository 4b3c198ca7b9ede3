package host

import "unsafe"

//go:wasmimport sett body_read
func bodyRead(ptr unsafe.Pointer, n uint32) uint32

//go:wasmimport sett reply_start
func replyStart(ptr unsafe.Pointer, n uint32)

//go:wasmimport sett reply_send
func replySend(ptr unsafe.Pointer, n uint32)

// BodyRead reads what follows the event's body; 0: that is all.
func BodyRead(b []byte) int {
	return int(bodyRead(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))))
}

// ReplyStart sends a reply, a message, of which more follows. B may be used again when it returns.
func ReplyStart(b []byte) { replyStart(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))) }

// ReplySend sends more of the reply's body. B may be used again when it returns.
func ReplySend(b []byte) { replySend(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))) }
