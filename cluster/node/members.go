package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sett-run/sett/cluster/gossip"
	"github.com/sett-run/sett/cluster/peer"
	"github.com/sett-run/sett/cluster/trust"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// self is this node as others ask it.
func (n *Node) self() peer.Node { return peer.Node{ID: n.ID(), Address: n.den.port.Addr().String()} }

// others are the living members of the group but this one, nearest first.
func (n *Node) others() []peer.Node {
	return nodesOf(n.living())
}

func nodesOf(members []gossip.Member) []peer.Node {
	nodes := make([]peer.Node, 0, len(members))
	for _, m := range members {
		nodes = append(nodes, peer.Node{ID: m.ID, Address: m.About.Port})
	}
	return nodes
}

// living are the members that gossip hears of, without this one and those that were removed, nearest first; those whose
// distance is not known yet come last.
func (n *Node) living() []gossip.Member {
	var living []gossip.Member
	for _, m := range n.den.gossip.Members() {
		if !m.Self && m.State == gossip.Alive && m.About.Port != "" && !n.removed(m.ID) {
			living = append(living, m)
		}
	}
	slices.SortStableFunc(living, func(a, b gossip.Member) int {
		return cmp.Compare(distance(a), distance(b))
	})
	return living
}

func distance(m gossip.Member) time.Duration {
	if m.RTT == 0 {
		return time.Hour
	}
	return m.RTT
}

// withRoom are the nearest nodes that say they have room for invocations, so many at most.
func (n *Node) withRoom(most int) []peer.Node {
	living := slices.DeleteFunc(n.living(), func(m gossip.Member) bool {
		return m.About.Load.Capacity == 0 || m.About.Load.Running >= m.About.Load.Capacity
	})
	return nodesOf(living[:min(most, len(living))])
}

// nameOf is the name of a node, or its id.
func (n *Node) nameOf(id string) string {
	for _, m := range n.den.gossip.Members() {
		if m.ID == id && m.About.Name != "" {
			return m.About.Name
		}
	}
	return id
}

// portOf is where a node's port is, as it says itself.
func (n *Node) portOf(id string) (string, error) {
	for _, m := range n.den.gossip.Members() {
		if m.ID == id && m.About.Port != "" {
			return m.About.Port, nil
		}
	}
	return "", fmt.Errorf("find node %s: not heard of", id)
}

// resolve is for replica.Config.
func (n *Node) resolve(id string) (string, error) {
	port, err := n.portOf(id)
	if err != nil {
		return "", err
	}
	return raftAddress(id, port), nil
}

// adminOf answers a client of another node's admin plane, over the cluster's port.
func (n *Node) adminOf(id string) *client.Client { return client.NewOver(id, n.toNodes) }

// nodeTransport reaches the admin planes of other nodes; a host is a node's id.
func (n *Node) nodeTransport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			id, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			port, err := n.portOf(id)
			if err != nil {
				return nil, err
			}
			return n.den.http.DialNode(ctx, port, id)
		},
		MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
	}
}

// Members are the nodes of the cluster: those of the store's group, and those that gossip knows besides; this one
// first, then by name.
func (n *Node) Members() []client.Member {
	leader, _ := n.store.Replica().Leader()
	byID := map[string]client.Member{}
	for _, m := range n.den.gossip.Members() {
		if !n.removed(m.ID) {
			byID[m.ID] = memberOf(m)
		}
	}
	for _, s := range n.store.Replica().Servers() {
		m, known := byID[s.ID]
		if !known {
			m = client.Member{ID: s.ID, Name: cmp.Or((*n.den.members.Load())[s.ID].Name, s.ID), State: client.StateDead}
		}
		m.Role = client.RoleReader
		if s.Voter {
			m.Role = client.RoleVoter
		}
		m.Leader = s.ID == leader.ID
		byID[s.ID] = m
	}
	members := make([]client.Member, 0, len(byID))
	for _, m := range byID {
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b client.Member) int {
		if a.Self != b.Self {
			return order(b.Self) - order(a.Self)
		}
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return members
}

func memberOf(m gossip.Member) client.Member {
	state := client.StateDead
	switch m.State {
	case gossip.Alive:
		state = client.StateAlive
	case gossip.Left:
		state = client.StateStopped
	}
	return client.Member{
		Name: cmp.Or(m.About.Name, m.ID), ID: m.ID, Role: client.RoleJoiner, State: state, HTTP: m.About.HTTP,
		Admin: m.About.Admin, Cluster: m.Addr, Region: m.About.Region, Version: m.About.Version,
		RTTMS: float64(m.RTT.Microseconds()) / 1000, Self: m.Self,
	}
}

// otherMembers are the members but this one, dead and stopped ones too.
func (n *Node) otherMembers() []client.Member {
	return slices.DeleteFunc(n.Members(), func(m client.Member) bool { return m.Self })
}

// askTimeout is how long another node may take for its part of an answer. A longer one waits for nodes that are
// overloaded, and for those that are gone.
const askTimeout = 2 * time.Second

// askOthers asks all other members at once, and answers what became of each.
func askOthers[T any](ctx context.Context, n *Node, ask func(ctx context.Context, m client.Member) T) []T {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	members := n.otherMembers()
	answers := make([]T, len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		asking.Go(func() { answers[i] = ask(ctx, m) })
	}
	asking.Wait()
	return answers
}

// Status is the cluster as this node sees it.
func (n *Node) Status() client.ClusterStatus {
	r := n.store.Replica()
	stats, servers := r.Stats(), r.Servers()
	leader, _ := r.Leader()
	s := client.ClusterStatus{
		ID: n.den.identity.Cluster(), Node: n.ID(), Leader: leader.ID, Term: stats.Term, Commit: stats.CommitIndex, Applied: stats.Applied,
	}
	if level, err := n.store.Level(); err == nil {
		s.Level = int(level)
	}
	s.Voters, s.Readers, s.Alive, s.Quorum = n.count(servers)
	s.Quorum = s.Quorum && leader.ID != ""
	s.Keyring, s.Root = n.secrets()
	err := n.Ready()
	if s.Ready = err == nil; !s.Ready {
		s.NotReady = err.Error()
	}
	return s
}

func (n *Node) count(servers []replica.Server) (voters, readers, alive int, quorum bool) {
	living := map[string]bool{n.ID(): true}
	for _, m := range n.living() {
		living[m.ID] = true
	}
	voting := 0
	for _, s := range servers {
		if living[s.ID] {
			alive++
		}
		switch {
		case !s.Voter:
			readers++
		case living[s.ID]:
			voters++
			voting++
		default:
			voters++
		}
	}
	return voters, readers, alive, voting > voters/2
}

// Invite makes a token with which one node may join.
func (n *Node) Invite(ctx context.Context, role string, ttl time.Duration) (client.Invite, error) {
	addresses := []string{n.self().Address}
	for _, m := range n.living() {
		addresses = append(addresses, m.About.Port)
	}
	addresses = addresses[:min(len(addresses), trust.MaxTokenAddresses)]
	token, err := n.den.records.Invite(ctx, trust.Invitation{Role: trust.Role(role), TTL: ttl, Addresses: addresses})
	if err != nil {
		return client.Invite{}, err
	}
	invite := client.Invite{Token: token.Text(), Role: role, Expires: time.Now().Add(ttl).UTC().Truncate(time.Second)}
	if loopback(n.self().Address) {
		invite.Note = "only nodes on this machine can join with it: for others start this node with --cluster or --advertise at an address they reach"
	}
	return invite, nil
}

// removeTimeout is how long the group may take to agree that a node is gone.
const removeTimeout = 20 * time.Second

// RemoveMember forgets a node that is gone; its certificate no longer counts.
func (n *Node) RemoveMember(ctx context.Context, id string) error {
	var found *client.Member
	for _, m := range n.Members() {
		if m.ID == id {
			found = &m
		}
	}
	switch {
	case found == nil:
		return abi.WithCode(abi.NotFound, fmt.Errorf("no member %s", id))
	case found.State == client.StateAlive:
		return abi.WithCode(abi.Conflict, fmt.Errorf("node %s lives: have it leave, sett cluster leave --node http://%s, or stop it first", found.Name, found.Admin))
	}
	return n.strike(ctx, id)
}

// strike marks a node as removed and waits until the group is without it.
func (n *Node) strike(ctx context.Context, id string) error {
	if err := n.den.records.RemoveMember(ctx, id); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	for n.inGroup(id) && !(id == n.ID() && n.store.Replica().Removed()) {
		n.wakeLeader()
		select {
		case <-ctx.Done():
			return abi.WithCode(abi.Unavailable, errors.New("marked as removed; the group has not agreed yet"))
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func (n *Node) inGroup(id string) bool {
	return slices.ContainsFunc(n.store.Replica().Servers(), func(s replica.Server) bool { return s.ID == id })
}

// Leave takes this node out of its cluster: its vote and what it leads go to others. It must be stopped afterwards.
func (n *Node) Leave(ctx context.Context) error {
	if len(n.store.Replica().Servers()) < 2 {
		return abi.WithCode(abi.Conflict, errors.New("it is the only node of its cluster: stop it"))
	}
	n.leaving.Store(true)
	n.ready.set(errors.New("leaving its cluster"))
	if err := n.strike(ctx, n.ID()); err != nil {
		n.leaving.Store(false)
		n.ready.set(nil)
		return err
	}
	if err := n.den.gossip.Leave(ctx); err != nil {
		n.log.Warn("leave gossip", "err", err)
	}
	n.ready.end("has left its cluster")
	return nil
}
