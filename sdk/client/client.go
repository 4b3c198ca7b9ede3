// Package client speaks a node's admin API: it uploads modules, deploys, rolls back, invokes, reads logs and
// keeps tokens. The command line uses it and nothing else, so it cannot rot. It holds the JSON shapes of requests
// and responses too; router/admin serves the same types.
//
// Its main type is Client, one method a call. A Client may be used by many goroutines at once. What a node
// refuses comes back as *Error with the node's code; a cancelled context comes back as the context's error.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// DefaultNode is the admin address of a node started with default settings.
const DefaultNode = "http://127.0.0.1:8081"

const (
	// maxResponseBytes bounds a JSON response. Raising it lets larger lists and replies through and costs
	// memory; an invocation's reply of 6 MiB is 8 MiB here.
	maxResponseBytes = 64 << 20
	dialTimeout      = 5 * time.Second // raising it waits longer for a node that is not there
	continueTimeout  = time.Second     // how long an upload waits to hear that it is refused before it sends
)

// Client calls one node.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New returns a client of the node at an address like "http://127.0.0.1:8081", "https://edge.example" or
// "127.0.0.1:8081"; an empty one means DefaultNode. The token may be empty: a node on loopback asks for none.
// Nothing is sent yet.
func New(node, token string) (*Client, error) {
	if node == "" {
		node = DefaultNode
	}
	text := node
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	base, err := url.Parse(text)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.User != nil {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("node %q: not an address like %s", node, DefaultNode))
	}
	if strings.ContainsAny(token, "\r\n") {
		return nil, abi.WithCode(abi.InvalidInput, errors.New("token: contains a line break"))
	}
	base.Path, base.RawPath, base.RawQuery, base.Fragment = strings.TrimRight(base.Path, "/"), "", "", ""
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: continueTimeout,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
	}
	// A redirect is never followed: it could carry the token elsewhere.
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, token: token, http: &http.Client{Transport: transport, CheckRedirect: refuse}}, nil
}

// NewOver returns a client that makes its requests over a transport of the caller's, which reaches the node and says
// who asks. Name is how errors name the node: a host name.
func NewOver(name string, transport http.RoundTripper) *Client {
	return &Client{base: &url.URL{Scheme: "http", Host: name}, http: &http.Client{Transport: transport}}
}

// Node returns the node's address, as errors name it.
func (c *Client) Node() string { return c.base.String() }

// Close lets go of idle connections. The client stays usable.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Option changes how a call is made.
type Option func(http.Header)

// IfMatch makes a change happen only while the function still has this ETag; else it answers abi.Conflict
// with status 412 and changes nothing.
func IfMatch(etag string) Option {
	return func(h http.Header) { h.Set("If-Match", etag) }
}

// path joins segments, each escaped, below /v1.
func path(segments ...string) string {
	var b strings.Builder
	b.WriteString("/v1")
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// request is one call: out, when not nil, receives the response's JSON.
type request struct {
	method  string
	path    string
	query   url.Values
	in      any
	out     any
	options []Option
}

// do makes the call and decodes its answer.
func (c *Client) do(ctx context.Context, r request) error {
	var body io.Reader
	if r.in != nil {
		text, err := json.Marshal(r.in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := c.newRequest(ctx, r, body)
	if err != nil {
		return err
	}
	if r.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.send(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if r.out == nil {
		return nil
	}
	return c.decode(ctx, res, r.out)
}

func (c *Client) newRequest(ctx context.Context, r request, body io.Reader) (*http.Request, error) {
	target := c.base.String() + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", "sett-client")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for _, o := range r.options {
		o(req.Header)
	}
	return req, nil
}

// send returns a response of status 2xx, whose body the caller closes, or an error.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.sendError(req.Context(), err)
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, readError(res)
}

func (c *Client) decode(ctx context.Context, res *http.Response, out any) error {
	text, err := io.ReadAll(io.LimitReader(res.Body, maxResponseBytes+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return newError(abi.Unavailable, 0, fmt.Errorf("node %s: response cut off: %w", c.Node(), err))
	case len(text) > maxResponseBytes:
		return newError(abi.TooLarge, 0, fmt.Errorf("node %s: response is over %d bytes", c.Node(), maxResponseBytes))
	}
	if err := json.Unmarshal(text, out); err != nil {
		return c.unknown(err)
	}
	return nil
}

// errCount says that a response is not about what was asked.
var errCount = errors.New("another number of results than was asked for")

// unknown is the error of a response that this client cannot read.
func (c *Client) unknown(err error) error {
	return newError(abi.Internal, 0, fmt.Errorf("node %s: response is not what this client knows: %w", c.Node(), err))
}
