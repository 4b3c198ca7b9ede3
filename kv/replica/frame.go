package replica

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// A stream of calls consists of frames: four bytes with the length of what follows, big endian, and that. Of a request
// it is the call's number (8 bytes), how long the caller waits (4 bytes, milliseconds; 0: it does not say), what is
// asked (1 byte) and its argument; of a reply the number, a status (1 byte) and the answer. Replies come in any order.
const (
	frameHeaderSize   = 4
	requestHeaderSize = 13
	replyHeaderSize   = 9

	maxRequestBytes = requestHeaderSize + MaxCommandBytes
	maxReplyBytes   = replyHeaderSize + 8 + MaxReplyBytes
	maxIDBytes      = 256      // of a node's id
	growBytes       = 64 << 10 // a frame's memory grows by this much or doubles, as its bytes arrive
)

var errFrame = errors.New("malformed frame")

// Kinds of request.
const (
	askPropose   = 1 // argument: a command. Answer: 8 bytes of index, the reply
	askReadIndex = 2 // Answer: 8 bytes of index
	askTermOf    = 3 // argument: a node's id. Answer: 8 bytes of its term

	// Argument: the asking node's id. Answer: 8 bytes of the index of the newest configuration that is known to be agreed
	// on, 0 for none; then 1 when the node is in it, else 0.
	askMembership = 4
)

// Statuses of a reply.
const (
	statusDone    = 0
	statusRefused = 1 // nothing happened, and nothing will; the answer says why
	statusUnknown = 2 // it may happen; the answer says why
	statusSpent   = 3 // it happened, and its reply cannot be sent; the answer says why
	statusDenied  = 4 // nothing happened, and the caller is to know why: the answer is a code, a zero byte and a text
)

type request struct {
	number   uint64
	wait     time.Duration // 0: not said
	kind     byte
	argument []byte
}

type reply struct {
	number uint64
	status byte
	answer []byte
}

// readFrame reads a frame's content of at most limit bytes. Memory is taken as the bytes arrive, not as they are
// announced.
func readFrame(r *bufio.Reader, limit int) ([]byte, error) {
	var header [frameHeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header[:])
	if uint64(size) > uint64(limit) {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", errFrame, size, limit)
	}
	var content []byte
	for left := int(size); left > 0; {
		n := min(left, max(growBytes, len(content)))
		content = append(content, make([]byte, n)...)
		if _, err := io.ReadFull(r, content[len(content)-n:]); err != nil {
			return nil, err
		}
		left -= n
	}
	return content, nil
}

func parseRequest(content []byte) (request, error) {
	if len(content) < requestHeaderSize {
		return request{}, fmt.Errorf("%w: a request of %d bytes", errFrame, len(content))
	}
	return request{
		number:   binary.BigEndian.Uint64(content),
		wait:     time.Duration(binary.BigEndian.Uint32(content[8:])) * time.Millisecond,
		kind:     content[12],
		argument: content[requestHeaderSize:],
	}, nil
}

func parseReply(content []byte) (reply, error) {
	if len(content) < replyHeaderSize {
		return reply{}, fmt.Errorf("%w: a reply of %d bytes", errFrame, len(content))
	}
	return reply{number: binary.BigEndian.Uint64(content), status: content[8], answer: content[replyHeaderSize:]}, nil
}

// parseIndex reads an answer that begins with a number.
func parseIndex(answer []byte) (index uint64, rest []byte, err error) {
	if len(answer) < 8 {
		return 0, nil, fmt.Errorf("%w: an answer of %d bytes", errFrame, len(answer))
	}
	return binary.BigEndian.Uint64(answer), answer[8:], nil
}

func (q request) header() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(requestHeaderSize+len(q.argument)))
	b = binary.BigEndian.AppendUint64(b, q.number)
	b = binary.BigEndian.AppendUint32(b, uint32(min(q.wait.Milliseconds(), 1<<32-1)))
	return append(b, q.kind)
}

func (p reply) header() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(replyHeaderSize+len(p.answer)))
	b = binary.BigEndian.AppendUint64(b, p.number)
	return append(b, p.status)
}
