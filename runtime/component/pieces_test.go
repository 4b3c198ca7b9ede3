package component

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// client is a client in memory that takes pieces.
type client struct {
	head    *abi.Reply
	pieces  []string
	refuses error // of Write
}

func (c *client) Start(r *abi.Reply) error {
	c.head = r
	return nil
}

func (c *client) Write(b []byte) (int, error) {
	c.pieces = append(c.pieces, string(b))
	return len(b), c.refuses
}

func (c *client) sent() string { return strings.Join(c.pieces, "|") }

// open begins a response, and answers its body and the stream of it.
func (w *world) open(outparam uint64, headers ...string) (body, stream uint64) {
	ptr, n := w.pairs(headers...)
	w.do("[static]fields.from-list", ptr, n/2, result)
	r := w.do("[constructor]outgoing-response", w.u32(result+4))
	w.do("[method]outgoing-response.body", r, result)
	body = w.u32(result + 4)
	w.do("[static]response-outparam.set", outparam, 0, r, 0, 0, 0, 0, 0, 0)
	w.do("[method]outgoing-body.write", body, result)
	return body, w.u32(result + 4)
}

// write writes to a stream, as much as it takes at once.
func (w *world) write(stream uint64, text string) {
	w.do("[method]output-stream.check-write", stream, result)
	if w.u8(result) != 0 || w.u64(result+8) < uint64(len(text)) {
		w.t.Fatalf("the stream takes %d bytes, want %d", w.u64(result+8), len(text))
	}
	const at = 1 << 20
	ptr, n := w.text(at, text)
	w.do("[method]output-stream.write", stream, ptr, n, result)
}

func (w *world) finish(body, stream uint64) {
	w.do(drop+"output-stream", stream)
	w.do("[static]outgoing-body.finish", body, 0, 0, result)
}

// sleep waits in the guest's name.
func (w *world) sleep(d time.Duration) {
	w.do("[method]pollable.block", w.do("subscribe-duration", uint64(d)))
}

func TestReplyPieces(t *testing.T) {
	full := strings.Repeat("a", maxWaiting)
	for _, c := range []struct {
		name    string
		headers []string
		run     func(w *world, body, stream uint64)
		sent    string // in pieces; "": it is held
		held    string
		length  string // Content-Length that is sent
	}{
		{"small", nil, func(w *world, body, stream uint64) {
			w.write(stream, "a")
			w.sleep(0) // is ready
			w.write(stream, "b")
			w.finish(body, stream)
		}, "", "ab", ""},
		{"waits", nil, func(w *world, body, stream uint64) {
			w.sleep(time.Second)
			w.write(stream, "a")
			w.write(stream, "b")
			w.sleep(time.Second)
			w.sleep(time.Second)
			w.write(stream, "c")
			w.finish(body, stream)
		}, "ab|c", "", ""},
		{"just fits", nil, func(w *world, body, stream uint64) {
			w.write(stream, full)
			w.finish(body, stream)
		}, "", full, ""},
		{"large", []string{"content-length", "131073"}, func(w *world, body, stream uint64) {
			w.write(stream, full)
			w.write(stream, full)
			w.write(stream, "b")
			w.finish(body, stream)
		}, full + full + "|b", "", "131073"},
		{"finished, and then waits", nil, func(w *world, body, stream uint64) {
			w.write(stream, "abc")
			w.finish(body, stream)
			w.sleep(time.Second)
		}, "abc", "", "3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				_, out := w.begin(new(abi.Event))
				to := new(client)
				w.call.Pieces = to
				body, stream := w.open(out, c.headers...)
				c.run(w, body, stream)
				var reply abi.Reply
				if err := w.call.Reply(&reply); err != nil {
					t.Fatal(err)
				}
				if to.sent() != c.sent || string(reply.Body) != c.held || (to.head == nil) != (c.sent == "") {
					t.Errorf("sent %.50q, held %.50q, want %.50q and %.50q", to.sent(), reply.Body, c.sent, c.held)
				}
				if to.head == nil {
					return
				}
				length := ""
				for _, h := range to.head.Headers {
					length += h.Value
				}
				if to.head.Status != 200 || length != c.length || w.call.held != 0 {
					t.Errorf("head %+v, want length %q; %d bytes are held", to.head, c.length, w.call.held)
				}
			})
		})
	}
}

// TestReplyPiecesFail: what goes wrong behind the beginning of a reply ends it, and is told.
func TestReplyPiecesFail(t *testing.T) {
	gone := errors.New("the client has left")
	for _, c := range []struct {
		name    string
		headers []string
		run     func(w *world, to *client, body, stream uint64) error
		want    string
	}{
		{"not finished", nil, func(w *world, _ *client, _, stream uint64) error {
			w.write(stream, "b")
			return w.call.Reply(new(abi.Reply))
		}, "not finished"},
		{"dropped", nil, func(w *world, _ *client, body, stream uint64) error {
			w.do(drop+"output-stream", stream)
			w.do(drop+"outgoing-body", body)
			w.sleep(time.Second)
			return w.call.Reply(new(abi.Reply))
		}, "dropped before it was finished"},
		{"short", []string{"content-length", "3"}, func(w *world, _ *client, body, stream uint64) error {
			w.finish(body, stream)
			return w.call.Reply(new(abi.Reply))
		}, "it has 1 bytes, its headers announce 3"},
		{"long", []string{"content-length", "3"}, func(w *world, _ *client, body, stream uint64) error {
			w.write(stream, "bcd")
			_, err := w.try("[method]pollable.block", w.do("subscribe-duration", uint64(time.Second)))
			return err
		}, "longer than its headers announce"},
		{"left while it waits", nil, func(w *world, to *client, body, stream uint64) error {
			to.refuses = gone
			w.write(stream, "b")
			_, err := w.try("[method]pollable.block", w.do("subscribe-duration", uint64(time.Second)))
			return err
		}, gone.Error()},
		{"left at the end", nil, func(w *world, to *client, body, stream uint64) error {
			to.refuses = gone
			w.write(stream, "b")
			w.finish(body, stream)
			return w.call.Reply(new(abi.Reply))
		}, gone.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				_, out := w.begin(new(abi.Event))
				to := new(client)
				w.call.Pieces = to
				body, stream := w.open(out, c.headers...)
				w.write(stream, "a")
				w.sleep(time.Second)
				if to.sent() != "a" {
					t.Fatalf("sent %q, want a", to.sent())
				}
				if err := c.run(w, to, body, stream); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			})
		})
	}
}

// TestNoReplyPieces: a reply that was not set, is an error, or has failed is not begun.
func TestNoReplyPieces(t *testing.T) {
	for name, run := range map[string]func(w *world, out uint64){
		"not set": func(*world, uint64) {},
		"error":   func(w *world, out uint64) { w.do("[static]response-outparam.set", out, 1, 15, 0, 0, 0, 0, 0, 0) },
		"dropped": func(w *world, out uint64) {
			body, stream := w.open(out)
			w.do(drop+"output-stream", stream)
			w.do(drop+"outgoing-body", body)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			_, out := w.begin(new(abi.Event))
			to := new(client)
			w.call.Pieces = to
			run(w, out)
			if w.sleep(time.Second); to.head != nil {
				t.Errorf("%s: %+v is sent", name, to.head)
			}
		})
	}
}

// upload is a body that comes from a pipe.
type upload struct {
	*io.PipeReader
	stopped  bool
	trailers []abi.Field
	handle   uint64 // of the body
}

func (u *upload) Trailers() []abi.Field { return u.trailers }

func (u *upload) Stop() {
	u.stopped = true
	u.CloseWithError(errors.New("nobody reads any more"))
}

// consume begins a call whose body follows "a" from a pipe, and answers the body's stream.
func (w *world) consume() (to *io.PipeWriter, u *upload, stream, outparam uint64) {
	in, to := io.Pipe()
	request, outparam := w.begin(&abi.Event{Body: []byte("a"), More: true})
	u = &upload{PipeReader: in}
	w.call.Body = u
	w.do("[method]incoming-request.consume", request, result)
	u.handle = w.u32(result + 4)
	w.do("[method]incoming-body.stream", u.handle, result)
	return to, u, w.u32(result + 4), outparam
}

// take reads what a stream has, and answers what it ended with.
func (w *world) take(read string, stream uint64) (text string, fault error) {
	w.do("[method]input-stream."+read, stream, 1<<16, result)
	switch {
	case w.u8(result) == 0:
		return w.string(result + 4), nil
	case w.u8(result+4) == 1:
		return "", io.EOF
	}
	e := w.u32(result + 8)
	w.do("http-error-code", e, result)
	code := byte(255)
	if w.u8(result) == 1 {
		code = w.u8(result + 8)
	}
	w.do("[method]error.to-debug-string", e, result)
	return w.string(result), &httpFault{code}
}

// httpFault is an error's code; 255: none.
type httpFault struct{ code byte }

func (f *httpFault) Error() string { return "an error code" }

func TestBodyPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.cancel()
		to, _, stream, out := w.consume()
		client := new(client)
		w.call.Pieces = client
		if text, err := w.take("read", stream); text != "a" || err != nil {
			t.Errorf("read = %q, %v, want what was there", text, err)
		}
		if text, err := w.take("read", stream); text != "" || err != nil {
			t.Errorf("read = %q, %v, want nothing yet", text, err)
		}
		p := w.do("[method]input-stream.subscribe", stream)
		if w.do("[method]pollable.ready", p) != 0 {
			t.Error("a body that has not come is ready")
		}
		// A timer that is due first is what a poll of both answers.
		begin := time.Now()
		timer := w.do("subscribe-duration", uint64(time.Second))
		w.module.Memory().WriteUint32Le(first, uint32(p))
		w.module.Memory().WriteUint32Le(first+4, uint32(timer))
		w.do("poll", first, 2, result)
		if at := uint32(w.u32(result)); w.u32(result+4) != 1 || w.u32(at) != 1 || time.Since(begin) != time.Second {
			t.Errorf("poll answers %d things, the first %d, after %v", w.u32(result+4), w.u32(at), time.Since(begin))
		}
		body, answer := w.open(out)
		w.write(answer, "b")
		go func() {
			time.Sleep(time.Second)
			to.Write([]byte("c"))
			time.Sleep(time.Second)
			to.Close()
		}()
		w.do("[method]pollable.block", p)
		if text, err := w.take("read", stream); text != "c" || err != nil || time.Since(begin) != 2*time.Second || client.sent() != "b" {
			t.Errorf("read = %q, %v after %v, sent %q; want c, and what is answered sent", text, err, time.Since(begin), client.sent())
		}
		w.write(answer, "d")
		if _, err := w.take("blocking-read", stream); !errors.Is(err, io.EOF) || client.sent() != "b|d" {
			t.Errorf("read = %v, sent %q; want the end, and what is answered sent", err, client.sent())
		}
		w.finish(body, answer)
		if err := w.call.Reply(new(abi.Reply)); err != nil {
			t.Error(err)
		}
	})
}

// TestBodyPiecesLarge: pieces are cut where the guest wants less, and none is lost.
func TestBodyPiecesLarge(t *testing.T) {
	w := newWorld(t)
	to, _, stream, _ := w.consume()
	sent := bytes.Repeat([]byte("0123456789abcdefg"), 20_000)
	go func() {
		io.Copy(to, bytes.NewReader(sent))
		to.Close()
	}()
	var got strings.Builder
	for {
		w.do("[method]input-stream.blocking-read", stream, 1000, result)
		if w.u8(result) != 0 {
			break
		}
		got.WriteString(w.string(result + 4))
	}
	if want := "a" + string(sent); got.String() != want {
		t.Errorf("read %d bytes, want %d", got.Len(), len(want))
	}
}

func TestBodyPiecesFail(t *testing.T) {
	for want, fault := range map[byte]error{
		codeReadTimeout:     abi.WithCode(abi.Timeout, errors.New("too slow")),
		codeRequestBodySize: abi.WithCode(abi.TooLarge, errors.New("too large")),
		codeTerminated:      abi.WithCode(abi.InvalidInput, errors.New("left")),
		255:                 errors.New("unknown"),
	} {
		w := newWorld(t)
		to, _, stream, _ := w.consume()
		go func() {
			to.Write([]byte("b"))
			to.CloseWithError(fault)
		}()
		w.take("blocking-read", stream)
		if text, err := w.take("blocking-read", stream); text != "b" || err != nil {
			t.Errorf("read = %q, %v", text, err)
		}
		var code *httpFault
		if text, err := w.take("blocking-read", stream); text != fault.Error() || !errors.As(err, &code) || code.code != want {
			t.Errorf("read = %q, %+v, want %v as %d", text, err, fault, want)
		}
		if _, err := w.take("blocking-read", stream); !errors.Is(err, io.EOF) {
			t.Errorf("behind the end: %v", err)
		}
	}
}

// TestBodyPiecesEnd: a guest that waits for a body ends with its time, and nobody reads the body then.
func TestBodyPiecesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, u, stream, _ := w.consume()
		w.take("read", stream)
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		_, err := w.module.ExportedFunction(w.name("[method]input-stream.blocking-read")).Call(ctx, stream, 10, result)
		if err == nil || u.stopped {
			t.Errorf("read = %v, stopped %v", err, u.stopped)
		}
		if w.call.Close(); !u.stopped {
			t.Error("the body is still read")
		}
		to, u, stream, _ := w.consume() // one that was read to its end is not
		to.Close()
		w.take("blocking-read", stream)
		w.take("blocking-read", stream)
		if w.call.Close(); u.stopped {
			t.Error("Stop was called for a body that has ended")
		}
	})
}
