package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
)

const readyTime = 30 * time.Second // until a node leads

func settName(nodes int) string { return fmt.Sprintf("sett x%d", nodes) }

// settGroup is Sett's store on one node or several.
type settGroup struct{ *subject.Stores }

func (g *settGroup) name() string { return settName(len(g.Nodes)) }
func (g *settGroup) stop() error  { return g.Stop() }

// connect connects to the leader.
func (g *settGroup) connect(ctx context.Context, queue string) (c connection, err error) {
	err = until(ctx, func() error {
		for _, n := range g.Nodes {
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

// until tries until something works, or for readyTime.
func until(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
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
