// Package load asks servers over HTTP, as fast as they answer or at a fixed rate, and tells how long replies took. Its
// main function is Run, which does a Plan. At a fixed rate a latency counts from when the request was due, so that a
// server that stalls does not hide it.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/benchmarks/work"
)

// Plan is what is asked.
type Plan struct {
	Address     string // HOST:PORT
	Work        work.Work
	Connections int
	Length      time.Duration
	Rate        float64 // requests a second; 0: each connection asks when it has been answered
	Requests    int     // without a rate, so many by all connections together, however long they take; 0: as many as there is time for, each connection one
	// CPU answers the processor time that the servers have used; nil: it is not measured.
	CPU func() (time.Duration, error)
}

// Result is what came back.
type Result struct {
	Answered int
	Failed   int   // of them refused, wrong or broken off
	First    error // why the first one failed
	Took     time.Duration
	CPU      time.Duration           // of the servers
	Latency  *hdrhistogram.Histogram // of good replies, in nanoseconds
}

// Limits of what is recorded: below and above, replies count as these.
const (
	shortest = 1 * time.Microsecond
	longest  = 60 * time.Second
	figures  = 3 // that hold
)

// replyTime is how long a reply may take.
const replyTime = longest

// Run asks. With a rate, requests are due at even distances whether or not earlier ones have been answered, and their
// latency counts from when they were due: a server that stalls is not spared those that came meanwhile. It answers an
// error only if it could not connect or measure, or ctx has ended.
func Run(ctx context.Context, p Plan) (*Result, error) {
	if p.CPU == nil {
		p.CPU = func() (time.Duration, error) { return 0, nil }
	}
	before, err := p.CPU()
	if err != nil {
		return nil, err
	}
	r, err := run(ctx, p)
	if err != nil {
		return nil, err
	}
	after, err := p.CPU()
	r.CPU = after - before
	return r, err
}

func run(ctx context.Context, p Plan) (*Result, error) {
	clients := make([]*client, p.Connections)
	for i := range clients {
		c, err := dial(ctx, p, i)
		if err != nil {
			return nil, err
		}
		defer c.close()
		clients[i] = c
	}
	began := time.Now()
	var due chan time.Time
	var all sync.WaitGroup
	if p.Rate > 0 {
		due = make(chan time.Time, int(p.Rate*p.Length.Seconds())+1) // all of them: nothing waits for clients
		all.Go(func() { tick(ctx, p, began, due) })
	}
	for _, c := range clients {
		all.Go(func() { c.ask(ctx, began.Add(p.Length), due) })
	}
	all.Wait()
	r := &Result{Took: time.Since(began), Latency: newHistogram()}
	for _, c := range clients {
		r.Answered, r.Failed = r.Answered+c.answered, r.Failed+c.failed
		if r.First == nil {
			r.First = c.first
		}
		r.Latency.Merge(c.latency)
	}
	return r, ctx.Err()
}

// Probe sends one request and says what is wrong with its reply.
func Probe(ctx context.Context, address string, w work.Work) error {
	c, err := dial(ctx, Plan{Address: address, Work: w}, 0)
	if err != nil {
		return err
	}
	defer c.close()
	request := new(fasthttp.Request)
	w.Ask(request, 0, 0)
	return c.one(request, new(fasthttp.Response))
}

// CPUPerRequest is the servers' processor time for a request, in microseconds.
func (r *Result) CPUPerRequest() float64 {
	return float64(r.CPU.Nanoseconds()) / 1000 / float64(max(r.Answered, 1))
}

// Quantile is the latency, in microseconds, that so many percent of good replies had at most.
func (r *Result) Quantile(percent float64) float64 {
	return float64(r.Latency.ValueAtQuantile(percent)) / 1000
}

// Err is an error if a request failed.
func (r *Result) Err() error {
	if r.Failed > 0 {
		return fmt.Errorf("%d of %d requests failed, the first: %w", r.Failed, r.Answered, r.First)
	}
	return nil
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(shortest.Nanoseconds(), longest.Nanoseconds(), figures)
}

// client is one connection.
type client struct {
	plan   Plan
	number int
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer

	answered, failed int
	first            error
	latency          *hdrhistogram.Histogram
}

func dial(ctx context.Context, p Plan, number int) (*client, error) {
	c := &client{plan: p, number: number, latency: newHistogram()}
	return c, c.connect(ctx)
}

func (c *client) connect(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.plan.Address)
	if err != nil {
		return err // a connection that was closed stays the client's
	}
	c.conn = conn
	c.in, c.out = bufio.NewReaderSize(c.conn, 16<<10), bufio.NewWriterSize(c.conn, 16<<10)
	return nil
}

func (c *client) close() { _ = c.conn.Close() } // it is only read from

// tick tells when requests are due, each when it is.
func tick(ctx context.Context, p Plan, began time.Time, due chan<- time.Time) {
	defer close(due)
	for i := 0; ctx.Err() == nil; i++ {
		after := time.Duration(float64(i) / p.Rate * float64(time.Second))
		if after >= p.Length {
			return
		}
		sleepUntil(began.Add(after))
		due <- began.Add(after)
	}
}

// ask sends requests: those that are due, or without due one after the other until all are sent, or until end and one at least.
func (c *client) ask(ctx context.Context, end time.Time, due <-chan time.Time) {
	request, reply := new(fasthttp.Request), new(fasthttp.Response)
	next := func(i int) (time.Time, bool) {
		if due != nil {
			t, ok := <-due
			return t, ok
		}
		t := time.Now()
		if c.plan.Requests > 0 {
			return t, i*c.plan.Connections+c.number < c.plan.Requests
		}
		return t, i == 0 || t.Before(end)
	}
	for i := 0; ctx.Err() == nil; i++ {
		from, ok := next(i)
		if !ok {
			return
		}
		c.plan.Work.Ask(request, c.number, i)
		err := c.one(request, reply)
		took := time.Since(from)
		c.answered++
		if err == nil {
			_ = c.latency.RecordValue(min(max(took, shortest), longest).Nanoseconds()) // within its limits
			continue
		}
		if c.failed++; c.first == nil {
			c.first = err
		}
		c.close()
		if err := c.connect(ctx); err != nil {
			c.first = errors.Join(c.first, err)
			return
		}
	}
}

// one sends a request and reads its reply.
func (c *client) one(request *fasthttp.Request, reply *fasthttp.Response) error {
	if err := c.conn.SetDeadline(time.Now().Add(replyTime)); err != nil {
		return err
	}
	if err := request.Write(c.out); err != nil {
		return err
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	if err := reply.Read(c.in); err != nil {
		return err
	}
	if reply.StatusCode() != fasthttp.StatusOK {
		return fmt.Errorf("status %d: %.100s", reply.StatusCode(), reply.Body())
	}
	if err := c.plan.Work.Check(reply.Body()); err != nil {
		return err
	}
	if reply.ConnectionClose() {
		return errors.New("the connection was closed")
	}
	return nil
}
