package kv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// settGroup is Sett's store on one node or several.
type settGroup struct {
	title string
	group string // as a node is told
	dir   string
	nodes []*settNode
}

// settNode is a process that serves a node.
type settNode struct {
	*process
	id, session, strong string // addresses of its listeners

	mu  sync.Mutex // held over a question and its answer
	in  io.Writer
	out *bufio.Reader
}

// startSett starts as many nodes, with nothing in their store yet, and waits until they have a leader.
func startSett(ctx context.Context, dir string, count int) (*settGroup, error) {
	dir, err := os.MkdirTemp(dir, fmt.Sprintf("sett-%d-", count)) // a group's state names its members' addresses
	if err != nil {
		return nil, err
	}
	g := &settGroup{title: fmt.Sprintf("sett x%d", count), dir: dir}
	if count > 1 {
		ports, err := freePorts(ctx, count)
		if err != nil {
			return nil, err
		}
		var members []string
		for i, port := range ports {
			members = append(members, fmt.Sprintf("node-%d=127.0.0.1:%s", i, port))
		}
		g.group = strings.Join(members, ",")
	}
	for i := range count {
		n, err := g.start(ctx, fmt.Sprintf("node-%d", i))
		if err != nil {
			return nil, errors.Join(err, g.stop())
		}
		g.nodes = append(g.nodes, n)
	}
	for _, n := range g.nodes {
		if err := n.ready(); err != nil {
			return nil, errors.Join(err, g.stop())
		}
	}
	return g, nil
}

// start starts a node; it waits for others before it is ready.
func (g *settGroup) start(ctx context.Context, id string) (*settNode, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(g.dir, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &process{command: exec.CommandContext(ctx, self, name, "--node", id, "--data", dir, "--group", g.group), ended: make(chan struct{})}
	p.command.Stderr = os.Stderr
	n := &settNode{process: p, id: id}
	if n.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	// Not StdoutPipe, which Wait closes under a reader.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.command.Stdout = w
	n.out = bufio.NewReader(r)
	err = p.run()
	w.Close()
	return n, err
}

func (n *settNode) ready() error {
	line, err := n.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("start %s: %w", n.id, err)
	}
	_, err = fmt.Sscan(line, &n.session, &n.strong)
	return err
}

// ask answers what the node says to a question.
func (n *settNode) ask(question string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := fmt.Fprintln(n.in, question); err != nil {
		return "", err
	}
	line, err := n.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// leader answers the node that leads, and the others.
func (g *settGroup) leader(ctx context.Context) (leader *settNode, followers []*settNode, err error) {
	for ctx.Err() == nil {
		followers = nil
		for _, n := range g.nodes {
			answer, err := n.ask(askLeads)
			if err != nil {
				return nil, nil, err
			}
			if answer == "true" {
				leader = n
			} else {
				followers = append(followers, n)
			}
		}
		if leader != nil {
			return leader, followers, nil
		}
	}
	return nil, nil, ctx.Err()
}

func (g *settGroup) name() string       { return g.title }
func (g *settGroup) can(operation) bool { return true }

func (g *settGroup) connect(ctx context.Context, o operation) (connection, error) {
	leader, _, err := g.leader(ctx)
	if err != nil {
		return nil, err
	}
	if o == strongGet {
		return dialRedis(ctx, leader.strong, o)
	}
	return dialRedis(ctx, leader.session, o)
}

func (g *settGroup) servers() (all []*process) {
	for _, n := range g.nodes {
		all = append(all, n.process)
	}
	return all
}

func (g *settGroup) stop() error {
	for _, n := range g.nodes {
		n.process.stop()
	}
	return nil
}
