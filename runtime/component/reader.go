package component

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/sett-run/sett/sdk/abi"
)

// reader reads a component's bytes. Its first error sticks: from then on every method answers a zero value and nothing
// is left to read, so that callers may look at err once.
type reader struct {
	data []byte // the whole upload
	at   int    // offset of the next byte
	end  int    // offset after the last byte that may be read
	err  error
}

// left is how many bytes may still be read.
func (r *reader) left() int { return r.end - r.at }

func (r *reader) fail(code abi.Code, format string, args ...any) {
	if r.err == nil {
		r.err = abi.WithCode(code, fmt.Errorf("component, offset %#x: %w", r.at, fmt.Errorf(format, args...)))
	}
	r.at = r.end
}

// malformed notes that the bytes break a rule of the format.
func (r *reader) malformed(format string, args ...any) { r.fail(abi.InvalidModule, format, args...) }

// refuse notes what is known and not offered.
func (r *reader) refuse(format string, args ...any) { r.fail(abi.Unsupported, format, args...) }

var errTruncated = errors.New("truncated")

func (r *reader) byte() byte {
	if r.at >= r.end {
		r.malformed("%w", errTruncated)
		return 0
	}
	r.at++
	return r.data[r.at-1]
}

// peek answers the next byte, 0 when there is none.
func (r *reader) peek() byte {
	if r.at >= r.end {
		return 0
	}
	return r.data[r.at]
}

func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	r.malformed("number is longer than 32 bits")
	return 0
}

// count reads the length of a list whose entries take at least a byte each, so that no list is longer than the bytes
// that hold it.
func (r *reader) count(what string) int {
	n := r.u32()
	switch {
	case n > MaxDefinitions:
		r.fail(abi.TooLarge, "%d %s, more than %d", n, what, MaxDefinitions)
		return 0
	case int64(n) > int64(r.left()):
		r.malformed("%w: %d %s", errTruncated, n, what)
		return 0
	}
	return int(n)
}

// bytes passes over n bytes and answers them.
func (r *reader) bytes(n int) []byte {
	if n > r.left() {
		r.malformed("%w", errTruncated)
		return nil
	}
	r.at += n
	return r.data[r.at-n : r.at : r.at]
}

// text reads a string, which must be UTF-8.
func (r *reader) text() string {
	n := r.u32()
	if int64(n) > int64(r.left()) {
		r.malformed("%w: a name of %d bytes", errTruncated, n)
		return ""
	}
	b := r.bytes(int(n))
	if len(b) > MaxNameBytes {
		r.fail(abi.TooLarge, "a name of %d bytes, more than %d", len(b), MaxNameBytes)
		return ""
	}
	if !utf8.Valid(b) {
		r.malformed("name %.80q is not UTF-8", b)
		return ""
	}
	return string(b)
}

// section reads the head of a section and answers a reader of its content.
func (r *reader) section() (id byte, content reader) {
	id = r.byte()
	n := r.u32()
	if int64(n) > int64(r.left()) {
		r.malformed("%w: a section of %d bytes", errTruncated, n)
	}
	if r.err != nil {
		return 0, reader{}
	}
	content = reader{data: r.data, at: r.at, end: r.at + int(n)}
	r.at += int(n)
	return id, content
}
