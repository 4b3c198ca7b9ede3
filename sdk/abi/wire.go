package abi

import (
	"errors"
	"strconv"
	"time"
	"unsafe"
)

// Limits of a message on the wire. A decoder refuses what is over one with code TooLarge; an encoder does not
// look, so whoever fills an Event or a Reply keeps to them. Raising one lets a hostile side make the other
// allocate more.
const (
	MaxMessageBytes = 64 << 20 // a whole message
	MaxTextBytes    = 1 << 20  // a message without its body: every name, value and unknown field together
	MaxHeaders      = 1024     // headers of an event or a reply
	MaxParams       = 64       // path parameters of an event
	MaxHandles      = 256      // names in a description
	MaxPatterns     = 128      // patterns in a description
)

// ErrMalformed is the error of bytes that are no protobuf message. Groups, which proto3 does not have, are
// malformed too.
var ErrMalformed = errors.New("malformed message")

// Wire types of protobuf. Source: protobuf.dev/programming-guides/encoding, "Message Structure".
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// Field numbers of Field.
const (
	fieldName  = 1
	fieldValue = 2
)

// maxField is the highest field number of our messages plus one.
const maxField = 22

func malformed() error { return WithCode(InvalidInput, ErrMalformed) }

func overLimit(n int, what string) error {
	return WithCode(TooLarge, errors.New("message has more than "+strconv.Itoa(n)+" "+what))
}

func appendUvarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// appendInt writes a number; zero, proto3's default, is left out.
func appendInt(b []byte, field int, v uint64) []byte {
	if v == 0 {
		return b
	}
	return appendUvarint(appendUvarint(b, uint64(field)<<3|wireVarint), v)
}

// appendBytes writes a string or bytes; the empty one, proto3's default, is left out.
func appendBytes[T string | []byte](b []byte, field int, s T) []byte {
	if len(s) == 0 {
		return b
	}
	return appendItem(b, field, s)
}

// appendItem writes an element of a list, which may be empty.
func appendItem[T string | []byte](b []byte, field int, s T) []byte {
	b = appendUvarint(b, uint64(field)<<3|wireBytes)
	b = appendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendFields(b []byte, field int, fields []Field) []byte {
	for i := range fields {
		f := &fields[i]
		b = appendUvarint(b, uint64(field)<<3|wireBytes)
		b = appendUvarint(b, uint64(sizeString(len(f.Name))+sizeString(len(f.Value))))
		b = appendBytes(b, fieldName, f.Name)
		b = appendBytes(b, fieldValue, f.Value)
	}
	return b
}

// sizeString is what appendBytes writes for n bytes under a field number below 16.
func sizeString(n int) int {
	if n == 0 {
		return 0
	}
	return 1 + sizeUvarint(uint64(n)) + n
}

func sizeUvarint(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

// boundFields is at least what appendFields writes.
func boundFields(fields []Field) int {
	n := 0
	for i := range fields {
		n += 16 + len(fields[i].Name) + len(fields[i].Value)
	}
	return n
}

// uvarint reads a number at s[i:] and answers where it ends, or -1.
func uvarint(s string, i int) (v uint64, next int) {
	for shift := uint(0); shift < 64; shift += 7 {
		if i >= len(s) {
			return 0, -1
		}
		c := s[i]
		i++
		if c < 0x80 {
			if shift == 63 && c > 1 {
				return 0, -1
			}
			return v | uint64(c)<<shift, i
		}
		v |= uint64(c&0x7f) << shift
	}
	return 0, -1
}

// token is one field of a message: its number, its wire type, and its value, which is a number or the bytes
// s[from:next].
type token struct {
	field int
	wire  int
	value uint64
	from  int
	next  int // where the token after it starts
}

// nextToken reads the field at s[i:]; ok is false when there is none.
func nextToken(s string, i int) (t token, ok bool) {
	tag, i := uvarint(s, i)
	if i < 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
		return t, false
	}
	t.field, t.wire, t.from = int(tag>>3), int(tag&7), i
	switch t.wire {
	case wireVarint:
		t.value, t.next = uvarint(s, i)
		return t, t.next > 0
	case wireFixed64:
		t.next = i + 8
	case wireFixed32:
		t.next = i + 4
	case wireBytes:
		n, from := uvarint(s, i)
		if from < 0 || n > uint64(len(s)-from) {
			return t, false
		}
		t.from, t.next = from, from+int(n)
	default:
		return t, false
	}
	return t, t.next <= len(s)
}

// decodeField reads a Field from its own bytes. Name before value, both shorter than 128 bytes, is the quick way.
func decodeField(s string) (f Field, ok bool) {
	if len(s) > 4 && s[0] == fieldName<<3|wireBytes {
		if end := 2 + int(s[1]); end+1 < len(s) && s[end] == fieldValue<<3|wireBytes && s[1]|s[end+1] < 0x80 && end+2+int(s[end+1]) == len(s) {
			return Field{s[2:end], s[end+2:]}, true
		}
	}
	for i := 0; i < len(s); {
		t, ok := nextToken(s, i)
		if !ok {
			return f, false
		}
		if t.wire == wireBytes {
			switch t.field {
			case fieldName:
				f.Name = s[t.from:t.next]
			case fieldValue:
				f.Value = s[t.from:t.next]
			}
		}
		i = t.next
	}
	return f, true
}

// outline is what a first pass learns of a message, so that decoding makes one string of all its text and
// allocates each list once.
type outline struct {
	text  string // the message without its body
	body  []byte // part of the message
	count [maxField]int
}

// scan makes the outline of data; body is the number of the field that holds the body, or -1. The body may
// stand anywhere and, as in any protobuf message, the last of several counts.
func scan(data []byte, body int) (o outline, err error) {
	if len(data) > MaxMessageBytes {
		return o, overLimit(MaxMessageBytes, "bytes")
	}
	s := unsafe.String(unsafe.SliceData(data), len(data)) // to be read here
	cut, end := len(s), len(s)
	for i := 0; i < len(s); {
		t, ok := nextToken(s, i)
		if !ok {
			return o, malformed()
		}
		if t.wire == wireBytes {
			if t.field == body {
				o.body = data[t.from:t.next:t.next]
				cut, end = i, t.next
			}
			if t.field < maxField {
				o.count[t.field]++
			}
		}
		i = t.next
	}
	if cut+len(data)-end > MaxTextBytes {
		return o, overLimit(MaxTextBytes, "bytes besides its body")
	}
	o.text = string(data[:cut])
	if end < len(data) {
		o.text += string(data[end:])
	}
	return o, nil
}

// room answers list emptied, with capacity for n more.
func room[T any](list []T, n int) []T {
	if n > cap(list) {
		return make([]T, 0, n)
	}
	return list[:0]
}

// eachField visits the fields of a message in their order, until visit answers an error.
func eachField(data []byte, visit func(t token) error) error {
	s := unsafe.String(unsafe.SliceData(data), len(data)) // to be read here
	for i := 0; i < len(s); {
		t, ok := nextToken(s, i)
		if !ok {
			return malformed()
		}
		if err := visit(t); err != nil {
			return err
		}
		i = t.next
	}
	return nil
}

// eachWithin is eachField of a message that is held to a limit of bytes.
func eachWithin(limit int, data []byte, visit func(t token) error) error {
	if len(data) > limit {
		return overLimit(limit, "bytes")
	}
	return eachField(data, visit)
}

// countWithin looks through a message before anything is allocated for it, and answers how many values the fields a and
// b have.
func countWithin(limit int, data []byte, a, b int) (counts [2]int, err error) {
	err = eachWithin(limit, data, func(t token) error {
		switch t.is() {
		case lengthy(a):
			counts[0]++
		case lengthy(b):
			counts[1]++
		}
		return nil
	})
	return counts, err
}

// is answers what tells one field from another: number and wire type.
func (t token) is() int { return t.field<<3 | t.wire }

func varint(field int) int  { return field<<3 | wireVarint }
func lengthy(field int) int { return field<<3 | wireBytes }

// appendMessage writes m as an element of a list of messages: what write appends, and value behind it, which is not
// copied twice.
func appendMessage[T any](b []byte, field int, m *T, write func([]byte, *T) []byte, last int, value []byte) []byte {
	b = appendUvarint(b, uint64(field)<<3|wireBytes)
	from := len(b)
	b = write(append(b, 0), m) // most lengths take this one byte
	head := len(b) - from - 1
	n := uint64(head + sizeString(len(value)))
	if size := sizeUvarint(n); size > 1 {
		b = append(b, make([]byte, size-1)...)
		copy(b[from+size:], b[from+1:from+1+head])
	}
	appendUvarint(b[:from], n)
	return appendBytes(b, last, value)
}

func appendFlag(b []byte, field int, on bool) []byte {
	if !on {
		return b
	}
	return appendInt(b, field, 1)
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// small is a number that names one of a few things: one too large stays one that names nothing.
func small(v uint64) uint8 { return uint8(min(uint32(v), 255)) }

// maxMilliseconds is the longest time.Duration.
const maxMilliseconds = int64(1<<63-1) / int64(time.Millisecond)

// milliseconds rounds d away from zero, so that what is not zero stays so.
func milliseconds(d time.Duration) int64 {
	n := int64(d / time.Millisecond)
	switch rest := d % time.Millisecond; {
	case rest > 0:
		n++
	case rest < 0:
		n--
	}
	return n
}

func duration(milliseconds int64) time.Duration {
	return time.Duration(max(-maxMilliseconds, min(milliseconds, maxMilliseconds))) * time.Millisecond
}

// appendMoment writes when something is, in milliseconds since 1970; no time is left out.
func appendMoment(b []byte, field int, at time.Time) []byte {
	if at.IsZero() {
		return b
	}
	return appendInt(b, field, uint64(at.UnixMilli()))
}

// moment is the time some milliseconds after 1970 began; 0 is no time.
func moment(unixMilli int64) time.Time {
	if unixMilli == 0 {
		return time.Time{}
	}
	return time.UnixMilli(unixMilli).UTC()
}
