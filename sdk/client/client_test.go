package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// serve starts a server that answers every request with h and returns a client of it.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := New(server.URL, "sett_secret")
	if err != nil {
		t.Fatalf("New(%q): %v", server.URL, err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestNewReadsAddresses(t *testing.T) {
	for _, test := range []struct {
		node, want string // want empty: refused
	}{
		{"", DefaultNode},
		{"127.0.0.1:9000", "http://127.0.0.1:9000"},
		{"localhost:9000", "http://localhost:9000"},
		{"https://edge.example/", "https://edge.example"},
		{"http://[::1]:8081", "http://[::1]:8081"},
		{"https://edge.example/sett/?q#f", "https://edge.example/sett"},
		{"ftp://edge.example", ""},
		{"http://", ""},
		{"http://user:word@edge.example", ""},
		{"http://edge example", ""},
	} {
		c, err := New(test.node, "")
		switch {
		case err != nil && test.want != "":
			t.Errorf("New(%q): %v", test.node, err)
		case err == nil && c.Node() != test.want:
			t.Errorf("New(%q).Node() = %q, want %q", test.node, c.Node(), test.want)
		case err != nil && abi.CodeOf(err) != abi.InvalidInput:
			t.Errorf("New(%q): code %q, want %q", test.node, abi.CodeOf(err), abi.InvalidInput)
		}
	}
	if _, err := New("", "a\nb"); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("New with a line break in the token: %v, want %s", err, abi.InvalidInput)
	}
}

func TestUnreachableNodeIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	listener.Close()
	c, err := New(address, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.NodeInfo(context.Background())
	if abi.CodeOf(err) != abi.Unavailable {
		t.Fatalf("NodeInfo: %v (code %q), want %q", err, abi.CodeOf(err), abi.Unavailable)
	}
	for _, want := range []string{address, "start a node with: sett up"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.NodeInfo(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("NodeInfo with a cancelled context: %v, want %v", err, context.Canceled)
	}
}

func TestErrorsKeepTheirCode(t *testing.T) {
	const problem = "application/problem+json"
	for _, test := range []struct {
		name, kind, body string
		status           int
		code             abi.Code
		message          string // part of it
	}{
		{"problem", problem, `{"status":422,"code":"invalid_module","detail":"module imports env.foo"}`, 422, abi.InvalidModule, "module imports env.foo"},
		{"unknown code", problem, `{"status":418,"code":"teapot","detail":"short and stout"}`, 418, "teapot", "short and stout"},
		{"data plane", problem, `{"status":404,"code":"not_found","detail":"no route","invocation":"01"}`, 404, abi.NotFound, "no route: http://127.0.0.1:"},
		{"problem without code", problem, `{"detail":"x"}`, 404, abi.NotFound, "answered 404"},
		{"not JSON", problem, `<html>`, 502, abi.Unavailable, "answered 502"},
		{"another server", "text/plain", "no such page\nmore", 404, abi.NotFound, "no such page"},
		{"redirect", "", "", 302, abi.Internal, "answered 302"},
		{"precondition", "", "", 412, abi.Conflict, "answered 412"},
		{"disk full", "", "", 507, abi.NoSpace, "answered 507"},
		{"cut proxy", "text/html", strings.Repeat("x", maxErrorBytes+1), 504, abi.Timeout, "answered 504"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.kind)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			_, err := c.NodeInfo(context.Background())
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error is %T, want *Error", err)
			}
			if e.Code != test.code || abi.CodeOf(err) != test.code || e.Status != test.status {
				t.Errorf("code %q (CodeOf %q) status %d, want %q %d", e.Code, abi.CodeOf(err), e.Status, test.code, test.status)
			}
			if !strings.Contains(e.Message, test.message) {
				t.Errorf("message %q does not say %q", e.Message, test.message)
			}
		})
	}
}

func TestResponseThatIsNotOursIsRefused(t *testing.T) {
	for name, body := range map[string]string{"not JSON": "hello", "wrong shape": `{"name":7}`} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		if _, err := c.NodeInfo(context.Background()); abi.CodeOf(err) != abi.Internal || !strings.Contains(fmt.Sprint(err), c.Node()) {
			t.Errorf("%s: %v, want %s and the node's name", name, err, abi.Internal)
		}
	}
	large := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<20)
		for range maxResponseBytes>>20 + 1 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	if _, err := large.NodeInfo(context.Background()); abi.CodeOf(err) != abi.TooLarge {
		t.Errorf("response over the limit: %v, want %s", err, abi.TooLarge)
	}
	cut := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, `{"name":`)
	})
	if _, err := cut.NodeInfo(context.Background()); abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("response cut off: %v, want %s", err, abi.Unavailable)
	}
}

func TestUploadSendsOnlyWhatIsMissing(t *testing.T) {
	var puts int
	held := map[string]bool{"held": true}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		digest := strings.TrimPrefix(r.URL.Path, "/v1/modules/")
		switch {
		case r.Header.Get("Authorization") != "Bearer sett_secret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodHead && !held[digest]:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodPut:
			puts++
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, `{"digest":%q,"size_bytes":%d}`, digest, n)
		}
	})
	unread := readerFunc(func([]byte) (int, error) { t.Error("body read of a module the node has"); return 0, io.EOF })
	m, err := c.UploadModule(context.Background(), Upload{Digest: "held", SizeBytes: 5, Body: unread})
	if err != nil || !m.Existed || puts != 0 {
		t.Errorf("upload of a held module: %+v, %v, %d PUTs; want existed and none", m, err, puts)
	}
	var last int64
	body := strings.Repeat("w", 300_000)
	m, err = c.UploadModule(context.Background(), Upload{Digest: "new", SizeBytes: int64(len(body)), Body: strings.NewReader(body),
		Progress: func(sent int64) {
			if sent <= last {
				t.Errorf("progress went from %d to %d", last, sent)
			}
			last = sent
		}})
	if err != nil || m.Existed || m.SizeBytes != int64(len(body)) || last != int64(len(body)) {
		t.Errorf("upload: %+v, %v, progress %d; want %d bytes", m, err, last, len(body))
	}
}

func TestUploadRefusedAtHeadHasWords(t *testing.T) {
	for status, want := range map[int]string{401: "token", 403: "does not allow", 400: "64 hexadecimal digits"} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		_, err := c.UploadModule(context.Background(), Upload{Digest: "d", Body: strings.NewReader("")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("status %d: error %v does not say %q", status, err, want)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestLogsYieldsAndEnds(t *testing.T) {
	since := time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.URL.RawQuery, "app=shop&function=cart&limit=7&since=2026-11-02T03%3A04%3A05Z"; got != want {
			t.Errorf("query %q, want %q", got, want)
		}
		io.WriteString(w, "{\"message\":\"one\"}\n\n{\"message\":\"two\"}\n{\"message\":")
	})
	var got []string
	var last error
	for line, err := range c.Logs(context.Background(), LogQuery{App: "shop", Function: "cart", Limit: 7, Since: since}) {
		got, last = append(got, line.Message), err
	}
	if want := []string{"one", "two", ""}; !slices.Equal(got, want) || abi.CodeOf(last) != abi.Internal {
		t.Errorf("lines %q, last error %v; want %q and a broken line", got, last, want)
	}
}

func TestLogsFollowEndsWithTheReader(t *testing.T) {
	left := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{\"message\":\"one\"}\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	})
	for line, err := range c.Logs(context.Background(), LogQuery{Follow: true}) {
		if err != nil || line.Message != "one" {
			t.Fatalf("line %+v, %v", line, err)
		}
		break
	}
	<-left
}

func TestPathEscapesNames(t *testing.T) {
	if got, want := path("apps", "a/../b", "functions"), "/v1/apps/a%2F..%2Fb/functions"; got != want {
		t.Errorf("path = %q, want %q", got, want)
	}
}
