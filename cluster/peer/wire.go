package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/sett-run/sett/sdk/abi"
)

// A message is an envelope and a payload: four bytes, the envelope's length in big endian; the envelope, a CBOR map
// with numbers for keys, of which unknown ones are skipped; and the wire form of an event or a reply.

// question is the envelope of an event.
type question struct {
	App         string `cbor:"1,keyasint"`
	Function    string `cbor:"2,keyasint"`
	Version     int    `cbor:"3,keyasint"`
	RemainingMS int64  `cbor:"4,keyasint,omitempty"` // until the deadline; clocks differ. 0: there is none
	Trailers    []byte `cbor:"5,keyasint,omitempty"` // of the event; see packTrailers
}

// answer is the envelope of a reply, which counts when Code is empty.
type answer struct {
	Code        abi.Code  `cbor:"1,keyasint,omitempty"`
	Message     string    `cbor:"2,keyasint,omitempty"`
	Start       abi.Start `cbor:"3,keyasint,omitempty"`
	TookNS      int64     `cbor:"4,keyasint,omitempty"`
	MemoryBytes int64     `cbor:"5,keyasint,omitempty"`
	Fuel        uint64    `cbor:"6,keyasint,omitempty"`
	Effects     *effects  `cbor:"8,keyasint,omitempty"` // 7 was another shape of them
	Trailers    []byte    `cbor:"9,keyasint,omitempty"` // of the reply; see packTrailers
}

var errMalformed = errors.New("malformed message")

// seal makes a message's envelope; the payload is appended.
func seal(envelope any) ([]byte, error) {
	text, err := cbor.Marshal(envelope)
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(text)), uint32(len(text))), text...), nil
}

// open reads a message's envelope and answers the payload, which is part of data.
func open(data []byte, envelope any) ([]byte, error) {
	if len(data) < 4 {
		return nil, errMalformed
	}
	n := binary.BigEndian.Uint32(data)
	if data = data[4:]; uint64(n) > uint64(len(data)) {
		return nil, errMalformed
	}
	if err := cbor.Unmarshal(data[:n], envelope); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return data[n:], nil
}

// encodeInvocation makes the message that asks for i within the remaining time; 0 is no limit.
func encodeInvocation(i Invocation, remaining time.Duration) ([]byte, error) {
	q := question{App: i.App, Function: i.Function, Version: i.Version, Trailers: packTrailers(i.Event.Trailers)}
	if remaining > 0 {
		q.RemainingMS = int64((remaining + time.Millisecond - 1) / time.Millisecond)
	}
	head, err := seal(q)
	if err != nil {
		return nil, err
	}
	return abi.AppendEvent(head, i.Event), nil
}

// decodeInvocation reads an invocation, whose body is part of data, and the time that remains for it, at most
// maxInvocationTime.
func decodeInvocation(data []byte) (Invocation, time.Duration, error) {
	var q question
	payload, err := open(data, &q)
	if err == nil && (q.App == "" || q.Function == "" || q.Version < 1 || q.RemainingMS < 0) {
		err = errMalformed
	}
	i := Invocation{App: q.App, Function: q.Function, Version: q.Version, Event: new(abi.Event)}
	if err != nil {
		return i, 0, abi.WithCode(abi.InvalidInput, fmt.Errorf("read invocation: %w", err))
	}
	if err := abi.DecodeEvent(payload, i.Event); err != nil {
		return i, 0, fmt.Errorf("read event: %w", err)
	}
	if i.Event.Trailers, err = unpackTrailers(q.Trailers); err != nil {
		return i, 0, fmt.Errorf("read event: %w", err)
	}
	remaining := maxInvocationTime
	if q.RemainingMS > 0 && q.RemainingMS < remaining.Milliseconds() {
		remaining = time.Duration(q.RemainingMS) * time.Millisecond
	}
	return i, remaining, nil
}

// encodeResult makes the message that answers an invocation. After an error the result says what was used; it may be
// nil.
func encodeResult(r *abi.Result, failure error) ([]byte, error) {
	if r == nil {
		r = new(abi.Result)
	}
	a := answer{Start: r.Start, TookNS: int64(r.Took), MemoryBytes: r.MemoryBytes, Fuel: r.Fuel, Effects: packEffects(r.Effects),
		Trailers: packTrailers(r.Trailers)}
	if failure != nil {
		a.Code, a.Message = abi.CodeOf(failure), text(failure)
	}
	head, err := seal(a)
	if err != nil {
		return nil, err
	}
	return abi.AppendReply(head, &r.Reply), nil
}

// decodeResult reads the answer to an invocation: the result, the other node's error, and an error of reading. The
// result is never nil; bodies and values are part of data.
func decodeResult(data []byte) (r *abi.Result, failure, err error) {
	r = new(abi.Result)
	var a answer
	payload, err := open(data, &a)
	if err != nil {
		return r, nil, err
	}
	r.Start, r.Took, r.MemoryBytes, r.Fuel = a.Start, time.Duration(a.TookNS), a.MemoryBytes, a.Fuel
	if r.Effects, err = a.Effects.unpack(); err != nil {
		return r, nil, err
	}
	if err := abi.DecodeReply(payload, &r.Reply); err != nil {
		return r, nil, err
	}
	if r.Trailers, err = unpackTrailers(a.Trailers); err != nil {
		return r, nil, err
	}
	if a.Code != "" {
		failure = abi.WithCode(a.Code, errors.New(a.Message))
	}
	return r, failure, nil
}

// text is an error's text as it travels: valid and not endless.
func text(err error) string {
	s := err.Error()
	if len(s) > maxProblemBytes/8 {
		s = s[:maxProblemBytes/8]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// readBody reads the body of a request or an answer, which says its length.
func readBody(r io.Reader, length, limit int64) ([]byte, error) {
	switch {
	case length < 0:
		return nil, abi.WithCode(abi.InvalidInput, errors.New("the length is not given"))
	case length > min(limit, math.MaxInt):
		return nil, abi.WithCode(abi.TooLarge, fmt.Errorf("%d bytes are over the limit of %d", length, limit))
	}
	b := make([]byte, length)
	_, err := io.ReadFull(r, b)
	return b, err
}
