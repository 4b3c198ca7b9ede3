// Package fetch sends HTTP requests:
//
//	r, err := fetch.Get(ctx, "https://api.example.com/rates")
//
// A function reaches the hosts that its deployment allows and no others: egress in the manifest, or sett deploy
// --allow-host. Requests and replies are whole, of 6 MiB at most, and a redirect is a reply like any other: it is not
// followed. The context's deadline and the invocation's limit how long a call takes; cancelling the context while it
// runs does not end it, since the whole instance waits.
//
// For code that has an http.Client there is package fetchhttp; this one does not link net/http, whose client
// makes a module four times as large. Errors are told apart with errors.Is. All functions may be called by several
// goroutines, one after the other. Outside WebAssembly package settest answers instead of the network. docs/FETCH.md
// says more.
package fetch

import (
	"context"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Limits. What is over one is refused with ErrTooLarge.
const (
	MaxURLBytes     = abi.MaxURLBytes
	MaxHeaders      = abi.MaxHeaders
	MaxHeaderBytes  = abi.MaxFetchHeaderBytes // names and values together, of a request and of a reply
	MaxRequestBytes = abi.MaxFetchRequestBytes
	MaxReplyBytes   = abi.MaxFetchReplyBytes
)

// Header is one header; a list of them keeps duplicates.
type Header = abi.Field

// Request is what is sent. The host sets Host from the URL, Content-Length, and all that belongs to the connection; it
// refuses a request that has one of these headers itself.
type Request struct {
	Method  string // empty means GET
	URL     string // absolute, http or https, without a user name
	Headers []Header
	Body    []byte
}

// Response is what was answered. Headers are sorted by their names, which are written as in Content-Type. The body is as
// it was sent: compressed, if the request's Accept-Encoding asked for it.
type Response struct {
	Status  int // 200..599
	Headers []Header
	Body    []byte
}

// Header is the first value of a header, whatever the name's case.
func (r *Response) Header(name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Do sends a request and waits for the whole response. Any status is a response, not an error.
func Do(ctx context.Context, r Request) (*Response, error) {
	reply, err := host.Fetch(ctx, &abi.FetchRequest{Method: r.Method, URL: r.URL, Headers: r.Headers, Body: r.Body})
	if err != nil {
		return nil, wrap(err)
	}
	return &Response{reply.Status, reply.Headers, reply.Body}, nil
}

// Get is Do of a GET request.
func Get(ctx context.Context, url string) (*Response, error) { return Do(ctx, Request{URL: url}) }

// Post is Do of a POST request.
func Post(ctx context.Context, url, contentType string, body []byte) (*Response, error) {
	return Do(ctx, Request{"POST", url, []Header{{Name: "Content-Type", Value: contentType}}, body})
}
