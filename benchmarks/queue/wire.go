package queue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// The framing of the Redis protocol, version 2. Source: redis.io, "Redis serialization protocol specification".

const bufferBytes = 64 << 10

// wire is a connection that speaks it.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte // what flush writes
}

func newWire(conn net.Conn) *wire {
	return &wire{conn: conn, in: bufio.NewReaderSize(conn, bufferBytes)}
}

func dial(ctx context.Context, address string) (*wire, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return newWire(conn), nil
}

func (w *wire) close() error { return w.conn.Close() }

// array begins an array of n items, the first of which are given.
func (w *wire) array(n int, items ...string) {
	w.head('*', n)
	for _, item := range items {
		w.head('$', len(item))
		w.out = append(append(w.out, item...), '\r', '\n')
	}
}

func (w *wire) bulk(b []byte) {
	w.head('$', len(b))
	w.out = append(append(w.out, b...), '\r', '\n')
}

func (w *wire) head(kind byte, n int) {
	w.out = strconv.AppendInt(append(w.out, kind), int64(n), 10)
	w.out = append(w.out, '\r', '\n')
}

func (w *wire) flush() error {
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	return err
}

// value is what was read.
type value struct {
	kind  byte
	n     int    // of ':'
	text  []byte // of '$' and '+'
	items []value
}

// read reads a value. An error that the other side says is one.
func (w *wire) read() (v value, err error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return v, err
	}
	if len(line) < 3 {
		return v, fmt.Errorf("line %q: %w", line, io.ErrUnexpectedEOF)
	}
	v.kind, line = line[0], line[1:len(line)-2]
	switch v.kind {
	case '+':
		v.text = append([]byte{}, line...)
		return v, nil
	case '-':
		return v, errors.New(string(line))
	}
	if v.n, err = strconv.Atoi(string(line)); err != nil || v.n < 0 {
		return v, err // -1: there is nothing
	}
	switch v.kind {
	case '$':
		v.text = make([]byte, v.n)
		if _, err = io.ReadFull(w.in, v.text); err == nil {
			_, err = w.in.Discard(2)
		}
	case '*':
		v.items = make([]value, v.n)
		for i := range v.items {
			if v.items[i], err = w.read(); err != nil {
				break
			}
		}
	}
	return v, err
}

// ask writes what is to be written and reads as many answers.
func (w *wire) ask(answers int) (last value, err error) {
	if err := w.flush(); err != nil {
		return last, err
	}
	for range answers {
		if last, err = w.read(); err != nil {
			return last, err
		}
	}
	return last, nil
}
