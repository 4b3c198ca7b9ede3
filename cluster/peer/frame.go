package peer

import (
	"encoding/binary"
	"fmt"
	"io"
)

// An answer in pieces is frames: a byte that says what it is, four bytes of its payload's length in big endian, and the payload.
// A reply that is sent in pieces is a head and data; the result comes last, after a reply of either kind.
type frameKind byte

const (
	frameMore   frameKind = 'm' // the function reads its request's body: send it. No payload
	frameHead   frameKind = 'h' // a message: what the reply begins with
	frameData   frameKind = 'd' // bytes of the reply's body, at most maxDataBytes
	frameResult frameKind = 'r' // a message, the answer to the invocation
)

// maxDataBytes is how many bytes of a body one frame carries. More takes more memory, less more frames.
const maxDataBytes = 64 << 10

// appendFrame begins a frame: its payload is to follow.
func appendFrame(b []byte, kind frameKind, length int) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(kind)), uint32(length))
}

// frames reads frames. The payload is valid until the next call.
type frames struct {
	from  io.Reader
	limit int64  // bytes of a message
	room  []byte // of a payload
}

// next reads a frame. A frame that is cut off, or none where one should be, is an error.
func (f *frames) next() (frameKind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(f.from, head[:]); err != nil {
		return 0, nil, fmt.Errorf("read frame: %w", err)
	}
	kind, n := frameKind(head[0]), int64(binary.BigEndian.Uint32(head[1:]))
	limit := f.limit
	switch kind {
	case frameMore:
		limit = 0
	case frameData:
		limit = maxDataBytes
	case frameHead, frameResult:
	default:
		return 0, nil, fmt.Errorf("%w: frame %q", errMalformed, head[0])
	}
	if n > limit {
		return 0, nil, fmt.Errorf("%w: frame %q of %d bytes", errMalformed, head[0], n)
	}
	if int64(cap(f.room)) < n {
		f.room = make([]byte, n)
	}
	f.room = f.room[:n]
	if _, err := io.ReadFull(f.from, f.room); err != nil {
		return 0, nil, fmt.Errorf("read frame: %w", io.ErrUnexpectedEOF)
	}
	return kind, f.room, nil
}
