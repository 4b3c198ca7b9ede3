package host_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/sdk/abi"
)

// echoTrailers answers what came behind the request's body, as trailers and as its body.
func echoTrailers(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Trailer", "X-Never")
	var b bytes.Buffer
	r.Trailer.Write(&b)
	fmt.Fprintf(w, "%s %s %d %q", r.Method, body, r.ContentLength, b.String())
	for name, values := range r.Trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
	w.Header().Set(http.TrailerPrefix+"Server", "x")
}

// TestFetchTrailers sends trailers, and reads what comes back, over HTTP/1.1 and HTTP/2.
func TestFetchTrailers(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(echoTrailers))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	plain, _ := serve(t, echoTrailers)
	c := newClient(t, host.ClientConfig{Roots: roots})
	sum := []abi.Field{{Name: "X-Other", Value: "3"}, {Name: "x-sum", Value: "1"}, {Name: "X-Sum", Value: "2"}}
	want := []abi.Field{{Name: "X-Other", Value: "3"}, {Name: "X-Sum", Value: "1"}, {Name: "X-Sum", Value: "2"}}
	for _, u := range []string{"http://" + plain, "https://127.0.0.1:" + port} {
		for _, r := range []abi.FetchRequest{
			{Method: "POST", Body: []byte("body")}, {Method: "POST"}, {Method: "GET"}, {Method: "PUT", Body: bytes.Repeat([]byte("a"), 1<<20)},
		} {
			for range 2 { // the connection is used again
				r.URL, r.Trailers = u, append(slices.Clip(sum), abi.Field{Name: "Host", Value: "evil"}, abi.Field{Name: "Sett-Trigger", Value: "x"})
				reply, err := c.Fetch(t.Context(), shop("127.0.0.0/8"), &r)
				if err != nil {
					t.Fatalf("%s %s: %v", r.Method, u, err)
				}
				body := fmt.Sprintf("%s %s -1 %q", r.Method, r.Body, "X-Other: 3\r\nX-Sum: 1\r\nX-Sum: 2\r\n")
				if string(reply.Body) != body || !slices.Equal(reply.Trailers, want) {
					t.Errorf("%s %s: reply %.200q with %v, want %.200q with %v", r.Method, u, reply.Body, reply.Trailers, body, want)
				}
			}
		}
		r := abi.FetchRequest{Method: "POST", URL: u, Body: []byte("body"), Trailers: []abi.Field{{Name: "Host", Value: "evil"}}}
		if reply, err := c.Fetch(t.Context(), shop("127.0.0.0/8"), &r); err != nil || string(reply.Body) != `POST body 4 ""` || reply.Trailers != nil {
			t.Errorf("%s: %+v, %v, want a request without trailers", u, reply, err)
		}
		for _, f := range []abi.Field{{Name: "X", Value: "a\r\nb: c"}, {Name: "X\r\nY", Value: "a"}, {Name: "", Value: "a"}, {Name: "X", Value: "\x00"}} {
			if _, err := c.Fetch(t.Context(), shop("127.0.0.0/8"), &abi.FetchRequest{URL: u, Trailers: []abi.Field{f}}); !errors.Is(err, abi.ErrBadRequest) {
				t.Errorf("trailer %q: %v, want %v", f, err, abi.ErrBadRequest)
			}
		}
	}
}

// TestFetchHostileTrailers: a server's trailers are held to limits, and none that may be none passes.
func TestFetchHostileTrailers(t *testing.T) {
	c := newClient(t, host.ClientConfig{})
	for _, tt := range []struct {
		name, trailers string
		want           []abi.Field
		fault          error
	}{
		{"fine", "x-a: 1\r\n", []abi.Field{{Name: "X-A", Value: "1"}}, nil},
		{"that may be none", "Set-Cookie: a=b\r\nHost: b\r\nSett-Start: cold\r\nX-A: 1\r\n", []abi.Field{{Name: "X-A", Value: "1"}}, nil},
		{"control character", "X-A: a\x01b\r\n", nil, abi.ErrBroken},
		{"large", "X-A: " + strings.Repeat("a", 100_000) + "\r\n", nil, abi.ErrBroken},
		{"cut off", "X-A: 1", nil, abi.ErrBroken},
	} {
		address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			conn, b, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			b.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + tt.trailers)
			if tt.name != "cut off" {
				b.WriteString("\r\n")
			}
			b.Flush()
		})
		reply, err := c.Fetch(t.Context(), shop(address), get("http://"+address))
		if !errors.Is(err, tt.fault) || err == nil && !slices.Equal(reply.Trailers, tt.want) {
			t.Errorf("%s: %+v, %v, want %v, %v", tt.name, reply, err, tt.want, tt.fault)
		}
	}
}

func TestSendLimitsTrailers(t *testing.T) {
	c := host.Call{App: "shop", MaxOutgoing: 10, Fetcher: newClient(t, host.ClientConfig{})}
	for _, list := range [][]abi.Field{make([]abi.Field, abi.MaxHeaders+1), {{Name: "X", Value: strings.Repeat("a", abi.MaxFetchHeaderBytes)}}} {
		if _, err := c.Send(&abi.FetchRequest{URL: "http://a", Trailers: list}); !errors.Is(err, abi.ErrOverLimit) {
			t.Errorf("Send with %d trailers of %d bytes: %v, want %v", len(list), abi.FieldBytes(list), err, abi.ErrOverLimit)
		}
	}
	send, err := c.Send(&abi.FetchRequest{URL: "http://a", Trailers: []abi.Field{{Name: "X", Value: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := send(context.Background()); !errors.Is(err, abi.ErrDenied) {
		t.Errorf("send: %v, want %v", err, abi.ErrDenied)
	}
}

// TestFetchLongTrailers: over HTTP/2, where net/http takes more, our own limits hold.
func TestFetchLongTrailers(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "a")
		w.Header().Set(http.TrailerPrefix+"X-A", strings.Repeat("a", len(r.URL.Path)*abi.MaxFetchHeaderBytes/10))
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := newClient(t, host.ClientConfig{Roots: roots})
	for path, fits := range map[string]bool{"/2345": true, "/23456789x": false} {
		if _, err := c.Fetch(t.Context(), shop("127.0.0.0/8"), get(s.URL+path)); (err == nil) != fits {
			t.Errorf("%s: %v, fits %v", path, err, fits)
		}
	}
}
