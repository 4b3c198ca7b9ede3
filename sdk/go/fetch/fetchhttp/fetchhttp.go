// Package fetchhttp lets code written for net/http's Client send its requests from a function:
//
//	client := &http.Client{Transport: fetchhttp.Transport{}}
//
// or, for what uses the default client, http.DefaultTransport = fetchhttp.Transport{} in an init. What package fetch says
// of hosts, limits and errors holds here too; the client itself follows redirects, each of them a fetch.
package fetchhttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sett-run/sett/sdk/go/fetch"
)

// Transport is an http.RoundTripper that sends by package fetch. Requests and replies are held in memory, whole. It does
// not ask for compression, nor undo it. Trailers are neither sent nor received.
type Transport struct{}

var _ http.RoundTripper = Transport{}

// RoundTrip sends a request. Its Host must be its URL's: the host of a request says where it may go.
func (Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := read(r)
	if err != nil {
		return nil, err
	}
	if r.URL == nil {
		return nil, fmt.Errorf("fetch: no URL: %w", fetch.ErrInvalid)
	}
	if r.Host != "" && !strings.EqualFold(r.Host, r.URL.Host) {
		return nil, fmt.Errorf("fetch: host %q is not that of URL %s: %w", r.Host, r.URL.Redacted(), fetch.ErrInvalid)
	}
	url := *r.URL
	url.User, url.Fragment = nil, "" // the client has made a header of the user
	response, err := fetch.Do(r.Context(), fetch.Request{Method: r.Method, URL: url.String(), Headers: headers(r), Body: body})
	if err != nil {
		return nil, err
	}
	return answer(r, response), nil
}

// read reads and closes the body, as a RoundTripper must, up to one byte over the limit.
func read(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, fetch.MaxRequestBytes+1))
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, fmt.Errorf("fetch: read body: %w", err)
	}
	return body, nil
}

// headers answers what is sent of a request's, in a fixed order. What net/http sets by itself is left to the host.
func headers(r *http.Request) []fetch.Header {
	var all []fetch.Header
	for name, values := range r.Header {
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Keep-Alive":
			continue
		}
		for _, v := range values {
			all = append(all, fetch.Header{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(all, func(a, b fetch.Header) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func answer(r *http.Request, from *fetch.Response) *http.Response {
	response := &http.Response{
		Status:     strconv.Itoa(from.Status) + " " + http.StatusText(from.Status),
		StatusCode: from.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(from.Body)), ContentLength: int64(len(from.Body)), Request: r,
	}
	for _, h := range from.Headers {
		response.Header.Add(h.Name, h.Value)
	}
	if r.Method == http.MethodHead {
		response.ContentLength = -1
		if n, err := strconv.ParseInt(from.Header("Content-Length"), 10, 64); err == nil && n >= 0 {
			response.ContentLength = n
		}
	}
	return response
}
