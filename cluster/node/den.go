package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/cluster/gossip"
	"github.com/sett-run/sett/cluster/peer"
	"github.com/sett-run/sett/cluster/trust"
	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/sdk/abi"
)

// Names inside a data directory's clusterDir.
const (
	clusterDir   = "cluster"      // identity, gossip keys and peers
	foundingFile = "founding.pem" // the authority, until the store has it
	keysFile     = "keys.json"    // gossip keys, the current one first
	seedsFile    = "seeds.json"   // gossip addresses from when the node joined
	peersFile    = "peers.json"   // gossip's own
)

// Times of joining.
const (
	joinTimeout = 30 * time.Second       // until the cluster has answered a join token
	joinPause   = 500 * time.Millisecond // between tries
	seedPause   = time.Second            // between tries to reach the nodes that a joiner was told of
	tellPause   = time.Second            // between looks whether others have to be told of this node anew
)

// den is a node's part in its cluster: who it is, and how it reaches the others.
type den struct {
	identity *trust.Identity
	founding *trust.Authority // not nil: this node has made the cluster, and the store does not know yet
	engine   string           // of compiled code that may come from elsewhere; empty: none may
	keys     [][]byte         // of gossip, those in use; guarded by refresh once the node is open
	seeds    []string         // gossip addresses
	port     *trust.Port
	bound    net.Addr // where port listens; others may know it by another address
	raft     raftTransport
	http     *trust.Stream
	gossip   *gossip.Gossip
	records  *trust.Records
	client   *peer.Client
	server   *peer.Server
	loader   *peer.Loader

	members atomic.Pointer[map[string]trust.Member] // records of all nodes, removed ones too
	act     chan struct{}                           // 1 slot: the leader has to look at who should vote
	refresh sync.Mutex                              // held while the store's records of the cluster are taken over
}

// openDen finds out which cluster the node belongs to, or joins or makes one, and opens the port for other nodes.
func (n *Node) openDen(ctx context.Context) (err error) {
	n.den.act, n.den.engine = make(chan struct{}, 1), runtime.Engine()
	n.den.members.Store(&map[string]trust.Member{})
	if n.den.identity, err = trust.OpenIdentity(n.dir.join(clusterDir), n.ID()); err != nil {
		return err
	}
	switch {
	case n.den.identity.Joined():
		err = n.rejoin()
	case n.config.Join != "":
		err = n.join(ctx)
	default:
		err = n.found()
	}
	if err != nil {
		return err
	}
	if err := n.openGossip(ctx); err != nil {
		return err
	}
	if err := n.openPort(ctx); err != nil {
		return err
	}
	return n.den.gossip.SetAbout(n.about())
}

// rejoin reads what the node knows of its cluster.
func (n *Node) rejoin() error {
	if n.config.Join != "" {
		n.log.Warn("join token ignored: this data directory belongs to a cluster already", "cluster", n.den.identity.Cluster(), "dir", n.dir.path)
	}
	if err := n.readClusterFile(keysFile, &n.den.keys); err != nil {
		return err
	}
	if err := n.readClusterFile(seedsFile, &n.den.seeds); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := os.ReadFile(n.dir.join(filepath.Join(clusterDir, foundingFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		n.den.founding, err = trust.ParseAuthority(text)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", foundingFile, err)
	}
	return nil
}

// join asks the nodes that the token names to be let in. What is needed to find them again is on disk before the
// certificate is, so that a node that has one can always go on.
func (n *Node) join(ctx context.Context) error {
	token, err := trust.ParseToken(n.config.Join)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if _, err := os.Stat(n.dir.join(storeDir)); err == nil {
		return fmt.Errorf("join: %s holds a store of its own, which cannot become part of another: choose an empty --data", n.dir.path)
	}
	if err := n.tryPorts(ctx); err != nil { // before the token is used
		return err
	}
	csr, err := n.den.identity.NewRequest()
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	answer, err := n.askToJoin(ctx, token, trust.Request{
		ID: n.ID(), Name: n.config.Name, Region: n.config.Region, Version: n.config.Version, Level: uint64(kv.Level), CSR: csr,
	})
	if err != nil {
		return err
	}
	n.den.keys = answer.Keys
	for _, p := range answer.Peers {
		n.den.seeds = append(n.den.seeds, p.Gossip)
	}
	err = errors.Join(n.writeClusterFile(keysFile, n.den.keys), n.writeClusterFile(seedsFile, n.den.seeds))
	if err == nil {
		err = n.den.identity.Use(answer.Certificate, answer.Roots)
	}
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	n.log.Info("joined", "cluster", n.den.identity.Cluster(), "role", answer.Role)
	return nil
}

// tryPorts sees that the addresses that the node will listen on are free.
func (n *Node) tryPorts(ctx context.Context) error {
	for flag, address := range map[string]string{"cluster": n.config.Cluster, "redis": n.config.Redis, "s3": n.config.S3, "admin": n.config.Admin, "http": n.config.HTTP} {
		if address == "" {
			continue
		}
		l, err := n.config.Network.Listen(ctx, address)
		if err != nil {
			return listenError(flag, address, err)
		}
		l.Close()
	}
	return nil
}

// askToJoin asks again as long as nobody can answer: the cluster may be starting, or electing a leader.
func (n *Node) askToJoin(ctx context.Context, token trust.Token, r trust.Request) (trust.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	for {
		answer, err := trust.Join(ctx, n.config.Network, token, r)
		if err == nil || abi.CodeOf(err) != abi.Unavailable {
			return answer, err
		}
		n.log.Warn("join", "err", err)
		select {
		case <-time.After(joinPause):
		case <-ctx.Done():
			return answer, err
		}
	}
}

// found makes a cluster of which this node is the first.
func (n *Node) found() error {
	authority, err := n.authority()
	if err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails, crypto/rand
	n.den.keys, n.den.founding = [][]byte{key}, authority
	if err := n.writeClusterFile(keysFile, n.den.keys); err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	if err := n.den.identity.IssuedBy(authority); err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	return nil
}

// authority answers the one that an earlier start made and did not come to use, or a new one.
func (n *Node) authority() (*trust.Authority, error) {
	name := n.dir.join(filepath.Join(clusterDir, foundingFile))
	text, err := os.ReadFile(name)
	if err == nil {
		return trust.ParseAuthority(text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	authority, err := trust.NewAuthority()
	if err != nil {
		return nil, err
	}
	if text, err = authority.PEM(); err != nil {
		return nil, err
	}
	return authority, writeFile(name, text)
}

func (n *Node) readClusterFile(name string, into any) error {
	text, err := os.ReadFile(n.dir.join(filepath.Join(clusterDir, name)))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (n *Node) writeClusterFile(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return writeFile(n.dir.join(filepath.Join(clusterDir, name)), append(text, '\n'))
}

// openPort listens for other nodes: on the TCP port after gossip's, or any free one.
func (n *Node) openPort(ctx context.Context) error {
	advertised, port, err := net.SplitHostPort(n.den.gossip.Addr())
	if err != nil {
		return fmt.Errorf("listen for nodes: %w", err)
	}
	host, _, _ := net.SplitHostPort(n.config.Cluster) // Validate has looked
	number, _ := strconv.Atoi(port)
	listener, err := n.config.Network.Listen(ctx, net.JoinHostPort(host, strconv.Itoa(min(number+1, 65535))))
	if err != nil {
		listener, err = n.config.Network.Listen(ctx, net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return listenError("cluster", n.config.Cluster, err)
	}
	_, port, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return errors.Join(fmt.Errorf("listen for nodes: %w", err), listener.Close())
	}
	n.den.port, err = trust.OpenPort(trust.Config{
		Listener: listener, Network: n.config.Network, Identity: n.den.identity,
		Advertise: net.JoinHostPort(advertised, port), Removed: n.shutOut, Log: n.log, Metrics: n.metrics,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	n.den.bound = listener.Addr()
	n.push("cluster port", func(context.Context) error { return n.den.port.Close() })
	n.den.raft = raftTransport{n.den.port.Stream(trust.ProtocolRaft), n.ID(), new(atomic.Bool)}
	n.den.http = n.den.port.Stream(trust.ProtocolHTTP)
	return nil
}

// openGossip begins to tell others of this node and to hear of them.
func (n *Node) openGossip(ctx context.Context) (err error) {
	advertise := n.config.Advertise
	if _, _, err := net.SplitHostPort(advertise); advertise != "" && err != nil {
		advertise = net.JoinHostPort(advertise, "0") // gossip's own port
	}
	n.den.gossip, err = gossip.Open(ctx, gossip.Config{
		ID: n.ID(), Network: n.config.Network, Bind: n.config.Cluster, Advertise: advertise, Keys: n.den.keys,
		About: n.about(), PeersFile: n.dir.join(filepath.Join(clusterDir, peersFile)), Log: n.log, Metrics: n.metrics,
	})
	if err != nil {
		return listenError("cluster", n.config.Cluster, err)
	}
	n.push("gossip", func(context.Context) error { return n.den.gossip.Close() })
	return nil
}

// about is what this node tells others of itself.
func (n *Node) about() gossip.About {
	a := gossip.About{Name: n.config.Name, Region: n.config.Region, Version: n.config.Version, Level: uint8(kv.Level), Engine: n.den.engine}
	if n.den.port != nil {
		a.Port = n.den.port.Addr().String()
	}
	if n.httpListener != nil && n.adminListener != nil {
		a.HTTP, a.Admin = n.HTTPAddr(), n.AdminAddr()
	}
	a.Ready = n.Ready() == nil
	if n.router != nil {
		running, capacity := n.router.Load()
		a.Load = gossip.Load{Running: coarse(running), Capacity: uint32(min(capacity, 1<<31))}
	}
	return a
}

// coarse rounds a load up to a power of two, so that it is not told again with each invocation.
func coarse(running int64) uint32 {
	c := int64(1)
	for c < running && c < 1<<30 {
		c *= 2
	}
	if running == 0 {
		return 0
	}
	return uint32(c)
}

// seed reaches the nodes that a joiner was told of; gossip itself remembers those it has met.
func (n *Node) seed() {
	for len(n.den.seeds) > 0 && len(n.den.gossip.Members()) < 2 {
		if err := n.den.gossip.Join(n.ctx, n.den.seeds); err != nil && n.ctx.Err() == nil {
			n.log.Warn("reach the cluster", "err", err)
		}
		if !n.pause(seedPause) {
			return
		}
	}
}

// tell keeps what others know of this node true, until Close.
func (n *Node) tell() {
	for told := (gossip.About{}); ; {
		if a := n.about(); a != told {
			if err := n.den.gossip.SetAbout(a); err != nil {
				n.log.Warn("tell of this node", "err", err)
			}
			told = a
		}
		if !n.pause(tellPause) {
			return
		}
	}
}

// letIn answers those who join, until Close.
func (n *Node) letIn() {
	err := n.den.port.ServeJoins(n.ctx, trust.Admission{Records: n.den.records, Peers: n.peers, Accept: n.accept})
	if err != nil && n.ctx.Err() == nil {
		n.log.Error("answer those who join", "err", err)
	}
}

// removed says whether a node's certificate counts no more: it was removed, and the group has agreed, for which it may
// be needed itself.
func (n *Node) removed(id string) bool {
	m, ok := (*n.den.members.Load())[id]
	return ok && !m.Removed.IsZero() && !n.inGroup(id)
}

// shutOutAfter is how long after its removal a node may still speak to the others: it learns from them that the group has
// agreed, as it gets no entry of the log that says so. A shorter one leaves a leaving node waiting for that in vain.
const shutOutAfter = 5 * time.Second

// shutOut says whether nobody speaks to a node any more, since it was removed some time ago. Clocks that differ by more
// shut it out at once.
func (n *Node) shutOut(id string) bool {
	return n.removed(id) && time.Since((*n.den.members.Load())[id].Removed).Abs() > shutOutAfter
}

// raftTransport carries the streams of the store's replicas. An address is ID@HOST:PORT: whoever answers at HOST:PORT
// must be that node, since one that took over another's address would be counted as that other.
type raftTransport struct {
	*trust.Stream
	self    string
	refused *atomic.Bool // the others do not accept this node's certificate
}

type raftAddr string

func (raftAddr) Network() string  { return "sett-raft" }
func (a raftAddr) String() string { return string(a) }

func raftAddress(id, address string) string { return id + "@" + address }

// Dial opens a stream to a node.
func (t raftTransport) Dial(ctx context.Context, address string) (net.Conn, error) {
	id, at, ok := strings.Cut(address, "@")
	if !ok {
		return nil, fmt.Errorf("dial %s: not an address of a node: ID@HOST:PORT", address)
	}
	c, err := t.DialNode(ctx, at, id)
	if err != nil {
		return nil, err
	}
	return &raftConn{c, t.refused}, nil
}

// raftConn notes whether the other end refuses this node's certificate, which it says in what is read first.
type raftConn struct {
	net.Conn
	refused *atomic.Bool
}

func (c *raftConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	switch {
	case n > 0:
		c.refused.Store(false)
	case err != nil && strings.Contains(err.Error(), "tls: bad certificate"): // crypto/tls has no error to compare with
		c.refused.Store(true)
	}
	return n, err
}

// Addr is where others reach this node's replica.
func (t raftTransport) Addr() net.Addr {
	return raftAddr(raftAddress(t.self, t.Stream.Addr().String()))
}
