package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/sett-run/sett/kv/op"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// den is a cluster for tests: its records, and a network in memory.
type den struct {
	t         *testing.T
	network   *memory
	records   *Records
	authority *Authority

	mu      sync.Mutex // guards removed
	removed map[string]bool
}

func newDen(t *testing.T) *den {
	t.Helper()
	d := &den{t: t, network: newMemory(), records: NewRecords(&op.Memory{}), removed: map[string]bool{}}
	var err error
	if d.authority, err = NewAuthority(); err != nil {
		t.Fatal(err)
	}
	if err := d.records.PutAuthority(t.Context(), d.authority, 0); err != nil {
		t.Fatal(err)
	}
	if err := d.records.PutKeyring(t.Context(), [][]byte{bytes.Repeat([]byte{7}, 32)}, 0); err != nil {
		t.Fatal(err)
	}
	return d
}

// rotate replaces the authority by another.
func (d *den) replace(a *Authority) {
	d.t.Helper()
	_, revision, err := d.records.Authority(d.t.Context(), strong())
	if err == nil {
		err = d.records.PutAuthority(d.t.Context(), a, revision)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.authority = a
}

func (d *den) remove(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removed[id] = true
}

func (d *den) isRemoved(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.removed[id]
}

// identity is one of a member, in memory.
func (d *den) identity() *Identity {
	d.t.Helper()
	i, err := OpenIdentity("", newID())
	if err == nil {
		err = i.IssuedBy(d.authority)
	}
	if err == nil {
		err = d.records.PutMember(d.t.Context(), Member{ID: i.ID(), Name: "node", Role: Voter})
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return i
}

// testNode is a member with a port at host:7000.
type testNode struct {
	*Port
	identity *Identity
	network  host
	metrics  *prometheus.Registry
	log      *logBuffer
}

func (d *den) node(name string) *testNode {
	d.t.Helper()
	n := &testNode{identity: d.identity(), network: d.network.host(name), metrics: prometheus.NewRegistry(), log: &logBuffer{}}
	l, err := n.network.Listen(d.t.Context(), name+":7000")
	if err != nil {
		d.t.Fatal(err)
	}
	n.Port, err = OpenPort(Config{Listener: l, Network: n.network, Identity: n.identity, Removed: d.isRemoved,
		Log: slog.New(slog.NewTextHandler(n.log, nil)), Metrics: n.metrics})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { n.Close() })
	return n
}

// refused answers how many connections were refused for a reason.
func (n *testNode) refused(t *testing.T, why reason) int {
	t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "sett_cluster_connections_refused_total" && m.GetLabel()[0].GetValue() == string(why) {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// memory is a network of pipes, by HOST:PORT.
type memory struct {
	mu        sync.Mutex
	listeners map[string]*pipes
}

func newMemory() *memory { return &memory{listeners: map[string]*pipes{}} }

func (m *memory) host(name string) host { return host{m, name} }

// host is the network as one machine sees it.
type host struct {
	*memory
	name string
}

func (h host) Listen(_ context.Context, address string) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &pipes{memory: h.memory, address: memoryAddr(address), conns: make(chan net.Conn), closed: make(chan struct{})}
	h.listeners[address] = l
	return l, nil
}

func (h host) ListenPacket(context.Context, string) (net.PacketConn, error) {
	return nil, errors.ErrUnsupported
}

func (h host) Dial(ctx context.Context, address string) (net.Conn, error) {
	h.mu.Lock()
	l := h.listeners[address]
	h.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s: connection refused", address)
	}
	here, there := net.Pipe()
	select {
	case l.conns <- pipe{there, memoryAddr(h.name + ":1")}:
		return pipe{here, memoryAddr(address)}, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial %s: connection refused", address)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipes is a listener.
type pipes struct {
	memory  *memory
	address memoryAddr
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Addr() net.Addr { return l.address }

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

type pipe struct {
	net.Conn
	remote memoryAddr
}

func (p pipe) RemoteAddr() net.Addr { return p.remote }

type memoryAddr string

func (memoryAddr) Network() string  { return "memory" }
func (a memoryAddr) String() string { return string(a) }
