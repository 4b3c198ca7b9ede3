package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sett-run/sett/benchmarks/subject"
)

func settName(nodes int) string { return fmt.Sprintf("sett x%d", nodes) }

// settGroup is Sett's store on one node or several.
type settGroup struct{ nodes []*subject.Process }

// startSett starts as many nodes. What it answers is to be stopped also when there is an error, unless it is nil.
func startSett(ctx context.Context, p plan, count int) (*settGroup, error) {
	ports, err := freePorts(ctx, count)
	if err != nil {
		return nil, err
	}
	var members []string
	for i, port := range ports {
		members = append(members, fmt.Sprintf("node%d=%s", i, net.JoinHostPort("127.0.0.1", port)))
	}
	g := new(settGroup)
	for i := range count {
		dir := filepath.Join(p.dir, fmt.Sprintf("sett-%d-%d", count, i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return g, err
		}
		args := []string{name, "--serve", dir, "--id", fmt.Sprintf("node%d", i)}
		if count > 1 {
			args = append(args, "--group", strings.Join(members, ","))
		}
		if p.profile != "" {
			args = append(args, "--profile", filepath.Join(p.profile, fmt.Sprintf("sett-%d-%d.pprof", count, i)))
		}
		n, err := subject.Start(ctx, args...)
		if err != nil {
			return g, err
		}
		g.nodes = append(g.nodes, n)
	}
	return g, nil
}

func (g *settGroup) name() string { return settName(len(g.nodes)) }

func (g *settGroup) stop() (err error) {
	for _, n := range g.nodes {
		err = errors.Join(err, n.Stop())
	}
	return err
}

// connect connects to the leader.
func (g *settGroup) connect(ctx context.Context, queue string) (c connection, err error) {
	err = until(ctx, func() error {
		for _, n := range g.nodes {
			w, err := dial(ctx, n.HTTP)
			if err != nil {
				return err
			}
			w.array(2, askOpen, queue)
			if _, err = w.ask(1); err == nil {
				c = &settClient{w}
				return nil
			}
			_ = w.close() // it does not lead
		}
		return errors.New("no node leads")
	})
	return c, err
}

// settClient is a client of a queue.
type settClient struct{ *wire }

func (c *settClient) send(bodies [][]byte) error {
	c.array(1+len(bodies), askSend)
	for _, b := range bodies {
		c.bulk(b)
	}
	_, err := c.ask(1)
	return err
}

func (c *settClient) consume(most int) (int, error) {
	c.array(2, askReceive, strconv.Itoa(most))
	got, err := c.ask(1)
	if err != nil || len(got.items) == 0 {
		return 0, err
	}
	n := len(got.items) / 2 // receipts and bodies
	c.array(1+n, askDelete)
	for i := range n {
		c.bulk(got.items[2*i].text)
	}
	deleted, err := c.ask(1)
	if err == nil && deleted.n != n {
		err = fmt.Errorf("%d of %d messages were deleted", deleted.n, n)
	}
	return n, err
}
