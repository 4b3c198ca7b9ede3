package replica

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The first byte of a stream says what it carries. A later version of either takes a new number.
const (
	streamRaft  = 1 // hashicorp/raft's messages
	streamCalls = 2 // ours
)

const (
	maxStreams       = 512             // that others have opened; more are closed at once
	helloTimeout     = 5 * time.Second // until the first byte is there
	dialTimeout      = 2 * time.Second // of a stream to another node
	raftTimeout      = 5 * time.Second // of one raft message, and of each 256 KiB of a snapshot
	maxRaftPool      = 3               // streams to one node that raft keeps
	maxRaftInFlight  = 1               // messages with entries to one node: see network
	acceptPause      = 50 * time.Millisecond
	raftAcceptBuffer = 16
)

// mux shares one transport between raft and calls, and knows all its streams, so that it can end them.
type mux struct {
	transport Transport
	log       *slog.Logger
	serve     func(ctx context.Context, conn net.Conn) // one stream of calls, until it ends
	raft      chan net.Conn

	mu      sync.Mutex // guards the rest
	streams map[net.Conn]struct{}
	taken   int // streams that others have opened
	closed  bool

	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup
}

func newMux(t Transport, log *slog.Logger, serve func(context.Context, net.Conn)) *mux {
	m := &mux{transport: t, log: log, serve: serve, raft: make(chan net.Conn, raftAcceptBuffer),
		streams: map[net.Conn]struct{}{}}
	m.life, m.end = context.WithCancel(context.Background())
	return m
}

// network is raft's transport on the mux. It has no pipelines: when a follower refuses a message while another one
// is on its way, raft v1.7.3 waits for good in a full pipeline, so that this leader sends it no entry any more, only
// heartbeats, and Shutdown does not return (hashicorp/raft issue 612).
func (m *mux) network(resolve func(id string) (string, error)) *raft.NetworkTransport {
	c := &raft.NetworkTransportConfig{
		Stream: raftLayer{m}, MaxPool: maxRaftPool, MaxRPCsInFlight: maxRaftInFlight, Timeout: raftTimeout, Logger: raftLog(m.log),
	}
	if resolve != nil {
		c.ServerAddressProvider = resolver(resolve)
	}
	return raft.NewNetworkTransportWithConfig(c)
}

type resolver func(id string) (string, error)

// ServerAddr answers a member's address.
func (f resolver) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	address, err := f(string(id))
	return raft.ServerAddress(address), err
}

// start accepts streams.
func (m *mux) start() { m.work.Go(m.accept) }

func (m *mux) accept() {
	for {
		conn, err := m.transport.Accept()
		if m.life.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil {
			m.log.Warn("accept stream", "err", err)
			select {
			case <-time.After(acceptPause):
			case <-m.life.Done():
			}
			continue
		}
		if s := m.track(conn, true); s != nil {
			m.work.Go(func() { m.sort(s) })
		}
	}
}

// sort gives an accepted stream to whom it is for.
func (m *mux) sort(s *stream) {
	var first [1]byte
	err := s.SetReadDeadline(time.Now().Add(helloTimeout))
	if err == nil {
		_, err = s.Read(first[:])
	}
	if errors.Join(err, s.SetReadDeadline(time.Time{})) != nil {
		s.Close()
		return
	}
	switch first[0] {
	case streamRaft:
		select {
		case m.raft <- s:
			return
		case <-m.life.Done():
		}
	case streamCalls:
		m.serve(m.life, s)
	default:
		m.log.Warn("stream of unknown kind", "kind", first[0], "from", s.RemoteAddr().String())
	}
	s.Close()
}

// dial opens a stream of a kind.
func (m *mux) dial(ctx context.Context, address string, kind byte) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(m.life, cancel)()
	conn, err := m.transport.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	s := m.track(conn, false)
	if s == nil {
		return nil, net.ErrClosed
	}
	err = s.SetWriteDeadline(time.Now().Add(dialTimeout))
	if err == nil {
		_, err = s.Write([]byte{kind})
	}
	if err = errors.Join(err, s.SetWriteDeadline(time.Time{})); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// track notes a stream; nil: it was closed, because there are too many or the mux is closed.
func (m *mux) track(conn net.Conn, taken bool) *stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || taken && m.taken >= maxStreams {
		conn.Close()
		return nil
	}
	s := &stream{Conn: conn, mux: m, taken: taken}
	m.streams[s] = struct{}{}
	if taken {
		m.taken++
	}
	return s
}

// stream is a connection that its mux knows.
type stream struct {
	net.Conn
	mux   *mux
	taken bool
}

// Close closes the connection.
func (s *stream) Close() error {
	s.mux.mu.Lock()
	if _, open := s.mux.streams[s]; open {
		delete(s.mux.streams, s)
		if s.taken {
			s.mux.taken--
		}
	}
	s.mux.mu.Unlock()
	return s.Conn.Close()
}

// cut ends all streams and accepts and opens none any more.
func (m *mux) cut() error {
	m.end()
	err := m.transport.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	m.mu.Lock()
	m.closed = true
	open := slices.Collect(maps.Keys(m.streams))
	m.mu.Unlock()
	for _, s := range open {
		s.Close()
	}
	return err
}

// close cuts everything, and waits for what was going on.
func (m *mux) close(network *raft.NetworkTransport) error {
	err := m.cut()
	network.CloseStreams()
	err = errors.Join(err, network.Close())
	m.work.Wait()
	for {
		select {
		case c := <-m.raft:
			c.Close()
		default:
			return err
		}
	}
}

// raftLayer is raft's view of the mux.
type raftLayer struct{ mux *mux }

func (l raftLayer) Accept() (net.Conn, error) {
	select {
	case c := <-l.mux.raft:
		return c, nil
	case <-l.mux.life.Done():
		return nil, net.ErrClosed
	}
}

func (l raftLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return l.mux.dial(ctx, string(address), streamRaft)
}

func (l raftLayer) Addr() net.Addr { return l.mux.transport.Addr() }

// Close does nothing: the mux is closed by its replica, after raft.
func (l raftLayer) Close() error { return nil }
