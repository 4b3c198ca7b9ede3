package peer

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/sdk/abi"
)

// ClientConfig says how a Client asks. Dial and Self are needed.
type ClientConfig struct {
	// Dial opens a connection to the node with the id, authenticated by both sides: it fails when another node answers.
	Dial    func(ctx context.Context, address, id string) (net.Conn, error)
	Self    string                // this node's id: never asked, and what makes it begin with another holder than others do
	Log     *slog.Logger          // default: discards
	Metrics prometheus.Registerer // default: none

	MaxMessageBytes int64 // default DefaultMessageBytes; the same on every node
}

// Client asks other nodes. It keeps connections, by node and address, for later calls. All its methods may be called
// concurrently.
type Client struct {
	config    ClientConfig
	transport *http.Transport
	metrics   *clientMetrics
	flights   flights
	closed    context.Context // ends with Close
	close     context.CancelFunc
	mu        sync.Mutex // keeps dials from growing after the end of closed
	dials     sync.WaitGroup
}

// NewClient makes a client that has no connections yet.
func NewClient(config ClientConfig) (*Client, error) {
	if config.Dial == nil || config.Self == "" {
		return nil, errors.New("open peer client: it needs a way to dial and this node's id")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.MaxMessageBytes <= 0 {
		config.MaxMessageBytes = DefaultMessageBytes
	}
	if config.Metrics == nil {
		config.Metrics = prometheus.NewRegistry() // that nobody reads
	}
	metrics, err := newClientMetrics(config.Metrics)
	if err != nil {
		return nil, err
	}
	c := &Client{config: config, metrics: metrics}
	c.closed, c.close = context.WithCancel(context.Background())
	c.transport = &http.Transport{
		DialContext: c.dial, DisableCompression: true,
		MaxConnsPerHost: MaxConnections, MaxIdleConnsPerHost: MaxIdleConnections, IdleConnTimeout: idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes, ExpectContinueTimeout: stallTimeout,
	}
	return c, nil
}

// Close ends what is being dialed and the connections no call uses; calls under way go on until their own end, and
// later ones fail. The caller waits for its calls before.
func (c *Client) Close() {
	c.mu.Lock()
	c.close()
	c.mu.Unlock()
	c.dials.Wait()
	c.transport.CloseIdleConnections()
	c.config.Metrics.Unregister(c.metrics.all)
}

// Has says whether a node has a module.
func (c *Client) Has(ctx context.Context, node Node, digest string) (bool, error) {
	if !isDigest(digest) {
		return false, errNoDigest(digest)
	}
	ctx, cancel := context.WithTimeout(ctx, stallTimeout)
	defer cancel()
	r, err := c.call(ctx, node, &http.Request{Method: http.MethodHead, URL: &url.URL{Path: "/modules/" + digest}})
	if err != nil {
		return false, fmt.Errorf("ask %s for module: %w", node.ID, err)
	}
	defer r.Body.Close()
	switch r.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusNotFound:
		return false, nil
	}
	return false, fmt.Errorf("ask %s for module: %w", node.ID, problemOf(r))
}

// Hold has a node fetch a module from the holders, nearest to that node first and at most MaxHolders, and returns when
// it is on the node's disk. The context should have a deadline.
func (c *Client) Hold(ctx context.Context, node Node, digest string, sizeBytes int64, holders []Node) error {
	return c.HoldThis(ctx, node, FetchRequest{Digest: digest, SizeBytes: sizeBytes, Holders: holders})
}

// HoldThis is Hold for what a request names, a chunk too.
func (c *Client) HoldThis(ctx context.Context, node Node, f FetchRequest) error {
	if !isDigest(f.Digest) {
		return errNoDigest(f.Digest)
	}
	body, err := json.Marshal(holdRequest{SizeBytes: f.SizeBytes, Holders: f.Holders[:min(len(f.Holders), MaxHolders)]})
	if err != nil {
		return fmt.Errorf("have %s hold module: %w", node.ID, err)
	}
	r, err := c.call(ctx, node, &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: f.path()},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	})
	if err != nil {
		return fmt.Errorf("have %s hold module: %w", node.ID, err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusNoContent {
		return fmt.Errorf("have %s hold module: %w", node.ID, problemOf(r))
	}
	return nil
}

// call sends a request, whose URL has only a path, and answers what came. Errors are coded abi.Timeout or
// abi.Unavailable.
func (c *Client) call(ctx context.Context, node Node, r *http.Request) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host = "http", hostOf(node) // the connections are TLS already
	r.Host = "sett"
	if r.Header == nil {
		r.Header = http.Header{}
	}
	answer, err := c.transport.RoundTrip(r.WithContext(ctx))
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return nil, coded(ctx.Err())
	}
	return nil, abi.WithCode(abi.Unavailable, err)
}

// dial opens a connection for the transport. It outlives the request that it was begun for.
func (c *Client) dial(ctx context.Context, _, host string) (net.Conn, error) {
	node, err := nodeOf(host)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.closed.Err() != nil {
		c.mu.Unlock()
		return nil, net.ErrClosed
	}
	c.dials.Add(1)
	c.mu.Unlock()
	defer c.dials.Done()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(c.closed, cancel)()
	return c.config.Dial(ctx, node.Address, node.ID)
}

// hostOf names a node for the transport, which keeps connections by this name: a node with another address gets new
// ones.
func hostOf(n Node) string { return hex.EncodeToString([]byte(n.ID + "@" + n.Address)) }

// nodeOf is the opposite of hostOf; the transport has added a port.
func nodeOf(host string) (Node, error) {
	name, _, _ := strings.Cut(host, ":")
	b, err := hex.DecodeString(name)
	if err != nil {
		return Node{}, fmt.Errorf("dial node: %w", err)
	}
	id, address, _ := strings.Cut(string(b), "@")
	return Node{ID: id, Address: address}, nil
}
