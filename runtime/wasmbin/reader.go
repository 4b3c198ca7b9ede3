package wasmbin

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// reader reads a module's bytes. Its first error sticks: from then on every method answers a zero value and
// nothing is left to read, so that callers may look at err once.
type reader struct {
	data    []byte // the whole module
	at      int    // offset of the next byte
	end     int    // offset after the last byte that may be read
	section string
	err     *Error
}

func (r *reader) failed() bool { return r.err != nil }

// left is how many bytes may still be read.
func (r *reader) left() int { return r.end - r.at }

// fail notes what is wrong at the next byte.
func (r *reader) fail(format string, args ...any) { r.failAt(r.at, Malformed, format, args...) }

func (r *reader) tooLarge(format string, args ...any) { r.failAt(r.at, TooLarge, format, args...) }

func (r *reader) failAt(at int, fault Fault, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Fault: fault, Section: r.section, Offset: at, Reason: fmt.Sprintf(format, args...)}
	}
	r.at = r.end
}

// truncated notes that n more bytes are wanted.
func (r *reader) truncated(n int) {
	if r.err == nil {
		r.fail("truncated: want %d more bytes, have %d", n, r.left())
		r.err.Err = ErrTruncated
	}
}

func (r *reader) byte() byte {
	if r.at >= r.end {
		r.truncated(1)
		return 0
	}
	b := r.data[r.at]
	r.at++
	return b
}

// skip passes over n bytes and answers the offset of the first.
func (r *reader) skip(n int) int {
	at := r.at
	if n < 0 || n > r.left() {
		r.truncated(n)
		return at
	}
	r.at += n
	return at
}

// u32 reads an unsigned LEB128 number of 32 bits.
func (r *reader) u32() uint32 {
	if r.at < r.end && r.data[r.at] < 0x80 {
		r.at++
		return uint32(r.data[r.at-1])
	}
	return r.longU32()
}

func (r *reader) longU32() uint32 { return uint32(r.unsigned(32)) }

// unsigned reads an unsigned LEB128 number of 32 or 64 bits.
func (r *reader) unsigned(bits int) uint64 {
	var v uint64
	for i := 0; ; i++ {
		if r.at+i >= r.end {
			r.truncated(1)
			return 0
		}
		b := r.data[r.at+i]
		shift := 7 * i
		if shift+7 > bits && b>>(bits-shift) != 0 {
			r.fail("number is longer than %d bits", bits)
			return 0
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			r.at += i + 1
			return v
		}
	}
}

// signed reads a signed LEB128 number of 32, 33 or 64 bits.
func (r *reader) signed(bits int) int64 {
	var v int64
	for i := 0; ; i++ {
		if r.at+i >= r.end {
			r.truncated(1)
			return 0
		}
		b := r.data[r.at+i]
		shift := 7 * i
		v |= int64(b&0x7f) << shift
		if shift+7 >= bits {
			// The last byte: the bits over the width must all repeat the sign.
			over := int8(b<<1) >> (bits - shift)
			if b >= 0x80 || over != 0 && over != -1 {
				r.fail("number is longer than %d bits", bits)
				return 0
			}
		}
		if b < 0x80 {
			r.at += i + 1
			if shift+7 < 64 && b&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// count reads the length of a list whose entries take at least size bytes each, and checks it against limit.
// So no list is longer than the bytes that hold it, whatever its length claims.
func (r *reader) count(what string, size, limit int) int {
	at := r.at
	n := r.u32()
	if int64(n) > int64(limit) {
		r.failAt(at, TooLarge, "%d %s, more than %d", n, what, limit)
		return 0
	}
	if int64(n)*int64(size) > int64(r.left()) {
		r.failAt(at, Malformed, "truncated: %d %s do not fit in the %d bytes left", n, what, r.left())
		r.err.Err = ErrTruncated
		return 0
	}
	return int(n)
}

// length reads the length of something that has to fit in the bytes left.
func (r *reader) length(what string) int { return r.count(what, 1, math.MaxUint32) }

// name reads a string, which must be UTF-8.
func (r *reader) name() string {
	n := r.length("bytes of a name")
	at := r.skip(n)
	if r.failed() {
		return ""
	}
	s := r.data[at : at+n]
	if !utf8.Valid(s) {
		r.failAt(at, Malformed, "name %q is not UTF-8", s)
		return ""
	}
	return string(s)
}

// index reads an index that must be below n.
func (r *reader) index(what string, n int) uint32 {
	at := r.at
	i := r.u32()
	if int64(i) >= int64(n) {
		r.failAt(at, Malformed, "unknown %s %d, there are %d", what, i, n)
		return 0
	}
	return i
}
