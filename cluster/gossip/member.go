package gossip

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// State is what is known of whether a member is there. Suspects count as alive: memberlist does not tell them.
type State string

// States.
const (
	Alive State = "alive"
	Dead  State = "dead"    // it did not answer for some seconds, or not since this node has started
	Left  State = "stopped" // it has said that it goes, and may still be going
)

var states = [...]State{Alive, Dead, Left}

const (
	// DeadListed is how long a member that is not alive stays in Members. Dead ones are looked for beyond that.
	DeadListed = 24 * time.Hour
	// maxMembers is how many are known at a time; beyond it those go that were not alive for the longest, and when all
	// are alive no more come in.
	maxMembers = 1024
	// maxForgotten is how many ids Forget remembers; beyond it any of them goes.
	maxForgotten = 1024
	maxIDBytes   = 64
)

// Member is one node as this node knows it.
type Member struct {
	ID    string
	Addr  string // where it gossips, IP:PORT
	About About
	State State
	RTT   time.Duration // estimated round trip; 0 when unknown
	Self  bool
}

// A node's name in memberlist is its id, a dot, and its boot: a number that grows with each start. Memberlist takes a name
// for one at a fixed address and counts what it says of itself; a name for each start makes a restarted node a new one
// that is believed at once, at whatever address, and lets what is replayed from before the restart concern nobody. What a
// replay can do is to make one who is dead, and has not started again, look alive until a probe fails, some seconds later.

// bootName answers a name in memberlist.
func bootName(id string, boot int64) string { return id + "." + strconv.FormatInt(boot, 36) }

// splitName reads a name in memberlist.
func splitName(name string) (id string, boot int64, err error) {
	id, digits, _ := strings.Cut(name, ".")
	if err := checkID(id); err != nil {
		return "", 0, err
	}
	if boot, err = strconv.ParseInt(digits, 36, 64); err != nil || boot <= 0 {
		return "", 0, fmt.Errorf("read name %.100q: no boot", name)
	}
	return id, boot, nil
}

func checkID(id string) error {
	ok := func(r rune) bool {
		return (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || r == '-' || r == '_'
	}
	if id == "" || len(id) > maxIDBytes || strings.ContainsFunc(id, func(r rune) bool { return !ok(r) }) {
		return fmt.Errorf("read id %.100q: want 1 to %d letters, digits, - or _", id, maxIDBytes)
	}
	return nil
}

// Why a node is not believed to be alive.
var (
	errForgotten = errors.New("it was removed")
	errOlder     = errors.New("it has started again since, or left")
	errTwin      = errors.New("another node has this node's id, or this node's clock was set back before it started")
	errFull      = fmt.Errorf("%d members are alive, at most %d", maxMembers, maxMembers)
)

// record is what is known of one id.
type record struct {
	Member
	boot int64
	seen time.Time // when it was last known to be alive
	over bool      // this boot has left, and is not believed to be back
}

// sighting is what memberlist says of a node.
type sighting struct {
	id   string
	boot int64
	addr string
	told told
}

// table holds all that is known of members. Its methods may be called under memberlist's lock, and never call memberlist.
type table struct {
	self     string
	boot     int64
	snapshot atomic.Pointer[[]Member]
	changed  broadcast

	mu        sync.Mutex // guards what follows
	records   map[string]*record
	forgotten map[string]bool
	distance  func(id string) time.Duration
}

func newTable(self string, boot int64, distance func(string) time.Duration) *table {
	t := &table{self: self, boot: boot, records: map[string]*record{}, forgotten: map[string]bool{}, distance: distance}
	t.snapshot.Store(&[]Member{})
	return t
}

// admit says whether to believe that a node is alive, under memberlist's lock.
func (t *table) admit(s sighting) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.records[s.id]
	switch {
	case s.id == t.self && s.boot > t.boot:
		return errTwin
	case s.id == t.self && s.boot < t.boot:
		return errOlder
	case t.forgotten[s.id]:
		return errForgotten
	case r != nil && (s.boot < r.boot || (s.boot == r.boot && (r.over || (r.State == Left && !s.told.Left)))):
		return errOlder
	case r == nil && len(t.records) >= maxMembers && !t.evict():
		return errFull
	}
	return nil
}

// evict makes room by giving up the member that was not alive for the longest.
func (t *table) evict() bool {
	var oldest *record
	for _, r := range t.records {
		if r.State != Alive && (oldest == nil || r.seen.Before(oldest.seen)) {
			oldest = r
		}
	}
	if oldest != nil {
		delete(t.records, oldest.ID)
	}
	return oldest != nil
}

// alive notes that a node has come or has told something new. It answers whether its id or address is news.
func (t *table) alive(s sighting) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.records[s.id]
	if t.forgotten[s.id] || (r != nil && s.boot < r.boot) {
		return false
	}
	if r == nil {
		r = &record{Member: Member{ID: s.id, Self: s.id == t.self}}
		t.records[s.id] = r
	}
	before := *r
	r.boot, r.seen, r.over = s.boot, time.Now(), false
	r.Addr, r.About, r.State = s.addr, s.told.About, Alive
	if s.told.Left {
		r.State = Left
	}
	if r.Member != before.Member || r.boot != before.boot {
		t.publish()
		t.changed.send()
	}
	return r.boot != before.boot || r.Addr != before.Addr
}

// gone notes that a node does not answer, or has left. It answers whether that was news.
func (t *table) gone(s sighting) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.records[s.id]
	if r == nil || r.boot != s.boot {
		return false
	}
	r.seen = time.Now()
	if r.State = Dead; s.told.Left {
		r.State, r.over = Left, true
	}
	t.publish()
	t.changed.send()
	return true
}

// remember adds a peer of an earlier run that is not known yet.
func (t *table) remember(p peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records[p.ID] != nil || p.ID == t.self || len(t.records) >= maxMembers {
		return
	}
	t.records[p.ID] = &record{Member: Member{ID: p.ID, Addr: p.Addr, About: p.About, State: Dead}, boot: p.Boot, seen: p.Seen}
	t.publish()
	t.changed.send()
}

// forget drops a node for good.
func (t *table) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := range t.forgotten {
		if len(t.forgotten) < maxForgotten {
			break
		}
		delete(t.forgotten, other)
	}
	t.forgotten[id] = true
	if t.records[id] == nil {
		return // else who forgets on each change would be told of one each time
	}
	delete(t.records, id)
	t.publish()
	t.changed.send()
}

// refresh brings distances up to date, and no longer lists who is not alive for long.
func (t *table) refresh() {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(*t.snapshot.Load())
	for id, r := range t.records {
		if r.State == Left && time.Since(r.seen) > DeadListed {
			delete(t.records, id)
		}
	}
	if t.publish(); len(*t.snapshot.Load()) != before {
		t.changed.send()
	}
}

// publish makes what is known the snapshot.
func (t *table) publish() {
	list := make([]Member, 0, len(t.records))
	for _, r := range t.records {
		if r.State != Alive && time.Since(r.seen) > DeadListed {
			continue
		}
		m := r.Member
		if m.State == Alive && !m.Self {
			m.RTT = t.distance(m.ID)
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	t.snapshot.Store(&list)
}

// missing answers the addresses of members that should be alive and are not.
func (t *table) missing() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var addresses []string
	for _, r := range t.records {
		if r.State == Dead {
			addresses = append(addresses, r.Addr)
		}
	}
	return addresses
}

// peers answers who to remember across a restart. Those that are alive are seen now.
func (t *table) peers() []peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]peer, 0, len(t.records))
	for _, r := range t.records {
		if r.Self || r.State == Left {
			continue
		}
		p := peer{ID: r.ID, Boot: r.boot, Addr: r.Addr, Seen: r.seen.UTC(), About: r.About}
		if r.State == Alive {
			p.Seen = time.Now().UTC()
		}
		p.About.Load = Load{}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b peer) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// hostOf answers the host of HOST:PORT.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
