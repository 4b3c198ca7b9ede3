package redis

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
)

// protocolError is what a client sent that is not the protocol. It ends the connection after it is told.
type protocolError string

func (e protocolError) Error() string { return "Protocol error: " + string(e) }

// Protocol errors, in Redis's words.
const (
	errMultibulkLength         protocolError = "invalid multibulk length"
	errBulkLength              protocolError = "invalid bulk length"
	errStrangerMultibulkLength protocolError = "unauthenticated multibulk length"
	errStrangerBulkLength      protocolError = "unauthenticated bulk length"
	errLongInline              protocolError = "too big inline request"
	errLongMultibulk           protocolError = "too big mbulk count string"
	errLongBulk                protocolError = "too big bulk count string"
	errQuotes                  protocolError = "unbalanced quotes in request"
)

// reader takes commands off a connection. Redcon's reader has no limits, and ends the process for a length of 2^63-1;
// ours is held against it in tests.
type reader struct {
	br       *bufio.Reader
	stranger bool // the client is not known yet: its commands are held to strangerArgs and strangerBytes
	inside   bool // of a command
	chunk    []byte
}

// source is what a reader reads from. It calls before whenever nothing that has arrived is left to be done.
type source struct {
	nc     net.Conn
	before func() error
}

func (s source) Read(p []byte) (int, error) {
	if err := s.before(); err != nil {
		return 0, err
	}
	return s.nc.Read(p)
}

func newReader(r io.Reader) *reader { return &reader{br: bufio.NewReaderSize(r, MaxInlineBytes)} }

// next answers a command's arguments, which the caller owns. None: the client sent an empty command. A command over
// MaxCommandBytes has its name and arguments left out from the first that does not fit; tooLarge says so.
func (r *reader) next() (args [][]byte, tooLarge bool, err error) {
	r.inside = false
	first, err := r.br.Peek(1)
	if err != nil {
		return nil, false, err
	}
	r.inside = true
	if first[0] != '*' {
		args, err = r.inline()
		return args, false, err
	}
	line, err := r.line(errLongMultibulk)
	if err != nil {
		return nil, false, err
	}
	n, ok := parseLength(line[1:])
	switch {
	case !ok || n > MaxArgs:
		return nil, false, errMultibulkLength
	case r.stranger && n > strangerArgs:
		return nil, false, errStrangerMultibulkLength
	case n <= 0:
		return nil, false, nil
	}
	return r.bulks(n)
}

func (r *reader) bulks(n int) (args [][]byte, tooLarge bool, err error) {
	args = make([][]byte, 0, min(n, 1024))
	r.chunk = nil
	sum := 0
	for range n {
		size, err := r.bulkLength()
		if err != nil {
			return nil, false, err
		}
		if sum += size; sum > MaxCommandBytes {
			tooLarge = true
		}
		if tooLarge {
			if _, err := r.br.Discard(size + 2); err != nil {
				return nil, false, err
			}
			continue
		}
		arg, err := r.bulk(size)
		if err != nil {
			return nil, false, err
		}
		args = append(args, arg)
	}
	return args, tooLarge, nil
}

func (r *reader) bulkLength() (int, error) {
	line, err := r.line(errLongBulk)
	if err != nil {
		return 0, err
	}
	if len(line) == 0 || line[0] != '$' {
		got := "\r"
		if len(line) > 0 {
			got = string(line[:1])
		}
		return 0, protocolError("expected '$', got '" + got + "'")
	}
	size, ok := parseLength(line[1:])
	switch {
	case !ok || size < 0 || size > MaxBulkBytes:
		return 0, errBulkLength
	case r.stranger && size > strangerBytes:
		return 0, errStrangerBulkLength
	}
	return size, nil
}

// bulk reads an argument. Small arguments of a command share memory; they are never written again.
func (r *reader) bulk(size int) ([]byte, error) {
	if cap(r.chunk)-len(r.chunk) < size {
		r.chunk = make([]byte, 0, max(size, min(r.br.Buffered(), 512)))
	}
	start := len(r.chunk)
	r.chunk = r.chunk[:start+size]
	arg := r.chunk[start : start+size : start+size]
	if _, err := io.ReadFull(r.br, arg); err != nil {
		return nil, err
	}
	_, err := r.br.Discard(2) // Redis does not look at them either
	return arg, err
}

// line answers a line without its end, valid until the next read.
func (r *reader) line(tooLong error) ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, tooLong
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

func (r *reader) inline() ([][]byte, error) {
	line, err := r.line(errLongInline)
	if err != nil {
		return nil, err
	}
	args, ok := splitLine(line)
	if !ok {
		return nil, errQuotes
	}
	return args, nil
}

// parseLength reads a length as Redis does: no plus sign, no leading zeros.
func parseLength(b []byte) (n int, ok bool) {
	digits := bytes.TrimPrefix(b, []byte("-"))
	if len(digits) == 0 || len(digits) > 10 || digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if len(digits) < len(b) {
		n = -n
	}
	return n, true
}

// splitLine splits an inline command: words between spaces, "with \n and \x41" or 'with \' only'. A closing quote ends
// the word; else it is not ok.
func splitLine(line []byte) (args [][]byte, ok bool) {
	for {
		line = bytes.TrimLeft(line, " \t\r\n\v\f")
		if len(line) == 0 {
			return args, true
		}
		var word []byte
		if word, line, ok = splitWord(line); !ok {
			return nil, false
		}
		args = append(args, word)
	}
}

func splitWord(line []byte) (word, rest []byte, ok bool) {
	word = []byte{}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case isSpace(c):
			return word, line[i+1:], true
		case c == '"' || c == '\'':
			quoted, rest, ok := splitQuoted(line[i+1:], c)
			if !ok || len(rest) > 0 && !isSpace(rest[0]) {
				return nil, nil, false
			}
			return append(word, quoted...), rest, true
		default:
			word = append(word, c)
		}
	}
	return word, nil, true
}

// splitQuoted reads up to the closing quote.
func splitQuoted(line []byte, quote byte) (text, rest []byte, ok bool) {
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == quote:
			return text, line[i+1:], true
		case c == '\\' && quote == '\'' && i+1 < len(line) && line[i+1] == '\'':
			i++
			c = '\''
		case c == '\\' && quote == '"' && i+3 < len(line) && line[i+1] == 'x' && hex(line[i+2]) >= 0 && hex(line[i+3]) >= 0:
			c = byte(hex(line[i+2])<<4 | hex(line[i+3]))
			i += 3
		case c == '\\' && quote == '"' && i+1 < len(line):
			i++
			c = unescape(line[i])
		}
		text = append(text, c)
	}
	return nil, nil, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
