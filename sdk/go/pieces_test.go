package sett

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

func TestFlush(t *testing.T) {
	large := strings.Repeat("a", pieceBytes)
	register(t, func() {
		HTTP("/{name}", func(w ResponseWriter, r *Request) {
			flush := w.(Flusher).Flush
			switch r.PathValue("name") {
			case "headers":
				w.WriteHeader(201)
				flush()
				w.WriteHeader(500)
				w.Header().Set("Late", "1")
			case "text":
				io.WriteString(w, "abc")
				flush()
				flush()
				io.WriteString(w, "def")
			case "large": // what becomes much is not kept
				flush()
				w.Write([]byte(large))
				if response := w.(*response); len(response.body) > 0 {
					t.Errorf("%d bytes wait", len(response.body))
				}
			}
		})
	})
	for _, c := range []struct{ name, begin, sent string }{
		{"headers", "201 [] ", ""},
		{"text", "0 [{Content-Type text/plain; charset=utf-8}] abc", "def"},
		{"large", "0 [] ", large},
		{"none", "", ""},
	} {
		p := new(host.Pieces)
		restore := host.LendPieces(p)
		reply, err := newGuest().handle(abi.AppendEvent(nil, &abi.Event{Method: "GET", Path: "/" + c.name, Host: "a"}))
		restore()
		if err != nil || (reply == nil) != (c.begin != "") {
			t.Errorf("%s: handle = %q, %v", c.name, reply, err)
		}
		begin := ""
		if p.Reply != nil {
			var r abi.Reply
			if err := abi.DecodeReply(p.Reply, &r); err != nil {
				t.Fatal(err)
			}
			begin = fmt.Sprint(r.Status, " ", r.Headers, " ", string(r.Body))
		}
		if begin != c.begin || string(p.Body) != c.sent {
			t.Errorf("%s: began with %q and sent %.20q, want %q and %.20q", c.name, begin, p.Body, c.begin, c.sent)
		}
	}
}

// TestFlushUnderMain: a CGI program's reply is written when it is whole.
func TestFlushUnderMain(t *testing.T) {
	register(t, func() {
		HTTP("/", func(w ResponseWriter, _ *Request) {
			w.(Flusher).Flush()
			w.WriteHeader(201)
		})
	})
	var out strings.Builder
	if err := serveCGI([]string{"REQUEST_METHOD=GET"}, strings.NewReader(""), &out); err != nil || !strings.HasPrefix(out.String(), "Status: 201") {
		t.Errorf("serveCGI = %v, wrote %q", err, out.String())
	}
}

func TestReader(t *testing.T) {
	var got string
	register(t, func() {
		HTTP("/", func(_ ResponseWriter, r *Request) {
			first := make([]byte, 4)
			n, _ := io.ReadFull(r.Reader(), first)
			rest := io.Reader(following{})
			if !r.More() {
				rest = strings.NewReader("")
			}
			all, err := io.ReadAll(rest)
			got = fmt.Sprintf("%s|%s %v", first[:n], all, err)
		})
	})
	for _, c := range []struct {
		more bool
		want string
	}{{false, "abc| <nil>"}, {true, "abcd|ef <nil>"}} {
		restore := host.LendPieces(&host.Pieces{Rest: iotest.OneByteReader(strings.NewReader("def"))})
		_, err := newGuest().handle(abi.AppendEvent(nil, &abi.Event{Method: "POST", Path: "/", Host: "a", Body: []byte("abc"), More: c.more}))
		restore()
		if err != nil || got != c.want {
			t.Errorf("more %v: read %q, %v, want %q", c.more, got, err, c.want)
		}
	}
	if n, err := (following{}).Read(nil); n != 0 || errors.Is(err, io.EOF) {
		t.Errorf("Read of nothing = %d, %v", n, err)
	}
}
