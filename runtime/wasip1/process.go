package wasip1

import (
	"crypto/rand"
	"io"
	"runtime"

	"github.com/tetratelabs/wazero/sys"
)

func argsGet(c *call) errno      { return writeStrings(c, c.p.Args) }
func argsSizesGet(c *call) errno { return writeSizes(c, c.p.Args) }

func environGet(c *call) errno      { return writeStrings(c, c.p.Env) }
func environSizesGet(c *call) errno { return writeSizes(c, c.p.Env) }

// writeSizes writes how many strings there are and how many bytes they take, each with a NUL behind it.
func writeSizes(c *call, all []string) errno {
	size := 0
	for _, s := range all {
		size += len(s) + 1
	}
	if !c.mem.WriteUint32Le(c.u32(0), uint32(len(all))) || !c.mem.WriteUint32Le(c.u32(1), uint32(size)) {
		return fault
	}
	return success
}

// writeStrings writes an array of pointers, and what they point to elsewhere.
func writeStrings(c *call, all []string) errno {
	pointer, text := c.u32(0), c.u32(1)
	for _, s := range all {
		if !c.mem.WriteUint32Le(pointer, text) || !c.mem.WriteString(text, s) {
			return fault
		}
		end := text + uint32(len(s))
		if end < text || !c.mem.WriteByte(end, 0) {
			return fault
		}
		pointer, text = pointer+4, end+1
	}
	return success
}

// procExit ends the guest. It unwinds the guest's stack and leaves the instance open.
func procExit(c *call) errno {
	c.p.Exited, c.p.ExitCode = true, c.u32(0)
	panic(sys.NewExitError(c.p.ExitCode))
}

// procRaise treats a signal as the shell does that reports one: as exit code 128 plus its number.
func procRaise(c *call) errno {
	signal := c.u32(0)
	if signal == 0 {
		return success // asks only whether a signal could be sent
	}
	c.p.Exited, c.p.ExitCode = true, 128+signal&0x7f
	panic(sys.NewExitError(c.p.ExitCode))
}

func schedYield(c *call) errno {
	if c.ctx.Err() != nil {
		panic(ErrInterrupted)
	}
	runtime.Gosched()
	return success
}

// randomGet fills the buffer from the process's source, by default the operating system's, fresh at each call.
func randomGet(c *call) errno {
	b, ok := c.mem.Read(c.u32(0), c.u32(1))
	if !ok {
		return fault
	}
	if c.p.Random == nil {
		rand.Read(b) // never fails: crypto/rand ends the process instead
		return success
	}
	if _, err := io.ReadFull(c.p.Random, b); err != nil {
		panic(err)
	}
	return success
}
