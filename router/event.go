package router

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/sdk/abi"
)

// Faults of a request's header block, answered with 400.
const (
	faultFold       = fault("header line is folded")
	faultLine       = fault("header line does not end in CR LF")
	faultName       = fault("header name holds a space")
	faultBothLength = fault("Transfer-Encoding together with Content-Length")
	faultCoding     = fault("transfer coding is not chunked")
	faultMethod     = fault("method is not upper case")
	faultTrailer    = fault("trailer is not a header, or there are too many")
)

// fault is a constant error.
type fault string

func (f fault) Error() string { return string(f) }

// request is the memory of one request: the event, whose strings point into the connection's buffers and into
// this, until Invoke has returned. It is pooled, and nothing of it is kept.
type request struct {
	event   abi.Event
	start   time.Time
	id      [invocationIDBytes]byte
	headers []abi.Field
	values  values
	params  []abi.Field
	decoded string // the path, decoded
	path    []byte // memory of it
	host    []byte // as patterns name it
	remote  []byte
	body    bodyReader
	memory  []byte // of the event's body
	stream  clientStream
	table   *Table // that the request sees
	named   bool   // Connection names headers to drop
	async   bool   // the client asks for it to be run later
	fault   error
	context *invocationContext
}

// text is b as a string without a copy. It changes when b does.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// reset makes q ready for the pool. Strings stay, pointing at buffers that are reused as they are; read sets every
// field of the event anew.
func (q *request) reset() {
	q.event.Body = nil // the one that may be large
	if cap(q.memory) > keptBodyBytes {
		q.memory = nil
	}
	if q.body = (bodyReader{}); q.stream.started || q.stream.stopped || q.event.More {
		q.stream = clientStream{} // else offer finds it at rest
	}
	q.headers, q.params, q.named, q.async, q.fault = q.headers[:0], q.params[:0], false, false, nil
	if !q.context.reusable() {
		q.context = new(invocationContext)
	}
}

// read fills the event from what fasthttp has parsed, and decodes the path. Errors are the client's fault.
// C may be nil.
func (q *request) read(ctx *fasthttp.RequestCtx, c *conn) (err error) {
	e, h := &q.event, &ctx.Request.Header
	*e = abi.Event{Trigger: abi.TriggerHTTP, Attempt: 1, Scheme: "http", Proto: "HTTP/1.1"}
	e.Invocation = text(q.id[:])
	e.Method = text(h.Method())
	if ctx.IsTLS() {
		e.Scheme = "https"
	}
	if !h.IsHTTP11() {
		if e.Proto = "HTTP/1.0"; string(h.Protocol()) != e.Proto {
			return errVersion
		}
	}
	if c != nil {
		e.Remote = c.remote
	} else {
		q.remote = appendRemote(q.remote[:0], ctx.RemoteAddr())
		e.Remote = text(q.remote)
	}
	if err = q.readTarget(text(h.RequestURI()), text(h.Host())); err != nil {
		return err
	}
	if !upperCase(e.Method) {
		return faultMethod
	}
	if err = q.readHeaders(h.RawHeaders()); err != nil {
		return err
	}
	e.Headers = q.headers
	q.decoded, q.path, err = decodePath(e.Path, q.path)
	return err
}

func (q *request) readTarget(target, host string) (err error) {
	e := &q.event
	var authority string
	if target == "*" && e.Method == "OPTIONS" {
		target = "/*" // answered before routes are looked at
	}
	if authority, e.Path, e.Query, err = splitTarget(target); err != nil {
		return err
	}
	if e.Host = host; authority != "" {
		e.Host = authority // RFC 9112 section 3.2.2: it wins over Host
	}
	if !validHost(e.Host) {
		return errHost
	}
	return nil
}

func upperCase(s string) bool {
	for i := range len(s) {
		if c := s[i]; 'a' <= c && c <= 'z' {
			return false
		}
	}
	return true
}

// appendRemote writes a client's address as host:port. An IPv4 client of an IPv6 socket is shown as IPv4.
func appendRemote(dst []byte, addr net.Addr) []byte {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return append(dst, addr.String()...)
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).AppendTo(dst)
}

// readHeaders cuts the raw header block into fields, in order, duplicates kept. Names are put into canonical form
// in place ("content-type" becomes "Content-Type"). Hop-by-hop headers and the platform's own names are left out. The
// block has been accepted by fasthttp, whose tolerance is narrowed here where proxies in front might read the same bytes
// differently.
func (q *request) readHeaders(raw []byte) error {
	length, coding, headers := false, false, q.headers
	for len(raw) > 2 { // the last line is an empty one
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return faultLine
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		n, err := canonicalName(line)
		if err != nil {
			return err
		}
		f := abi.Field{Name: text(line[:n]), Value: text(trimSpace(line[n+1:]))}
		switch q.sort(&f) {
		case keepHeader:
			headers = append(headers, f)
		case lengthHeader:
			headers = append(headers, f)
			length = true
		case codingHeader:
			if !strings.EqualFold(f.Value, "chunked") {
				return faultCoding
			}
			coding = true
		}
	}
	q.headers = headers
	if length && coding {
		return faultBothLength
	}
	if q.named {
		q.dropNamed()
	}
	return q.fault
}

// canonicalName puts the name that starts line into canonical form and answers its length.
func canonicalName(line []byte) (int, error) {
	upper := true
	for i, c := range line {
		switch {
		case c == ':' && i > 0:
			return i, nil
		case c == ' ' || c == '\t':
			if i == 0 {
				return 0, faultFold
			}
			return 0, faultName
		case upper && 'a' <= c && c <= 'z', !upper && 'A' <= c && c <= 'Z':
			line[i] = c ^ 0x20
		}
		upper = c == '-'
	}
	return 0, faultName
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

type headerKind uint8

const (
	keepHeader headerKind = iota
	dropHeader
	lengthHeader
	codingHeader
)

// sort says what becomes of a header in canonical form.
func (q *request) sort(f *abi.Field) headerKind {
	switch f.Name[0] { // most headers need no more
	case 'C', 'H', 'K', 'P', 'T', 'U':
	case 'S':
		if platformPrefix(f.Name) {
			if f.Name == invocationType {
				q.readInvocationType(f.Value)
			}
			return dropHeader
		}
		return keepHeader
	default:
		return keepHeader
	}
	switch f.Name {
	case "Content-Length":
		return lengthHeader
	case "Transfer-Encoding":
		return codingHeader
	case "Connection":
		if !strings.EqualFold(f.Value, "keep-alive") && !strings.EqualFold(f.Value, "close") {
			q.named = true
			q.params = append(q.params, *f) // kept aside until dropNamed
		}
		return dropHeader
	case "Host":
		f.Value = q.event.Host // the absolute form's, if there is one
		return keepHeader
	case "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Upgrade":
		return dropHeader
	}
	return keepHeader
}

// dropNamed removes the headers that Connection names.
func (q *request) dropNamed() {
	kept := q.headers[:0]
	for _, h := range q.headers {
		named := false
		for _, c := range q.params {
			named = named || isNamed(strings.Split(c.Value, ","), h.Name)
		}
		if !named {
			kept = append(kept, h)
		}
	}
	clear(q.headers[len(kept):])
	clear(q.params)
	q.headers, q.params = kept, q.params[:0]
}

// bind gives the event the route that was chosen, with its parameters.
func (q *request) bind(k *candidate, used int) {
	q.event.Pattern = k.pattern
	if len(k.names) == 0 {
		return
	}
	restoreSlashes(q.path)
	for i := range min(used, len(k.names)) {
		q.params = append(q.params, abi.Field{Name: k.names[i], Value: q.values[i]})
	}
	q.event.Params = q.params
}
