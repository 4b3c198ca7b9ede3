package component

import (
	"errors"
	"io"

	"github.com/sett-run/sett/sdk/abi"
)

// futureTrailers are a body's trailers, which are there when all of it was read.
type futureTrailers struct {
	from     source
	trailers func() []abi.Field // what follows the end of from
	held     int                // bytes of them that count as held
	err      error              // the end of from; nil: it has not come
	got      bool
}

func (*futureTrailers) resource() string { return "future-trailers" }
func (t *futureTrailers) drop(c *Call)   { c.free(t.held) }

// finish answers the trailers of a body that the guest does not read any more. Of one that is there whole only they are
// kept.
func (b *incomingBody) finish(c *Call) *futureTrailers {
	t := &futureTrailers{from: b.from, trailers: b.trailers}
	if _, whole := b.from.(*buffer); whole {
		list := b.trailers()
		t.from, t.trailers = new(buffer), func() []abi.Field { return list }
		t.held = abi.FieldBytes(list) + fieldBytes*len(list)
		c.hold(t.held)
	}
	return t
}

// ready reads on in the body, as far as it is there: nobody else does any more.
func (t *futureTrailers) ready() bool {
	for t.err == nil && t.from.ready() {
		_, t.err = t.from.read(maxRoom)
	}
	return t.err != nil
}

// trailersGet writes what there is, once: an error, fields, or none where there is not one.
func trailersGet(c *Call, p []uint64) {
	t := use[*futureTrailers](c, p[0])
	at := c.at(p[1], 8)
	if !t.ready() {
		c.put8(at, 0)
		return
	}
	c.put8(at, 1)
	c.put8(at+8, byte(bit(t.got)))
	if t.got {
		return
	}
	t.got = true
	if !errors.Is(t.err, io.EOF) {
		e, known := bodyError(t.err)
		if !known {
			e = httpError{code: codeInternal, text: t.err.Error()}
		}
		c.putError(at+24, e)
		c.put8(at+16, 1)
		return
	}
	c.free(t.held)
	t.held = 0
	list := t.trailers()
	c.put8(at+16, 0)
	c.put8(at+24, byte(bit(len(list) > 0)))
	if len(list) > 0 {
		f := &fields{immutable: true}
		for _, x := range list {
			f.add(c, x.Name, x.Value)
		}
		c.put32(at+28, c.own(f, 0))
	}
}
