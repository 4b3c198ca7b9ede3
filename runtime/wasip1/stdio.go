package wasip1

import (
	"encoding/binary"
	"errors"
	"io"
)

// Rights and file types. Source: preview1/docs.md, "rights" and "filetype".
const (
	rightRead        = 1 << 1
	rightSetFlags    = 1 << 3
	rightWrite       = 1 << 6
	rightFilestatGet = 1 << 21
	rightPoll        = 1 << 27

	// Streams are of unknown type: neither terminal, so that libc buffers them, nor socket.
	filetypeUnknown = 0

	knownFlags = 1<<5 - 1 // append, dsync, nonblock, rsync, sync
)

func fdClose(c *call) errno {
	f := c.p.file(c.u32(0))
	if f == nil {
		return badf
	}
	f.stream = closed
	return success
}

// fdSeek answers for every call that needs positions in a file.
func fdSeek(c *call) errno { return onFile(spipe)(c) }

// fdSync answers for every call that needs a file with a size on a disk.
func fdSync(c *call) errno { return onFile(inval)(c) }

// fdFdstatGet writes 24 bytes: type u8, flags u16 at 2, rights u64 at 8, inheritable rights u64 at 16.
func fdFdstatGet(c *call) errno {
	f := c.p.file(c.u32(0))
	if f == nil {
		return badf
	}
	rights := uint64(rightSetFlags | rightFilestatGet | rightPoll)
	if f.stream == stdin {
		rights |= rightRead
	} else {
		rights |= rightWrite
	}
	b, ok := c.mem.Read(c.u32(1), 24)
	if !ok {
		return fault
	}
	clear(b)
	b[0] = filetypeUnknown
	binary.LittleEndian.PutUint16(b[2:], f.flags)
	binary.LittleEndian.PutUint64(b[8:], rights)
	return success
}

func fdFdstatSetFlags(c *call) errno {
	f, flags := c.p.file(c.u32(0)), c.u32(1)
	if f == nil {
		return badf
	}
	if flags > knownFlags {
		return inval
	}
	f.flags = uint16(flags)
	return success
}

// fdFilestatGet writes 64 bytes: device, inode, type u8 at 16, links, size u64 at 32, three times.
func fdFilestatGet(c *call) errno {
	f := c.p.file(c.u32(0))
	if f == nil {
		return badf
	}
	b, ok := c.mem.Read(c.u32(1), 64)
	if !ok {
		return fault
	}
	clear(b)
	b[16] = filetypeUnknown
	binary.LittleEndian.PutUint64(b[24:], 1)
	if f.stream == stdin {
		binary.LittleEndian.PutUint64(b[32:], uint64(len(c.p.Stdin)))
	}
	return success
}

func fdRenumber(c *call) errno {
	from, to := c.p.file(c.u32(0)), c.p.file(c.u32(1))
	if from == nil || to == nil {
		return badf
	}
	if from != to {
		*to, *from = *from, file{}
	}
	return success
}

// buffers walks over count vectors of pointer and length at list, and answers false for one outside the memory.
// It stops when use answers false.
func buffers(c *call, list, count uint32, use func(b []byte) bool) bool {
	if count > 1<<29-1 {
		return false
	}
	vectors, ok := c.mem.Read(list, count*8)
	if !ok {
		return false
	}
	for ; len(vectors) > 0; vectors = vectors[8:] {
		b, ok := c.mem.Read(binary.LittleEndian.Uint32(vectors), binary.LittleEndian.Uint32(vectors[4:]))
		if !ok {
			return false
		}
		if !use(b) {
			return true
		}
	}
	return true
}

func fdRead(c *call) errno {
	f := c.p.file(c.u32(0))
	if f == nil || f.stream != stdin {
		return badf
	}
	n := 0
	ok := buffers(c, c.u32(1), c.u32(2), func(b []byte) bool {
		k := copy(b, c.p.Stdin[c.p.read+n:])
		n += k
		return k == len(b)
	})
	rest := 0
	if ok && n == 0 && c.p.StdinRest != nil {
		rest = c.readRest()
	}
	if !ok || !c.mem.WriteUint32Le(c.u32(3), uint32(n+rest)) {
		return fault
	}
	c.p.read += n
	return success
}

// readRest reads what follows Stdin into the first buffer that has room. It may wait.
func (c *call) readRest() (n int) {
	buffers(c, c.u32(1), c.u32(2), func(b []byte) bool {
		for err := error(nil); n == 0 && err == nil && len(b) > 0; {
			if n, err = c.p.StdinRest.Read(b); err != nil && !errors.Is(err, io.EOF) {
				panic(err)
			}
		}
		return len(b) == 0
	})
	return n
}

func fdWrite(c *call) errno {
	f := c.p.file(c.u32(0))
	if f == nil || f.stream == stdin {
		return badf
	}
	w := c.p.Stdout
	if f.stream == stderr {
		w = c.p.Stderr
	}
	var n uint32
	ok := buffers(c, c.u32(1), c.u32(2), func(b []byte) bool {
		k := uint32(len(b))
		if n+k < n {
			return false // the count written would not fit its type: write less
		}
		if _, err := w.Write(b); err != nil {
			panic(err)
		}
		n += k
		return true
	})
	if !ok || !c.mem.WriteUint32Le(c.u32(3), n) {
		return fault
	}
	return success
}
