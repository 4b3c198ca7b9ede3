package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sett-run/sett/cluster/trust"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// renewPause is how often a node looks whether its certificate, which lives for a year, is due.
const renewPause = time.Hour

// putFounding gives the store what this node made when it made the cluster. It is done again until it is done whole:
// the file goes last.
func (n *Node) putFounding(ctx context.Context) error {
	if n.den.founding == nil {
		return nil
	}
	// What is there is of an earlier start that came so far, or of a cluster whose identity this directory has lost.
	_, authority, err := n.den.records.Authority(ctx, op.Read{})
	if err == nil || abi.CodeOf(err) == abi.NotFound {
		err = n.den.records.PutAuthority(ctx, n.den.founding, authority)
	}
	if err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	_, keyring, err := n.den.records.Keyring(ctx, op.Read{})
	if err == nil || abi.CodeOf(err) == abi.NotFound {
		err = n.den.records.PutKeyring(ctx, n.den.keys, keyring)
	}
	if err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	err = n.den.records.PutMember(ctx, trust.Member{ID: n.ID(), Name: n.config.Name, Region: n.config.Region, Role: trust.Voter,
		Joined: time.Now().UTC()})
	if err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	if err := os.Remove(n.dir.join(filepath.Join(clusterDir, foundingFile))); err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	n.den.founding = nil
	return nil
}

// refreshCluster takes over what the store says of the cluster: who was removed, which roots count and which gossip keys.
func (n *Node) refreshCluster(ctx context.Context) {
	n.den.refresh.Lock()
	defer n.den.refresh.Unlock()
	for _, r := range []struct {
		what    string
		refresh func(context.Context) error
	}{{"members", n.refreshMembers}, {"gossip keys", n.refreshKeys}, {"authority", n.refreshAuthority}} {
		if err := r.refresh(ctx); err != nil && ctx.Err() == nil && abi.CodeOf(err) != abi.NotFound {
			n.log.Error("refresh cluster", "what", r.what, "err", err)
		}
	}
	n.wakeLeader()
}

func (n *Node) refreshMembers(ctx context.Context) error {
	list, err := n.den.records.Members(ctx, op.Read{})
	if err != nil {
		return err
	}
	members := make(map[string]trust.Member, len(list))
	for _, m := range list {
		members[m.ID] = m
	}
	n.den.members.Store(&members)
	return nil
}

func (n *Node) refreshKeys(ctx context.Context) error {
	keys, _, err := n.den.records.Keyring(ctx, op.Read{})
	if err != nil {
		return err
	}
	if slices.EqualFunc(keys, n.den.keys, bytes.Equal) {
		return nil
	}
	if err := n.writeClusterFile(keysFile, keys); err != nil {
		return err
	}
	if err := n.den.gossip.UseKeys(keys); err != nil {
		return err
	}
	n.den.keys = keys
	return nil
}

// refreshAuthority gets a new certificate when the authority has changed or the certificate is due.
func (n *Node) refreshAuthority(ctx context.Context) error {
	authority, _, err := n.den.records.Authority(ctx, op.Read{})
	if err != nil {
		return err
	}
	if n.den.identity.Under(authority) && time.Now().Before(n.den.identity.RenewAt()) {
		return nil
	}
	if err := n.den.records.Renew(ctx, n.den.identity); err != nil {
		return err
	}
	n.log.Info("certificate renewed", "until", n.den.identity.RenewAt())
	return nil
}

// renewNowAndThen keeps the certificate fresh, until Close.
func (n *Node) renewNowAndThen() {
	for n.pause(renewPause) {
		if err := n.refreshAuthority(n.ctx); err != nil && n.ctx.Err() == nil {
			n.log.Error("renew certificate", "err", err)
		}
	}
}

// accept refuses nodes that the cluster's state is too new for, before their token is used.
func (n *Node) accept(_ context.Context, r trust.Request) error {
	level, err := n.store.Level()
	if err != nil {
		return err
	}
	if r.Level < uint64(level) {
		return abi.WithCode(abi.Conflict, fmt.Errorf("this cluster uses feature level %d, and sett %s knows %d at most: upgrade it before it joins",
			level, r.Version, r.Level))
	}
	return nil
}

// peers are the nodes that a joiner is told of, this one first.
func (n *Node) peers(context.Context) []trust.Peer {
	var peers []trust.Peer
	for _, m := range n.den.gossip.Members() {
		if m.Self {
			peers = append(peers, trust.Peer{ID: m.ID, Gossip: m.Addr, Port: n.self().Address})
		}
	}
	for _, m := range n.living() {
		peers = append(peers, trust.Peer{ID: m.ID, Gossip: m.Addr, Port: m.About.Port})
	}
	return peers
}
