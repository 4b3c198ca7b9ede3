// Package gossip tells which nodes are there. Its main type is Gossip: a member of a group that finds new members, notices
// within seconds when one is gone, and carries what each tells of itself. It is memberlist with encryption, peers that are
// remembered across restarts and looked for after partitions, and keys that change while it runs.
//
// What it says is a hint: members learn of a change at different times, and a partition looks like many crashes. Who
// belongs to the cluster is decided elsewhere. Who holds a key can say anything of anybody.
package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/cluster"
	"github.com/sett-run/sett/sdk/abi"
)

// Config says who a member is and where.
type Config struct {
	ID      string          // 1 to 64 letters, digits, - or _; the same at each start
	Network cluster.Network // the machine's when nil. One with net.Resolver's LookupHost is asked for names too
	Bind    string          // HOST:PORT for packets and streams; port 0 picks a free one
	// Advertise is the HOST:PORT others reach this node by; port 0 is Bind's. When empty it is Bind, and when that is
	// everywhere, the first private address of an interface, else the first that is not loopback.
	Advertise string
	Keys      [][]byte // 1 to 8 keys of 32 bytes, the current one first; all members have it
	About     About
	PeersFile string // remembers peers across restarts; nothing does when empty
	Log       *slog.Logger
	Metrics   prometheus.Registerer
}

// leaveWait is how long each of the two messages of leaving may take to go out.
const leaveWait = 3 * time.Second

// repeatAfter is how long after something new was told it is told once more: when the first time was lost (see told.Pad),
// others would hear of it only when states are exchanged, within half a minute. Sooner repeats what is not out yet; later
// leaves others ignorant for longer.
const repeatAfter = time.Second

var errClosed = errors.New("gossip is closed")

// Gossip is a member. Its methods may be called concurrently, until Close.
type Gossip struct {
	config      Config
	log         *logWriter
	metrics     *metrics
	decoder     decoder
	boot        int64
	table       *table
	coordinates *coordinates
	transport   *transport
	resolver    resolver
	keyring     *memberlist.Keyring
	list        *memberlist.Memberlist

	meta  atomic.Pointer[[]byte] // told, encoded
	news  chan struct{}          // holds one: the peers file is out of date
	said  chan struct{}          // holds one: something new was told
	ctx   context.Context        // ends with Close
	stop  context.CancelFunc
	tasks tasks

	aboutMu mutex // guards told, and has one goroutine at a time update memberlist, for which it may wait
	told    told
	left    atomic.Bool
	keysMu  sync.Mutex // has one goroutine at a time change keyring
	closing sync.Once
	closed  error // what Close answers
}

// Open starts a member. It knows nobody but the peers of earlier runs, which it looks for by itself; see Join. The context
// is for opening alone.
func Open(ctx context.Context, c Config) (*Gossip, error) {
	if err := checkID(c.ID); err != nil {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("open gossip: %w", err))
	}
	if err := checkKeys(c.Keys); err != nil {
		return nil, fmt.Errorf("open gossip: %w", err)
	}
	if c.Network == nil {
		c.Network = cluster.Internet{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	g, err := prepare(c)
	if err == nil {
		err = g.open(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open gossip: %w", err)
	}
	g.tasks.start(g.keepPeers)
	g.tasks.start(g.rejoin)
	g.tasks.start(g.repeat)
	return g, nil
}

// prepare makes all that opens nothing.
func prepare(c Config) (*Gossip, error) {
	m := newMetrics(c.Metrics)
	g := &Gossip{config: c, metrics: m, log: newLogWriter(c.Log, m), decoder: newDecoder(), resolver: resolverOf(c.Network),
		news: make(chan struct{}, 1), said: make(chan struct{}, 1), aboutMu: make(mutex, 1), told: told{About: c.About}}
	meta, err := g.told.encode()
	if err != nil {
		return nil, err
	}
	g.meta.Store(&meta)
	if g.coordinates, err = newCoordinates(g.decoder); err != nil {
		return nil, err
	}
	file, err := readPeers(c.PeersFile)
	if err != nil {
		c.Log.Warn("start without peers", "err", err) // they can be learnt again
	}
	g.boot = max(time.Now().UnixMilli(), file.Boot+1)
	g.table = newTable(c.ID, g.boot, g.coordinates.distance)
	for _, p := range file.Peers {
		g.table.remember(p)
	}
	if g.keyring, err = memberlist.NewKeyring(nil, bytes.Clone(c.Keys[0])); err != nil {
		return nil, err
	}
	return g, g.UseKeys(c.Keys)
}

// open opens the transport and memberlist.
func (g *Gossip) open(ctx context.Context) error {
	t, err := listen(ctx, g.config.Network, g.config.Bind, g.metrics)
	if err != nil {
		return err
	}
	g.transport = t
	g.ctx, g.stop = context.WithCancel(context.Background())
	if err := g.join(ctx); err != nil {
		g.stop()
		g.log.quiet.Store(true)
		return errors.Join(err, t.Shutdown())
	}
	return nil
}

func (g *Gossip) join(ctx context.Context) error {
	t := g.transport
	var err error
	t.advertise, err = advertised(ctx, g.resolver, g.config.Advertise, t.packet.LocalAddr().String())
	if err != nil {
		return err
	}
	if err := g.save(); err != nil { // with this boot, so that the next is higher
		return err
	}
	if err := g.metrics.register(g.table); err != nil {
		return err
	}
	t.start()
	if g.list, err = memberlist.Create(g.settings()); err != nil {
		g.metrics.unregister()
	}
	return err
}

// settings are memberlist's for a LAN but for what is said here. They suit nodes in several places too.
func (g *Gossip) settings() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = bootName(g.config.ID, g.boot)
	c.Transport = g.transport
	c.BindPort = int(g.transport.advertise.Port())
	c.Keyring = g.keyring
	d := delegate{g}
	c.Delegate, c.Events, c.Alive, c.Ping = d, d, d, d
	c.Logger = log.New(g.log, "", 0)
	c.EnableCompression = false // packets are small, and LZW costs more than they do
	// A crash is to be seen by all within 10 s as a rule. Members probe one another in turn: about 1 s passes until anybody
	// probes the dead one, 1 s until that has failed (2 s at one that thinks itself slow), then 3 s x log10(members), at
	// least 3 s, and twice that when nobody confirms it. Turns may fall badly: with 25 members about one crash in 100 is
	// seen later. A higher multiplier sees less in a bad network that is not.
	c.SuspicionMult = 3
	c.SuspicionMaxTimeoutMult = 2
	c.AwarenessMaxMultiplier = 2            // a probe of a node that thinks itself slow takes twice as long, not 8 times
	c.ProbeTimeout = 400 * time.Millisecond // so that a helper's "me neither" comes within the probe's second
	c.TCPTimeout = 5 * time.Second          // of one exchange of all states
	// Each member passes news on to so many others, drawn by lot, times the digits of the number of members. With 4,
	// memberlist's own, one of nine members was left out of 1 in 100 news, and heard of them a second later (repeatAfter) or,
	// left out again, when states were exchanged. More make more packets, up to the 15 that go out in a second.
	c.RetransmitMult = 8
	// Two nodes exchange all they know as often: what every packet about a node has missed is known then. Less often, 30 s,
	// one of 25 nodes in a lossy network was not known to another for longer than that once in some hundred runs.
	c.PushPullInterval = 15 * time.Second
	return c
}

// Addr is where others reach this node, IP:PORT.
func (g *Gossip) Addr() string { return g.transport.advertise.String() }

// Bound is where this node listens, which others may know by another address.
func (g *Gossip) Bound() net.Addr { return g.transport.listener.Addr() }

// Members answers all known members, this one too, sorted by id. The slice is shared: it must not be changed.
func (g *Gossip) Members() []Member { return *g.table.snapshot.Load() }

// Changed answers a channel that is closed when Members changes next in more than round trips. Ask for it before Members.
func (g *Gossip) Changed() <-chan struct{} { return g.table.changed.next() }

// Forget drops a node that was removed from the cluster: it is not listed, not looked for, and not believed until this
// node starts again.
func (g *Gossip) Forget(id string) {
	if id == g.config.ID {
		return
	}
	g.table.forget(id)
	g.coordinates.forget(id)
	g.noteNews()
}

// SetAbout tells the others what is new about this node, and does not wait for them. Each call that changes something
// makes packets to all members, so that the caller limits how often.
func (g *Gossip) SetAbout(a About) error {
	g.aboutMu.Lock()
	defer g.aboutMu.Unlock()
	if g.told.About == a || g.left.Load() {
		return nil
	}
	if err := g.tell(told{About: a}, time.Nanosecond); err != nil {
		return err
	}
	select {
	case g.said <- struct{}{}:
	default:
	}
	return nil
}

// repeat tells once more what SetAbout has told, until Close.
func (g *Gossip) repeat() {
	for {
		select {
		case <-g.said:
		case <-g.ctx.Done():
			return
		}
		select {
		case <-time.After(repeatAfter):
		case <-g.ctx.Done():
			return
		}
		g.aboutMu.Lock()
		if !g.left.Load() {
			_ = g.tell(g.told, time.Nanosecond) // it could be encoded the first time
		}
		g.aboutMu.Unlock()
	}
}

// tell has memberlist send what is new and wait at most for a time. Not to have waited until the end is no error.
func (g *Gossip) tell(t told, wait time.Duration) error {
	meta, err := t.encode()
	if err != nil {
		return err
	}
	g.told = t
	g.meta.Store(&meta)
	_ = g.list.UpdateNode(wait) // fails only by not having waited long enough
	return nil
}

// Leave tells the others that this node goes, and waits until that is on its way, the context ends, or some seconds have
// passed. Close follows. Members that learn of it list the node as left and do not look for it.
func (g *Gossip) Leave(ctx context.Context) error {
	if g.left.Swap(true) {
		return nil
	}
	done := make(chan error, 1)
	if !g.tasks.start(func() { done <- g.leave() }) {
		return abi.WithCode(abi.Unavailable, errClosed)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("leave gossip: %w", context.Cause(ctx))
	}
}

// leave says first that this node will leave: memberlist tells its caller of the dead and of those who left alike.
func (g *Gossip) leave() error {
	g.aboutMu.Lock()
	defer g.aboutMu.Unlock()
	if err := g.tell(told{About: g.told.About, Left: true}, leaveWait); err != nil {
		return err
	}
	if err := g.list.Leave(leaveWait); err != nil {
		return fmt.Errorf("leave gossip: %w", err)
	}
	return nil
}

// Close ends what this node does, without a word to others: to them it crashed, unless it left. It waits for all but
// memberlist's probes, which end within some seconds.
func (g *Gossip) Close() error {
	g.closing.Do(func() {
		g.log.quiet.Store(true)
		g.stop()
		g.transport.interrupt()
		g.tasks.end()
		g.closed = errors.Join(g.list.Shutdown(), g.transport.Shutdown(), g.save())
		g.metrics.unregister()
	})
	return g.closed
}

// mutex is a sync.Mutex that may be held while time passes: in a bubble of virtual time none does while somebody waits
// for a sync.Mutex.
type mutex chan struct{}

func (m mutex) Lock()   { m <- struct{}{} }
func (m mutex) Unlock() { <-m }

// tasks are goroutines that end before Close does.
type tasks struct {
	group sync.WaitGroup
	mu    sync.Mutex // guards ended
	ended bool
}

// start answers false, and starts nothing, after end.
func (t *tasks) start(task func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.group.Go(task)
	}
	return !t.ended
}

func (t *tasks) end() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.group.Wait()
}
