// Package nethttp serves an unchanged http.Handler as a function: a mux, a framework's router, any handler written
// for net/http.
//
//	func init() {
//		mux := http.NewServeMux()
//		mux.HandleFunc("GET /users/{id}", user)
//		nethttp.Serve(mux)
//	}
//
//	func main() {}
//
// The handler sees what net/http's server would show it, and its reply follows the server's rules: 200 unless
// WriteHeader was called, the first call counts, a Content-Type found from the body's first bytes. The reply is
// held until the handler returns, unless it calls Flush: then it is sent in pieces, as package sett's Flusher says. A body that
// is read in pieces is read as on a server. Hijack, trailers and informational (1xx)
// replies are not offered. Linking net/http makes a module about twice as large as one of package sett alone.
package nethttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	sett "github.com/sett-run/sett/sdk/go"
)

// Serve answers requests with h. Patterns are those of sett.HTTP and say which requests are h's; without any, h
// answers all of them, so that deployed without a route of its own the function claims every path that no other
// function claims more specifically. The whole path reaches h in either case. Call it from init or before
// sett.Main. It panics as sett.HTTP does.
func Serve(h http.Handler, patterns ...string) {
	if h == nil {
		panic("nethttp: Serve: the handler is nil")
	}
	if len(patterns) == 0 {
		patterns = []string{"/{path...}"}
	}
	for _, p := range patterns {
		sett.HTTP(p, func(w sett.ResponseWriter, r *sett.Request) { serve(h, w, r) })
	}
}

func serve(h http.Handler, w sett.ResponseWriter, r *sett.Request) {
	req, err := request(r)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	own := &writer{header: http.Header{}, out: w}
	h.ServeHTTP(own, req)
	own.finish()
}

// request is r as net/http's server would have read it.
func request(r *sett.Request) (*http.Request, error) {
	uri := r.Path
	if r.RawQuery != "" {
		uri += "?" + r.RawQuery
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method: r.Method, URL: u, RequestURI: uri, Proto: r.Proto, Host: r.Host, RemoteAddr: r.Remote,
		Header: make(http.Header, len(r.Headers)), Body: http.NoBody, ContentLength: int64(len(r.Body)),
	}
	req.ProtoMajor, req.ProtoMinor, _ = http.ParseHTTPVersion(r.Proto)
	for _, f := range r.Headers {
		req.Header.Add(f.Name, f.Value)
	}
	req.Header.Del("Host")
	switch {
	case r.More():
		req.Body = io.NopCloser(r.Reader())
		req.ContentLength = announced(r)
	case len(r.Body) > 0:
		req.Body = io.NopCloser(bytes.NewReader(r.Body))
	}
	if r.Scheme == "https" {
		req.TLS = &tls.ConnectionState{HandshakeComplete: true} // handlers ask whether it is nil
	}
	for _, p := range r.Params {
		req.SetPathValue(p.Name, p.Value)
	}
	for _, name := range r.PathNames() {
		req.SetPathValue(name, r.PathValue(name))
	}
	return req.WithContext(context.WithValue(r.Context(), requestKey{}, r)), nil
}

// announced is how long a body is to be, -1 when that is not known.
func announced(r *sett.Request) int64 {
	n, err := strconv.ParseInt(r.Header("Content-Length"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

type requestKey struct{}

// Request is the event behind a request that Serve handed to its handler, nil for another request's context.
func Request(ctx context.Context) *sett.Request {
	r, _ := ctx.Value(requestKey{}).(*sett.Request)
	return r
}

// writer is an http.ResponseWriter that keeps the reply until it is flushed.
type writer struct {
	out    sett.ResponseWriter
	begun  bool // out has the status and the headers
	header http.Header
	sent   http.Header // as it was at WriteHeader
	status int
	body   bytes.Buffer
	silent bool // flushed before there was a body to tell the type from
}

var (
	_ http.Flusher    = (*writer)(nil)
	_ io.StringWriter = (*writer)(nil)
)

func (w *writer) Header() http.Header { return w.header }

// WriteHeader takes the first final status. Informational ones cannot be sent and are dropped.
func (w *writer) WriteHeader(status int) {
	if status < 100 || status > 599 {
		panic("nethttp: WriteHeader: a status is 100 to 599")
	}
	if w.status != 0 || status < 200 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
}

func (w *writer) Write(b []byte) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	if w.begun {
		return w.out.Write(b)
	}
	return w.body.Write(b)
}

func (w *writer) WriteString(s string) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	if w.begun {
		return w.out.WriteString(s)
	}
	return w.body.WriteString(s)
}

// begin makes the status final and reports whether it may have a body.
func (w *writer) begin() error {
	w.WriteHeader(http.StatusOK)
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return http.ErrBodyNotAllowed
	}
	return nil
}

// Flush sends what has been written until now. The status and headers are final then.
func (w *writer) Flush() {
	w.WriteHeader(http.StatusOK)
	w.silent = w.silent || w.body.Len() == 0
	w.finish()
	if f, ok := w.out.(sett.Flusher); ok {
		f.Flush()
	}
}

// finish hands the reply over, once. Header names are sorted, since a map has no order.
func (w *writer) finish() {
	if w.begun {
		return
	}
	w.begun = true
	out := w.out
	w.WriteHeader(http.StatusOK)
	if _, typed := w.sent["Content-Type"]; !typed && w.body.Len() > 0 {
		kind := "" // sends none
		if !w.silent && w.sent.Get("Content-Encoding") == "" {
			kind = http.DetectContentType(w.body.Bytes())
		}
		w.sent.Set("Content-Type", kind)
	}
	names := make([]string, 0, len(w.sent))
	for name := range w.sent {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if len(name) > len(http.TrailerPrefix) && name[:len(http.TrailerPrefix)] == http.TrailerPrefix {
			continue
		}
		for _, value := range w.sent[name] {
			out.Header().Add(name, value)
		}
	}
	if !out.Header().Has("Content-Type") {
		out.Header().Set("Content-Type", "")
	}
	out.WriteHeader(w.status)
	out.Write(w.body.Bytes())
}
