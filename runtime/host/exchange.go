package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// newRequest makes a request of what a guest asks for, or refuses it.
func newRequest(ctx context.Context, r *abi.FetchRequest) (*http.Request, target, error) {
	refuse := func(format string, args ...any) (*http.Request, target, error) {
		return nil, target{}, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), abi.ErrBadRequest)
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	if !abi.ValidHeader(abi.Field{Name: method}) || len(method) > maxMethodBytes {
		return refuse("method %.40q", method)
	}
	if method == http.MethodConnect || method == http.MethodTrace {
		return refuse("method %s is not for functions", method)
	}
	u, err := url.Parse(r.URL)
	switch {
	case err != nil:
		return refuse("URL %.80q cannot be read", r.URL)
	case u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return refuse("URL %.80q: it starts with http:// or https://", r.URL)
	case u.User != nil:
		return refuse("URL: it has a user name; send the header Authorization instead")
	}
	t, err := targetOf(u)
	if err != nil {
		return refuse("URL %.80q: %v", r.URL, err)
	}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return refuse("URL %.80q cannot be read", r.URL)
	}
	for _, h := range r.Headers {
		if !abi.ValidHeader(h) {
			return refuse("header %.80q: no valid name, or a control character in its value", h.Name)
		}
		name := http.CanonicalHeaderKey(h.Name)
		if forbiddenHeader(name) {
			return refuse("header %s is the host's to set", name)
		}
		request.Header.Add(name, h.Value)
	}
	return request, t, addTrailers(request, r)
}

// maxMethodBytes is the longest method; no registered one has half of it.
const maxMethodBytes = 32

// forbiddenHeader reports whether a header belongs to the connection, or says where a request goes or how long it is,
// which a guest must not say otherwise than by its URL and its body.
func forbiddenHeader(canonical string) bool {
	switch canonical {
	case "Host", "Content-Length", "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return strings.HasPrefix(canonical, "Proxy-")
}

// readReply reads a whole reply, within the limits of package abi.
func readReply(r *http.Response) (*abi.Reply, error) {
	if r.StatusCode < 200 || r.StatusCode > 599 {
		return nil, fmt.Errorf("%w: status %d", abi.ErrBroken, r.StatusCode)
	}
	reply := &abi.Reply{Status: r.StatusCode}
	size := 0
	for name, values := range r.Header {
		if forbiddenHeader(name) && name != "Content-Length" {
			continue
		}
		for _, v := range values {
			h := abi.Field{Name: name, Value: v}
			if !abi.ValidHeader(h) {
				return nil, fmt.Errorf("%w: header %.40q has a control character", abi.ErrBroken, name)
			}
			size += len(name) + len(v)
			reply.Headers = append(reply.Headers, h)
		}
	}
	if size > abi.MaxFetchHeaderBytes || len(reply.Headers) > abi.MaxHeaders {
		return nil, errLongHeader
	}
	slices.SortStableFunc(reply.Headers, func(a, b abi.Field) int { return strings.Compare(a.Name, b.Name) })
	var err error
	if reply.Body, err = readBody(r); err == nil {
		reply.Trailers, err = readTrailers(r.Trailer)
	}
	return reply, err
}

var (
	errLongHeader = fmt.Errorf("the reply's headers: %w: at most %d, of %d bytes", abi.ErrOverLimit, abi.MaxHeaders, abi.MaxFetchHeaderBytes)
	errLongBody   = fmt.Errorf("the reply's body: %w: at most %d bytes", abi.ErrOverLimit, abi.MaxFetchReplyBytes)
)

func readBody(r *http.Response) ([]byte, error) {
	if r.ContentLength > abi.MaxFetchReplyBytes && r.Request.Method != http.MethodHead {
		return nil, errLongBody
	}
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0), abi.MaxFetchReplyBytes)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(r.Body, abi.MaxFetchReplyBytes+1))
	switch {
	case err != nil:
		return nil, err
	case n > abi.MaxFetchReplyBytes:
		return nil, errLongBody
	}
	return b.Bytes(), nil
}

// hasNumber reports whether an error is one that guests are told.
func hasNumber(err error) bool {
	_, ok := abi.OutgoingErrorNumber(err)
	return ok
}

// longHeader reports whether net/http gave up on a reply's header, for which it has no error of its own.
func longHeader(err error) bool {
	return strings.Contains(err.Error(), "server response headers exceeded") || errors.Is(err, errLongHeader)
}
