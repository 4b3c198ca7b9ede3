package runtime

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// client is a client in memory that takes pieces.
type client struct {
	body     io.Reader // what follows the event's; nil: nothing
	trailers []abi.Field
	head     *abi.Result
	pieces   []string
	refuses  error       // of Write
	onWrite  func(n int) // n pieces came; nil: nothing happens
}

func (c *client) Trailers() []abi.Field { return c.trailers }

func (c *client) Read(b []byte) (int, error) {
	if c.body == nil {
		return 0, io.EOF
	}
	return c.body.Read(b)
}

func (c *client) Start(r *abi.Result) error {
	head := *r
	c.head = &head
	return nil
}

func (c *client) Write(b []byte) (int, error) {
	if c.refuses != nil {
		return 0, c.refuses
	}
	if c.pieces = append(c.pieces, string(b)); c.onWrite != nil {
		c.onWrite(len(c.pieces))
	}
	return len(b), nil
}

func (c *client) Stop() {}

// from is an event for a path with this client.
func from(path string, c *client) *abi.Event {
	e := event()
	if e.Path = path; c != nil {
		e.Stream, e.More = c, c.body != nil
	}
	return e
}

func TestReplyInPieces(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, goGuest(t, "stream"))
	for range 2 {
		c := new(client)
		res, err := r.Invoke(context.Background(), v, from("/events", c))
		if err != nil {
			t.Fatalf("Invoke: %v; log %q", err, s.stream(abi.StreamPlatform))
		}
		if !res.Streamed || res.Status != 200 || len(res.Body) > 0 {
			t.Errorf("result = %+v, want a streamed one", res)
		}
		if c.head == nil || c.head.Status != 200 || c.head.Start != abi.Warm || len(c.head.Headers) != 1 || c.head.Headers[0].Value != "text/event-stream" {
			t.Errorf("head = %+v", c.head)
		}
		if got, want := strings.Join(c.pieces, "|"), "data: 1 0\n\n|data: 1 1\n\n|data: 1 2\n\n|end"; got != want {
			t.Errorf("pieces = %q, want %q", got, want)
		}
	}
	checkNothingLeft(t, r)
}

// TestReplyHeld: where nobody takes pieces the reply is one, with the limit of one.
func TestReplyHeld(t *testing.T) {
	r, s := open(t, Config{MaxReplyBytes: 1000})
	v := deploy(t, r, goGuest(t, "stream"))
	res, err := r.Invoke(context.Background(), v, from("/events", nil))
	if err != nil || res.Streamed || string(res.Body) != "data: 1 0\n\ndata: 1 1\n\ndata: 1 2\n\nend" {
		t.Errorf("Invoke = %+v, %v; log %q", res, err, s.stream(abi.StreamPlatform))
	}
	if _, err := r.Invoke(context.Background(), v, from("/endless", nil)); abi.CodeOf(err) != abi.FunctionFailed {
		t.Errorf("a reply over the limit is answered %v", err)
	}
	if log := s.stream(abi.StreamPlatform); !strings.Contains(log, "limit of 1000 bytes") {
		t.Errorf("log = %q, want the limit", log)
	}
}

// TestReplyInterrupted: a guest that has begun its reply ends with its client, and its instance answers the next one.
func TestReplyInterrupted(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, goGuest(t, "stream"))
	for _, c := range []struct {
		path  string
		ended error // of the invoker's context, once the reply has begun
		write error
		code  abi.Code
		log   string
	}{
		{"/loop", context.Canceled, nil, abi.Unavailable, "canceled"},
		{"/sleep", context.Canceled, nil, abi.Unavailable, "canceled"},
		{"/endless", context.Canceled, nil, abi.Unavailable, "canceled"},
		{"/endless", nil, abi.WithCode(abi.Unavailable, errors.New("the client has left")), abi.Unavailable, "the client has left"},
		{"/endless", nil, abi.WithCode(abi.FunctionFailed, errors.New("body over 5 bytes")), abi.FunctionFailed, "body over 5 bytes"},
		{"/panic", nil, nil, abi.FunctionFailed, "unreachable"},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		to := &leaving{client: client{refuses: c.write, onWrite: func(int) {
			if c.ended != nil {
				cancel()
			}
		}}, leave: func() {
			if c.ended != nil && c.path != "/endless" {
				cancel()
			}
		}}
		e := from(c.path, nil)
		e.Stream = to
		res, err := r.Invoke(ctx, v, e)
		if abi.CodeOf(err) != c.code || !res.Streamed {
			t.Errorf("%s: Invoke = streamed %v, %v, want code %s", c.path, res.Streamed, err, c.code)
		}
		if log := s.stream(abi.StreamPlatform); !strings.Contains(log, c.log) {
			t.Errorf("%s: log = %q, want %q in it", c.path, log, c.log)
		}
		cancel()
		checkIdle(t, r) // else the next one may find no clean instance, and take a new one
		next := new(client)
		if _, err := r.Invoke(context.Background(), v, from("/events", next)); err != nil || next.pieces[0] != "data: 1 0\n\n" {
			t.Errorf("after %s: Invoke = %q, %v, want a pristine instance", c.path, next.pieces, err)
		}
		checkIdle(t, r)
	}
	if n := r.used.instances.Load(); n != 1 {
		t.Errorf("%d instances, want the one that all used", n)
	}
	checkNothingLeft(t, r)
}

// leaving is a client that does something when the reply begins.
type leaving struct {
	client
	leave func()
}

func (l *leaving) Start(r *abi.Result) error {
	defer l.leave()
	return l.client.Start(r)
}

func TestBodyInPieces(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, goGuest(t, "stream"))
	command := deploy(t, r, goGuest(t, "command"))
	for _, c := range []struct {
		rest io.Reader
		want string // answered by /upload
		code abi.Code
	}{
		{strings.NewReader(""), "1 3 <nil> true\n", ""},
		{strings.NewReader(strings.Repeat("a", 1<<20)), "1 1048579 <nil> true\n", ""},
		{iotest.DataErrReader(iotest.OneByteReader(strings.NewReader("abc"))), "1 6 <nil> true\n", ""},
		{io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(abi.WithCode(abi.Timeout, errors.New("too slow")))), "", abi.Unavailable},
	} {
		e := from("/upload", &client{body: c.rest})
		e.Method, e.Body = "POST", []byte("abc")
		res, err := r.Invoke(context.Background(), v, e)
		if string(res.Body) != c.want || abi.CodeOf(err) != c.code {
			t.Errorf("Invoke = %q, %v, want %q; log %q", res.Body, err, c.want, s.stream(abi.StreamPlatform))
		}
	}
	e := from("/", &client{body: iotest.OneByteReader(strings.NewReader("def"))})
	e.Method, e.Body = "POST", []byte("abc")
	res, err := r.Invoke(context.Background(), command, e)
	if err != nil || !strings.Contains(string(res.Body), "ABCDEF") {
		t.Errorf("a command answers %q, %v, want its input in it; log %q", res.Body, err, s.stream(abi.StreamPlatform))
	}
}

// chatty is a command that writes pieces, and then runs code.
func chatty(pieces []string, code ...[]byte) []byte {
	m := writer(strings.Join(pieces, ""))
	var all [][]byte
	at := int32(64)
	for _, p := range pieces {
		all = append(all, wasmtest.Write(0, 1, at, int32(len(p))))
		at += int32(len(p))
	}
	m.Func(abi.ExportStart, "", append(all, code...)...)
	return m.Bytes()
}

func TestCommandInPieces(t *testing.T) {
	r, s := open(t, Config{})
	fails := [][]byte{wasmtest.I32(3), wasmtest.Call(procExit)}
	for _, c := range []struct {
		pieces []string
		code   [][]byte
		head   int // status; 0: nothing is sent
		want   string
		fault  string // in the log
	}{
		{[]string{"Status: 201\r\n", "A: b\r\n\r\n", "x", "yz"}, nil, 201, "x|yz", ""},
		{[]string{"A: b\n\nx"}, nil, 200, "x", ""},
		{[]string{"A: b\n", "\n"}, nil, 200, "", ""},
		{[]string{"A: b\r", "\n\r", "\nx"}, nil, 200, "x", ""},
		{[]string{"A: b\n\nx", "y"}, fails, 200, "x|y", "exit code 3"},
		{[]string{"A: b\n"}, nil, 0, "", "no empty line"},
		{[]string{"\nx"}, nil, 0, "", "starts with no CGI header"},
		{nil, nil, 0, "", "starts with no CGI header"},
		{[]string{"A: " + strings.Repeat("b", MaxHeaderBytes)}, nil, 0, "", "no empty line"},
		{[]string{"Status: 99\n\nx"}, nil, 0, "", "three digits"},
	} {
		v := deploy(t, r, chatty(c.pieces, c.code...))
		v.Settings.Streaming = true
		to := new(client)
		res, err := r.Invoke(context.Background(), v, from("/", to))
		status := 0
		if to.head != nil {
			status = to.head.Status
		}
		if got := strings.Join(to.pieces, "|"); got != c.want || status != c.head || (err == nil) != (c.fault == "") || res.Streamed != (c.head > 0) {
			t.Errorf("%.40q: sent %d %q, %v; want %d %q, fault %q", c.pieces, status, got, err, c.head, c.want, c.fault)
		}
		if log := s.stream(abi.StreamPlatform); !strings.Contains(log, c.fault) {
			t.Errorf("%.40q: log = %.200q, want %q in it", c.pieces, log, c.fault)
		}
	}
}

// FuzzCGIStream: a command's reply is the same however its output is cut.
func FuzzCGIStream(f *testing.F) {
	f.Add([]byte("Status: 201\r\nA: b\r\n\r\nbody"), uint8(3))
	f.Add([]byte("A: b\n\nbody\n\n"), uint8(1))
	f.Add([]byte("\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, out []byte, size uint8) {
		var whole abi.Reply
		wrong := parseCGI(out, &whole)
		if wrong == nil {
			wrong = checkReply(&abi.Reply{Status: whole.Status, Headers: whole.Headers}, 0)
		}
		to, result := new(client), new(abi.Result)
		c := &call{event: abi.Event{Stream: to}}
		c.pieces.open(c, result)
		stream := &cgiStream{to: &c.pieces}
		var err error
		for rest := out; len(rest) > 0 && err == nil; {
			n := min(len(rest), int(size)+1)
			_, err = stream.Write(rest[:n])
			rest = rest[n:]
		}
		if began := c.pieces.started && err == nil; began != (wrong == nil) {
			t.Fatalf("%q: begun %v, %v; as a whole it is %v", out, c.pieces.started, err, wrong)
		}
		if got := strings.Join(to.pieces, ""); wrong == nil && (got != string(whole.Body) || len(result.Headers) != len(whole.Headers)) {
			t.Fatalf("%q: sent %q %v, want %q %v", out, got, result.Headers, whole.Body, whole.Headers)
		}
	})
}

// TestTransactionalReplyIsHeld: it is sent after the commit.
func TestTransactionalReplyIsHeld(t *testing.T) {
	r, _ := open(t, Config{Store: &op.Memory{}})
	v := deploy(t, r, goGuest(t, "stream"))
	v.Settings.Effects = registry.EffectsTransactional
	c := new(client)
	res, err := r.Invoke(context.Background(), v, from("/events", c))
	if err != nil || res.Streamed || c.head != nil || len(res.Body) == 0 {
		t.Errorf("Invoke = %+v, %v, sent %+v, want a reply that is held", res, err, c.head)
	}
}

func TestPiecesOutOfTurn(t *testing.T) {
	head := string(abi.AppendReply(nil, &abi.Reply{Status: 200}))
	bad := string(abi.AppendReply(nil, &abi.Reply{Status: 99}))
	r, s := open(t, Config{})
	for _, c := range []struct {
		text  string
		calls []uint32 // 0 is reply_start, 1 reply_send, 2 reply_write of text
		want  string
	}{
		{head, []uint32{1}, "has not been started"},
		{head, []uint32{0, 0}, "was started before"},
		{head, []uint32{0, 2}, "sent in pieces"},
		{bad, []uint32{0}, "status 99"},
		{"\xff", []uint32{0}, "malformed"},
		{string(abi.AppendReply(nil, &abi.Reply{Error: "no"})), []uint32{0}, "no error"},
	} {
		m := writer(c.text)
		m.Import(abi.HostModule, abi.ImportReplyStart, "ii")
		m.Import(abi.HostModule, abi.ImportReplySend, "ii")
		m.Import(abi.HostModule, abi.ImportReplyWrite, "ii")
		m.Func(abi.ExportInitialize, "")
		m.Func(abi.ExportVersion, ":i", wasmtest.I32(abi.Version))
		var code [][]byte
		for _, k := range c.calls {
			code = append(code, wasmtest.I32(64), wasmtest.I32(int32(len(c.text))), wasmtest.Call(2+k))
		}
		m.Func(abi.ExportHandle, "i:i", append(code, wasmtest.I32(0))...)
		_, err := r.Invoke(context.Background(), deploy(t, r, m.Bytes()), from("/", new(client)))
		if log := s.stream(abi.StreamPlatform); abi.CodeOf(err) != abi.FunctionFailed || !strings.Contains(log, c.want) {
			t.Errorf("%v of %q: Invoke = %v, log %q, want %q in it", c.calls, c.text, err, log, c.want)
		}
	}
}
