package wasmbin

import "encoding/binary"

// span is a range of the module's bytes.
type span struct{ from, to int }

func (s span) len() int { return s.to - s.from }

// appendU32 appends v as unsigned LEB128.
func appendU32(dst []byte, v uint32) []byte { return binary.AppendUvarint(dst, uint64(v)) }

// appendS64 appends v as signed LEB128.
func appendS64(dst []byte, v int64) []byte {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}

// appendName appends s with its length before it.
func appendName(dst []byte, s string) []byte { return append(appendU32(dst, uint32(len(s))), s...) }

// appendSection appends a section with its content.
func appendSection(dst []byte, id byte, content []byte) []byte {
	dst = appendU32(append(dst, id), uint32(len(content)))
	return append(dst, content...)
}
