package sett

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// ResponseWriter takes a handler's reply. The reply is sent when the handler returns, and nothing before unless the handler
// flushes it: each ResponseWriter that Sett passes to a handler is a Flusher too.
// Without WriteHeader the status is 200. Without a Content-Type header a body of UTF-8 text is
// "text/plain; charset=utf-8" and another one "application/octet-stream"; an empty Content-Type sends none.
type ResponseWriter interface {
	// Header answers the reply's headers, to be changed at any time before the handler returns.
	Header() *Header

	// WriteHeader sets the status, 200 to 599; another one panics. The first call counts.
	WriteHeader(status int)

	// Write appends to the body. It never fails.
	Write(b []byte) (int, error)

	// WriteString appends to the body. It never fails.
	WriteString(s string) (int, error)
}

// Flusher is a ResponseWriter whose reply can be sent while the handler goes on, as server-sent events are. After the first
// Flush the status and the headers are final, and the node cannot answer 502 any more when the handler fails: the client's
// connection breaks off. When the client leaves, the invocation ends where it is, within a second.
//
// Where replies are not sent in pieces Flush does nothing: for functions whose effects are transactional, for invocations that
// nobody waits for over HTTP, and under Main.
type Flusher interface {
	// Flush sends what has been written until now, if only the headers.
	Flush()
}

// Header is a list of headers in the order they were added. Names are compared whatever their case. A name that is
// no token or a value with a line break makes the node answer 502.
type Header struct{ fields []abi.Field }

// Set replaces every header of this name by one.
func (h *Header) Set(name, value string) {
	h.Del(name)
	h.Add(name, value)
}

// Add appends a header and keeps those of the same name.
func (h *Header) Add(name, value string) {
	h.fields = append(h.fields, abi.Field{Name: name, Value: value})
}

// Get answers the first value of a header; empty when there is none.
func (h *Header) Get(name string) string {
	value, _ := firstOf(h.fields, name)
	return value
}

// Del removes every header of this name.
func (h *Header) Del(name string) {
	kept := h.fields[:0]
	for _, f := range h.fields {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	h.fields = kept
}

// Has reports whether there is a header of this name, if only an empty one.
func (h *Header) Has(name string) bool {
	_, found := firstOf(h.fields, name)
	return found
}

// firstOf answers the value of the first field of this name, whatever its case.
func firstOf(fields []abi.Field, name string) (value string, found bool) {
	for i := range fields {
		if strings.EqualFold(fields[i].Name, name) {
			return fields[i].Value, true
		}
	}
	return "", false
}

// response is the ResponseWriter.
type response struct {
	header Header
	status int
	body   []byte
	pieces bool   // the host takes the reply in pieces
	flush  func() // sends body; nil: the reply has not begun
}

var _ Flusher = (*response)(nil)

// reset makes w ready for another reply; the capacity stays.
func (w *response) reset() {
	w.header.fields, w.status, w.body, w.flush = w.header.fields[:0], 0, w.body[:0], nil
}

// Flush begins the reply, or sends more of it. Only here host calls for it are mentioned, so that a module imports them
// only when it flushes.
func (w *response) Flush() {
	switch {
	case !w.pieces:
	case w.flush != nil:
		w.flush()
	default:
		r := w.reply()
		host.ReplyStart(abi.AppendReply(nil, &r))
		w.body = w.body[:0]
		w.flush = func() {
			if len(w.body) > 0 {
				host.ReplySend(w.body)
				w.body = w.body[:0]
			}
		}
	}
}

// pieceBytes is how much of a reply that was begun is collected before it is sent unasked. More makes fewer host calls, and
// takes more memory.
const pieceBytes = 32 << 10

// written sends what waits when it has become much.
func (w *response) written() {
	if w.flush != nil && len(w.body) >= pieceBytes {
		w.flush()
	}
}

func (w *response) Header() *Header { return &w.header }

func (w *response) WriteHeader(status int) {
	if status < 200 || status > 599 {
		panic("sett: WriteHeader(" + strconv.Itoa(status) + "): a status is 200 to 599")
	}
	if w.status == 0 {
		w.status = status
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.body = append(w.body, b...)
	w.written()
	return len(b), nil
}

func (w *response) WriteString(s string) (int, error) {
	w.body = append(w.body, s...)
	w.written()
	return len(s), nil
}

// reply is what the handler has written.
func (w *response) reply() abi.Reply {
	switch {
	case w.header.Has("Content-Type"):
		if w.header.Get("Content-Type") == "" {
			w.header.Del("Content-Type")
		}
	case len(w.body) == 0:
	case isText(w.body):
		w.header.Add("Content-Type", "text/plain; charset=utf-8")
	default:
		w.header.Add("Content-Type", "application/octet-stream")
	}
	return abi.Reply{Status: w.status, Headers: w.header.fields, Body: w.body}
}

// sniffed is how much of a body isText looks at.
const sniffed = 512

// isText reports whether a body begins as UTF-8 text without NUL. A character cut in two by the limit is fine.
func isText(b []byte) bool {
	if len(b) > sniffed {
		b = b[:sniffed]
		for range utf8.UTFMax - 1 {
			if r, size := utf8.DecodeLastRune(b); r != utf8.RuneError || size != 1 {
				break
			}
			b = b[:len(b)-1]
		}
	}
	return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b)
}

// problemType is the media type of errors, RFC 9457.
const problemType = "application/problem+json"

// problem answers an error of the request that needs no words of its own.
func problem(status int, title string) abi.Reply {
	return abi.Reply{
		Status:  status,
		Headers: []abi.Field{{Name: "Content-Type", Value: problemType}},
		Body:    []byte(`{"type":"about:blank","title":"` + title + `","status":` + strconv.Itoa(status) + "}"),
	}
}
