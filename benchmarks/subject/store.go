package subject

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/replica"
)

// Member is what a process is told that is one of Stores. Without an id it is none.
type Member struct {
	ID, Dir string
	Group   string // id=address of all, with commas; empty: it is alone
}

// Flags defines the flags with which Stores start the process.
func (m *Member) Flags(f *pflag.FlagSet) {
	f.StringVar(&m.ID, "node", "", "internal: be this node")
	f.StringVar(&m.Dir, "data", "", "internal: its directory")
	f.StringVar(&m.Group, "group", "", "internal: id=address of all nodes, with commas; empty: it is alone")
	record.Hide(f, "node", "data", "group")
}

// Open opens the member's store. The caller closes it.
func (m *Member) Open(ctx context.Context) (*kv.Store, error) {
	cfg := kv.Config{Dir: m.Dir}
	if m.Group == "" {
		return kv.Open(ctx, cfg)
	}
	cfg.Group = replica.Config{ID: m.ID}
	for other := range strings.SplitSeq(m.Group, ",") {
		id, address, _ := strings.Cut(other, "=")
		cfg.Group.Bootstrap = append(cfg.Group.Bootstrap, replica.Server{ID: id, Address: address, Voter: true})
		if id == m.ID {
			var err error
			if cfg.Group.Transport, err = replica.ListenTCP(ctx, address); err != nil {
				return nil, err
			}
		}
	}
	return kv.Open(ctx, cfg)
}

// Stores are processes of this program that are a store each, and no more of a node: one, or a group.
type Stores struct {
	Nodes []*Process
	dir   string
	group string
	args  []string
}

// StartStores starts as many, with nothing in them yet: this program with the arguments, and behind them those of a
// Member. The caller calls Stop.
func StartStores(ctx context.Context, dir string, count int, args ...string) (*Stores, error) {
	dir, err := os.MkdirTemp(dir, fmt.Sprintf("sett-%d-", count)) // a group's state names its members' addresses
	if err != nil {
		return nil, err
	}
	s := &Stores{Nodes: make([]*Process, count), dir: dir, args: args}
	if count > 1 {
		ports, err := FreePorts(ctx, count)
		if err != nil {
			return nil, err
		}
		var members []string
		for i, port := range ports {
			members = append(members, fmt.Sprintf("node-%d=%s", i, net.JoinHostPort("127.0.0.1", port)))
		}
		s.group = strings.Join(members, ",")
	}
	var starting sync.WaitGroup
	errs := make([]error, count)
	for i := range count { // at once: they may wait for each other
		starting.Go(func() { errs[i] = s.Start(ctx, i) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Start starts a node, after it was killed too.
func (s *Stores) Start(ctx context.Context, i int) (err error) {
	id := fmt.Sprintf("node-%d", i)
	dir := filepath.Join(s.dir, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	s.Nodes[i], err = Start(ctx, append(append([]string{}, s.args...), "--node", id, "--data", dir, "--group", s.group)...)
	return err
}

// Stop ends the nodes that run.
func (s *Stores) Stop() (err error) {
	for _, n := range s.Nodes {
		if n != nil {
			err = errors.Join(err, n.Stop())
		}
	}
	return err
}
