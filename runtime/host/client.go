package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of the node's outgoing HTTP.
const (
	DefaultFetches    = 512 // fetches at once. More hold more memory, 12 MiB each at worst
	DefaultAppFetches = 128 // of one app at once. More let one app, whose hosts are slow, take more of the node's

	maxPools     = 256              // apps whose connections are kept. More keep more connections open
	maxIdle      = 32               // connections an app keeps that are not in use
	maxIdleHost  = 8                // of these, to one host
	idleTimeout  = 60 * time.Second // how long one is kept. Longer finds more of them closed by the other side
	dialTimeout  = 10 * time.Second // for a connection
	tlsTimeout   = 10 * time.Second // for what makes it secure
	maxTLSTokens = 32               // sessions an app may resume
)

// ClientConfig configures a Client. The zero value works.
type ClientConfig struct {
	Name    string                // for servers that ask: "sett/0.1.0"; default "sett"
	Metrics prometheus.Registerer // default: none
	// Forbidden says which addresses are never connected to, whatever a function's settings allow: the node's own
	// listeners that trust whoever reaches them. It is called by many goroutines. Default: none.
	Forbidden func(netip.AddrPort) bool

	Fetches    int // default DefaultFetches
	AppFetches int // default DefaultAppFetches

	Resolver *net.Resolver  // default: the system's
	Roots    *x509.CertPool // default: the system's
}

// Client is the node's outgoing HTTP, for all that functions cause: it connects to nothing but what a function's egress
// list allows, and looks again at each address a name resolves to, at the moment it connects. It follows no redirects,
// uses no proxy of the node's environment, and keeps connections, of each app and list for itself: what one app may
// reach, or has done to a connection, is nothing to another. All methods may be called concurrently.
type Client struct {
	config  ClientConfig
	metrics *fetchMetrics
	slots   chan struct{} // one value for each fetch that runs

	mu    sync.Mutex // guards the rest
	pools map[string]*pool
	apps  map[string]*appFetches // that fetch
}

// appFetches are those of an app, whatever its functions' egress lists.
type appFetches struct {
	slots chan struct{} // one value for each that runs
	all   int           // that run or wait; guarded by the client's mu
}

// pool is the connections of an app under one egress list.
type pool struct {
	client    *Client
	egress    *egress
	transport *http.Transport
	used      time.Time // last; guarded by the client's mu
}

// NewClient opens a client. Close it.
func NewClient(c ClientConfig) (*Client, error) {
	if c.Name == "" {
		c.Name = "sett"
	}
	if c.Forbidden == nil {
		c.Forbidden = func(netip.AddrPort) bool { return false }
	}
	if c.Fetches <= 0 {
		c.Fetches = DefaultFetches
	}
	if c.AppFetches <= 0 {
		c.AppFetches = DefaultAppFetches
	}
	m, err := newFetchMetrics(c.Metrics)
	if err != nil {
		return nil, fmt.Errorf("open outgoing client: %w", err)
	}
	return &Client{config: c, metrics: m, slots: make(chan struct{}, c.Fetches),
		pools: make(map[string]*pool), apps: make(map[string]*appFetches)}, nil
}

// Close closes the connections that are not in use; those in use close when their fetch ends, as its context does. It is
// for after the last fetch.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, p := range c.pools {
		p.transport.CloseIdleConnections()
		delete(c.pools, key)
	}
	c.metrics.unregister()
}

// Fetch sends a request and answers the whole reply, as Fetcher says. Its ctx limits how long that takes.
func (c *Client) Fetch(ctx context.Context, by Caller, r *abi.FetchRequest) (*abi.Reply, error) {
	start := time.Now()
	reply, err := c.fetch(ctx, by, r)
	err = classify(ctx, err)
	c.metrics.observe(start, err)
	return reply, err
}

func (c *Client) fetch(ctx context.Context, by Caller, r *abi.FetchRequest) (*abi.Reply, error) {
	request, t, err := newRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	p := c.pool(by)
	if !p.egress.permits(t.host, t.port) {
		return nil, t.denied()
	}
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", c.config.Name)
	}
	app := c.begin(by.App)
	defer c.end(by.App, app)
	for _, slots := range []chan struct{}{app.slots, c.slots} {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return nil, fmt.Errorf("fetch: %w: %w", abi.ErrBusy, ctx.Err())
		}
	}
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return readReply(response)
}

// begin answers the fetches of an app, one more. Call end.
func (c *Client) begin(app string) *appFetches {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.apps[app]
	if f == nil {
		f = &appFetches{slots: make(chan struct{}, c.config.AppFetches)}
		c.apps[app] = f
	}
	f.all++
	return f
}

func (c *Client) end(app string, f *appFetches) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.all--; f.all == 0 {
		delete(c.apps, app)
	}
}

// pool answers the connections of whom to fetch for.
func (c *Client) pool(by Caller) *pool {
	key := by.App + "\x00" + strings.Join(by.Egress, "\x00")
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pools[key]
	if p == nil {
		c.makeRoom()
		p = c.newPool(by)
		c.pools[key] = p
	}
	p.used = time.Now()
	return p
}

// makeRoom drops the pool that was not used for the longest time, if there are too many.
func (c *Client) makeRoom() {
	if len(c.pools) < maxPools {
		return
	}
	var oldest string
	for key, p := range c.pools {
		if oldest == "" || p.used.Before(c.pools[oldest].used) {
			oldest = key
		}
	}
	c.pools[oldest].transport.CloseIdleConnections()
	delete(c.pools, oldest)
}

func (c *Client) newPool(by Caller) *pool {
	p := &pool{client: c, egress: parseEgress(by.Egress)}
	secure := &tls.Config{
		RootCAs: c.config.Roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(maxTLSTokens),
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	p.transport = &http.Transport{
		DialContext: p.dial,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return p.dialTLS(ctx, address, secure)
		},
		Protocols:              &protocols,
		DisableCompression:     true, // a guest gets what was sent
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdleHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: abi.MaxFetchHeaderBytes,
	}
	return p
}

// dial connects to address, HOST:PORT, if every check at the socket lets it.
func (p *pool) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	d := net.Dialer{Timeout: dialTimeout, Resolver: p.client.config.Resolver}
	d.Control = func(_, resolved string, _ syscall.RawConn) error { return p.check(host, resolved) }
	return d.DialContext(ctx, "tcp", address)
}

// check refuses an address that host resolved to. Nothing comes between it and the connection.
func (p *pool) check(host, resolved string) error {
	a, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return fmt.Errorf("%s: %w", resolved, abi.ErrDenied)
	}
	a = netip.AddrPortFrom(a.Addr().WithZone("").Unmap(), a.Port())
	if p.client.config.Forbidden(a) {
		return fmt.Errorf("%s leads to %s: %w: it is the node's own, which no setting opens", host, a, abi.ErrDenied)
	}
	if !p.egress.connects(host, a) {
		return fmt.Errorf("%s leads to %s: %w: it is not a public address, and not among its egress hosts", host, a, abi.ErrDenied)
	}
	return nil
}

func (p *pool) dialTLS(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	raw, err := p.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(address)
	config = config.Clone()
	config.ServerName = strings.TrimSuffix(host, ".")
	ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("%w: %w", abi.ErrTLS, withoutAddress(err))
	}
	return conn, nil
}

// classify makes an error of package abi, or ctx's, of what net/http answers. It leaves out addresses, which are the
// node's business.
func classify(ctx context.Context, err error) error {
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, abi.ErrBusy):
		return fmt.Errorf("fetch: %w", ctx.Err())
	case longHeader(err):
		return fmt.Errorf("fetch: %w", errLongHeader)
	case errors.As(err, &dns):
		why := "the name server does not answer"
		if dns.IsNotFound {
			why = "no such host"
		}
		return fmt.Errorf("fetch: %w: %s: %s", abi.ErrResolve, dns.Name, why)
	case hasNumber(err):
		return fmt.Errorf("fetch: %w", err)
	case errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("fetch: %w: %w", abi.ErrConnect, dial.Err)
	}
	return fmt.Errorf("fetch: %w: %w", abi.ErrBroken, withoutAddress(err))
}

// withoutAddress answers what went wrong on a connection, without where it begins and ends.
func withoutAddress(err error) error {
	var on *net.OpError
	if errors.As(err, &on) {
		return on.Err
	}
	return err
}
