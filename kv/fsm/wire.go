package fsm

import "encoding/binary"

// What is replicated or stored is written as fields one after the other: bytes, unsigned and signed varints, and
// strings of bytes after their length. There is one way to write each thing, and a reader takes no other.

func appendText[T string | []byte](b []byte, text T) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// fields reads what stands in rest. After a fault everything it answers is zero and bad stays set, so that callers
// look once, at the end.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) fail() {
	f.rest, f.bad = nil, true
}

// whole says whether all was read and nothing is left.
func (f *fields) whole() bool { return !f.bad && len(f.rest) == 0 }

func (f *fields) byte() byte {
	b := f.raw(1)
	if f.bad {
		return 0
	}
	return b[0]
}

func (f *fields) uvarint() uint64 {
	n, size := binary.Uvarint(f.rest)
	if size <= 0 || size > 1 && f.rest[size-1] == 0 { // cut off, too large, or longer than need be
		f.fail()
		return 0
	}
	f.rest = f.rest[size:]
	return n
}

func (f *fields) varint() int64 {
	n := f.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// natural reads an unsigned varint that fits into an int64.
func (f *fields) natural() int64 {
	n := int64(f.uvarint())
	if n < 0 {
		f.fail()
		return 0
	}
	return n
}

// count reads how many things follow, each of one byte at least, or fails above limit.
func (f *fields) count(limit int) int {
	n := f.uvarint()
	if n > uint64(limit) || n > uint64(len(f.rest)) {
		f.fail()
		return 0
	}
	return int(n)
}

// raw reads n bytes, which are those of rest.
func (f *fields) raw(n int) []byte {
	if n > len(f.rest) {
		f.fail()
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

// text reads a string of bytes after its length.
func (f *fields) text() []byte { return f.raw(f.count(len(f.rest))) }

func appendTime(b []byte, nanos int64) []byte { return binary.AppendUvarint(b, uint64(nanos)) }
