package component

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// MaxPolled is how many things a guest may wait for at once. A higher limit lets one call look at more without a check
// of the deadline.
const MaxPolled = 4096

// ioFunctions are wasi:io's. Source: WASI 0.2, wit/deps/io.
func ioFunctions() []function {
	streams := group("wasi:io/streams@0.2",
		function{"[method]input-stream.read", "ili:", true, streamRead},
		function{"[method]input-stream.blocking-read", "ili:", true, blocking(streamRead)},
		function{"[method]input-stream.skip", "ili:", false, streamSkip},
		function{"[method]input-stream.blocking-skip", "ili:", false, blocking(streamSkip)},
		function{"[method]input-stream.subscribe", "i:i", false, inputSubscribe},
		function{"[method]output-stream.check-write", "ii:", false, checkWrite},
		function{"[method]output-stream.write", "iiii:", false, streamWrite},
		function{"[method]output-stream.blocking-write-and-flush", "iiii:", false, streamWriteAll},
		function{"[method]output-stream.flush", "ii:", false, streamFlush},
		function{"[method]output-stream.blocking-flush", "ii:", false, streamFlush},
		function{"[method]output-stream.subscribe", "i:i", false, outputSubscribe},
		function{"[method]output-stream.write-zeroes", "ili:", false, writeZeroes},
		function{"[method]output-stream.blocking-write-zeroes-and-flush", "ili:", false, writeZeroes},
		function{"[method]output-stream.splice", "iili:", false, splice},
		function{"[method]output-stream.blocking-splice", "iili:", false, blockingSplice},
	)
	poll := group("wasi:io/poll@0.2",
		function{"[method]pollable.ready", "i:i", false, pollableReady},
		function{"[method]pollable.block", "i:", false, pollableBlock},
		function{"poll", "iii:", true, poll},
	)
	errs := group("wasi:io/error@0.2",
		function{"[method]error.to-debug-string", "ii:", true, debugString})
	return slices.Concat(streams, poll, errs, []function{
		dropped[*inputStream](), dropped[*outputStream](), dropped[*pollable](), dropped[*streamError](),
	})
}

// pollable is something a guest waits for: until it is ready, or until a moment.
type pollable struct {
	ready func() bool // nil: at the moment
	at    time.Time
}

func (*pollable) resource() string { return "pollable" }
func (*pollable) drop(*Call)       {}

func (p *pollable) isReady(now time.Time) bool {
	if p.ready != nil {
		return p.ready()
	}
	return !now.Before(p.at)
}

func pollableReady(c *Call, p []uint64) {
	p[0] = api.EncodeU32(bit(use[*pollable](c, p[0]).isReady(time.Now())))
}

func pollableBlock(c *Call, p []uint64) { c.pollAll([]*pollable{use[*pollable](c, p[0])}) }

func poll(c *Call, p []uint64) {
	n := api.DecodeU32(p[1])
	if n == 0 || n > MaxPolled {
		trap("poll of %d things, want 1 to %d", n, MaxPolled)
	}
	handles := c.elements(p[0], p[1], 4, 4)
	list := make([]*pollable, n)
	for i := range list {
		list[i] = use[*pollable](c, uint64(le32(handles[4*i:])))
	}
	ready := c.pollAll(list)
	at := c.at(p[2], 4)
	to := c.allocate(4, uint32(4*len(ready)))
	for i, k := range ready {
		c.put32(to+uint32(4*i), k)
	}
	c.put32(at, to)
	c.put32(at+4, uint32(len(ready)))
}

// pollAll waits for the first of several things and answers which are ready.
func (c *Call) pollAll(list []*pollable) (ready []uint32) {
	var first time.Time
	for _, p := range list {
		if p.ready == nil && (first.IsZero() || p.at.Before(first)) {
			first = p.at
		}
	}
	look := func() bool {
		ready = ready[:0]
		now := time.Now()
		for i, p := range list {
			if p.isReady(now) {
				ready = append(ready, uint32(i))
			}
		}
		return len(ready) > 0
	}
	if look() {
		return ready
	}
	var timer <-chan time.Time
	if !first.IsZero() {
		t := time.NewTimer(time.Until(first))
		defer t.Stop()
		timer = t.C
	}
	c.wait(look, timer)
	return ready
}

// blocking waits for an input stream before it is read.
func blocking(read func(*Call, []uint64)) func(*Call, []uint64) {
	return func(c *Call, p []uint64) {
		if s := use[*inputStream](c, p[0]); !s.closed {
			c.wait(s.ready, nil)
		}
		read(c, p)
	}
}

func (s *inputStream) next(most uint64) ([]byte, error) {
	if s.closed {
		return nil, errClosed
	}
	if most == 0 {
		return nil, nil
	}
	b, err := s.read(int(min(most, maxRoom)))
	if err != nil {
		s.closed = true
	}
	if errors.Is(err, io.EOF) {
		err = errClosed
	}
	return b, err
}

func streamRead(c *Call, p []uint64) {
	b, err := use[*inputStream](c, p[0]).next(p[1])
	at := c.at(p[2], 4)
	if err != nil {
		c.streamFailed(at, 4, err)
		return
	}
	c.put8(at, 0)
	c.putBytes(at+4, b)
}

func streamSkip(c *Call, p []uint64) {
	b, err := use[*inputStream](c, p[0]).next(p[1])
	c.putCount(p[2], len(b), err)
}

// putCount writes the result of a stream's function that answers how many bytes.
func (c *Call) putCount(ret uint64, n int, err error) {
	at := c.at(ret, 8)
	if err != nil {
		c.streamFailed(at, 8, err)
		return
	}
	c.put8(at, 0)
	c.put64(at+8, uint64(n))
}

// streamFailed writes the result of a stream's function that failed: a stream-error at payload.
func (c *Call) streamFailed(at, payload uint32, err error) {
	c.put8(at, 1)
	if errors.Is(err, errClosed) {
		c.put8(at+payload, 1)
		return
	}
	c.put8(at+payload, 0)
	c.put32(at+payload+4, c.own(&streamError{err}, 0))
}

func inputSubscribe(c *Call, p []uint64) {
	s := use[*inputStream](c, p[0])
	ready := func() bool { return s.closed || s.ready() }
	p[0] = uint64(c.own(&pollable{ready: ready}, uint32(p[0])))
}

func outputSubscribe(c *Call, p []uint64) {
	s := use[*outputStream](c, p[0])
	ready := func() bool {
		n, err := s.space()
		return n > 0 || err != nil
	}
	p[0] = uint64(c.own(&pollable{ready: ready}, uint32(p[0])))
}

// space is how many bytes the stream takes now.
func (s *outputStream) space() (int, error) {
	if s.closed {
		return 0, errClosed
	}
	return s.room()
}

func (s *outputStream) put(c *Call, b []byte) error {
	if s.closed {
		return errClosed
	}
	err := s.write(c, b)
	s.closed = s.closed || err != nil
	return err
}

func checkWrite(c *Call, p []uint64) {
	n, err := use[*outputStream](c, p[0]).space()
	c.putCount(p[1], n, err)
}

// streamWrite writes what check-write has permitted.
func streamWrite(c *Call, p []uint64) {
	s, b := use[*outputStream](c, p[0]), c.view(p[1], p[2])
	n, err := s.space()
	if err == nil && len(b) > n {
		trap("write of %d bytes, where the stream takes %d", len(b), n)
	}
	if err == nil {
		err = s.put(c, b)
	}
	c.written(p[3], err)
}

// streamWriteAll writes 4096 bytes at most and waits for them.
func streamWriteAll(c *Call, p []uint64) {
	s, b := use[*outputStream](c, p[0]), c.view(p[1], p[2])
	if len(b) > 4096 {
		trap("blocking write of %d bytes, more than 4096", len(b))
	}
	c.written(p[3], c.writeAll(s, b))
}

// writeAll writes as the stream takes it.
func (c *Call) writeAll(s *outputStream, b []byte) error {
	for len(b) > 0 {
		n, err := s.space()
		if err != nil {
			return err
		}
		if n == 0 {
			c.wait(func() bool { n, err := s.space(); return n > 0 || err != nil }, nil)
			continue
		}
		n = min(n, len(b))
		if err := s.put(c, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (c *Call) written(ret uint64, err error) {
	at := c.at(ret, 4)
	if err != nil {
		c.streamFailed(at, 4, err)
		return
	}
	c.put8(at, 0)
}

func streamFlush(c *Call, p []uint64) {
	s := use[*outputStream](c, p[0])
	err := errClosed
	if !s.closed {
		err = s.flush()
	}
	c.written(p[1], err)
}

func writeZeroes(c *Call, p []uint64) {
	s, n := use[*outputStream](c, p[0]), p[1]
	if n > maxRoom {
		trap("write of %d zeros, more than %d", n, maxRoom)
	}
	c.written(p[2], c.writeAll(s, make([]byte, n)))
}

func blockingSplice(c *Call, p []uint64) {
	if in := use[*inputStream](c, p[1]); !in.closed {
		c.wait(in.ready, nil)
	}
	splice(c, p)
}

// splice copies what is there, as far as there is room.
func splice(c *Call, p []uint64) {
	out, in := use[*outputStream](c, p[0]), use[*inputStream](c, p[1])
	n, err := out.space()
	var b []byte
	if err == nil {
		if b, err = in.next(min(p[2], uint64(n))); err == nil {
			err = out.put(c, b)
		}
	}
	c.putCount(p[3], len(b), err)
}

func debugString(c *Call, p []uint64) {
	e := use[*streamError](c, p[0])
	c.putText(c.at(p[1], 4), e.err.Error())
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

func le32(b []byte) uint32 {
	return binary.LittleEndian.Uint32(b)
}
