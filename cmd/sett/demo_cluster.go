package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/client"
)

// Limits of demo --nodes.
const (
	maxDemoNodes   = 9
	demoReadyTime  = time.Minute // until a node serves, and until all vote
	demoLoadTime   = 6 * time.Second
	demoKillAfter  = 2 * time.Second
	demoReads      = 1000 // a second, over all nodes
	demoIncrements = 100
)

// process is a node of the demo, a process of its own, so that it can be killed.
type process struct {
	name, http, admin string
	args              []string
	cmd               *exec.Cmd
	ended             chan struct{}
	client            *client.Client
}

// den is several nodes of one cluster on this machine.
type den struct {
	*demo
	program string // sett
	cluster string // where a node that is new listens for the others
	nodes   []*process
}

// runCluster shows a cluster: a deployment to one node that all answer, and the loss of the leader under load.
func (d *demo) runCluster(ctx context.Context, count int, once bool) (err error) {
	c := &den{demo: d, cluster: "127.0.0.1:0"}
	if c.program, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return c.startAll(ctx, count) }, c.deployToOne, c.askAll, c.loseLeader,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if once {
		return nil
	}
	d.say("\nGo on, in another terminal:\n\n  export SETT_NODE=http://%s\n  sett cluster members\n  sett cluster status\n"+
		"  kill -9 %d\n\nServing until Ctrl-C.\n", c.nodes[0].admin, c.nodes[1].cmd.Process.Pid)
	<-ctx.Done()
	return nil
}

// startAll starts the first node, and the others with a token each.
func (c *den) startAll(ctx context.Context, count int) error {
	begin := time.Now()
	c.say("\nA cluster: the first node makes it, the others join with a token from sett cluster invite\n\n")
	for i := range count {
		p := &process{name: "node" + strconv.Itoa(i+1)}
		p.args = []string{"up", "--data", filepath.Join(c.dir, p.name), "--name", p.name,
			"--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cluster", c.cluster}
		if i > 0 {
			invite, err := c.nodes[0].client.Invite(ctx, client.InviteRequest{})
			if err != nil {
				return err
			}
			p.args = append(p.args, "--join", invite.Token)
		}
		if err := c.launch(ctx, p); err != nil {
			return err
		}
		c.nodes = append(c.nodes, p)
		c.say("  %s  http://%s\n", p.name, p.http)
	}
	voters := 1
	if count >= 3 {
		voters = 3
	}
	if err := c.await(ctx, "the nodes vote", func(s client.ClusterStatus) bool { return s.Voters >= voters && s.Quorum }); err != nil {
		return err
	}
	c.say("\n  %d nodes and a quorum after %s\n", count, milliText(time.Since(begin).Milliseconds()))
	return nil
}

// launch starts a node and waits for its ready line. After an error it does not run.
func (c *den) launch(ctx context.Context, p *process) error {
	log, err := os.OpenFile(filepath.Join(c.dir, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), c.program, p.args...) // it is told to stop, and waited for
	p.cmd.Stderr = log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ready := make(chan string, 1)
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- line
		_ = p.cmd.Wait() // its status says nothing that its log does not
	}()
	select {
	case line := <-ready:
		err = p.connect(line, log.Name())
	case <-time.After(demoReadyTime):
		err = fmt.Errorf("%s is not ready after %s", p.name, demoReadyTime)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	}
	return err
}

// connect reads a ready line.
func (p *process) connect(line, log string) (err error) {
	for _, field := range strings.Fields(line) {
		switch key, value, _ := strings.Cut(field, "="); key {
		case "http":
			p.http = value
		case "admin":
			p.admin = value
		case "cluster": // where the others look for it when it starts again
			p.args[slices.Index(p.args, "--cluster")+1] = value
		}
	}
	if p.http == "" || p.admin == "" {
		text, _ := os.ReadFile(log)
		return fmt.Errorf("%s did not start: %s", p.name, text)
	}
	p.client, err = client.New("http://"+p.admin, "")
	return err
}

// await asks the first node until its cluster is as wanted.
func (c *den) await(ctx context.Context, what string, wanted func(client.ClusterStatus) bool) error {
	for end := time.Now().Add(demoReadyTime); time.Now().Before(end); {
		if s, err := c.nodes[0].client.Cluster(ctx); err == nil && wanted(s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("wait until %s: not after %s", what, demoReadyTime)
}

// deployToOne deploys two examples to the first node alone.
func (c *den) deployToOne(ctx context.Context) error {
	c.client = c.nodes[0].client
	if err := c.deploy(ctx, "hello", "counter"); err != nil {
		return err
	}
	return c.loaded(ctx)
}

// loaded waits until every node runs the functions itself.
func (c *den) loaded(ctx context.Context) error {
	begin := time.Now()
	for _, name := range []string{"hello", "counter"} {
		v := client.VersionName{App: c.app, Function: name, Version: 1}
		for end := time.Now().Add(demoReadyTime); ; {
			nodes, err := c.client.Rollout(ctx, v, false)
			if err != nil {
				return err
			}
			if len(lateText(name, nodes)) == 0 {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("wait until all nodes run %s: not after %s", name, demoReadyTime)
			}
			time.Sleep(rolloutPause)
		}
	}
	c.say("\n  compiled on all nodes another %s later; until then they passed requests on\n", milliText(time.Since(begin).Milliseconds()))
	return nil
}

// askAll waits until every node answers, and shows how long that took.
func (c *den) askAll(ctx context.Context) error {
	c.say("\nEvery node answers, wherever it was deployed\n\n")
	for _, p := range c.nodes {
		for _, path := range []string{"/hello/Ada", "/counter/visits"} {
			text, err := ask(ctx, http.MethodGet, p.http, path)
			if err != nil {
				return fmt.Errorf("ask %s for %s: %w", p.name, path, err)
			}
			c.say("  %s  GET %-16s %s\n", p.name, path, printable(strings.TrimSpace(text)))
		}
	}
	return nil
}

// ask makes a request that must be answered with 200.
func ask(ctx context.Context, method, address, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDemoReply))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", res.StatusCode, body)
	}
	return string(body), err
}

// load counts what became of requests.
type load struct {
	done, failed atomic.Int64
	slowest      atomic.Int64 // nanoseconds
	why          atomic.Pointer[error]
}

// run makes so many requests a second, at the nodes in turn, until ctx ends; those that are under way end.
func (l *load) run(ctx context.Context, method, path string, nodes []*process, rate int) {
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		address := nodes[i%len(nodes)].http
		running.Go(func() {
			begin := time.Now()
			if _, err := ask(context.WithoutCancel(ctx), method, address, path); err != nil {
				l.failed.Add(1)
				l.why.Store(&err)
				return
			}
			l.done.Add(1)
			for took := int64(time.Since(begin)); ; {
				if slowest := l.slowest.Load(); took <= slowest || l.slowest.CompareAndSwap(slowest, took) {
					return
				}
			}
		})
	}
}

func (l *load) text() string {
	text := fmt.Sprintf("%d answered, %d failed, the slowest after %s", l.done.Load(), l.failed.Load(),
		microText(float64(l.slowest.Load())/1e3))
	if why := l.why.Load(); why != nil {
		text += " (" + cut(printable((*why).Error()), maxDemoLine) + ")"
	}
	return text
}

// loseLeader kills the leader while the others are asked, starts it again, and compares the counter.
func (c *den) loseLeader(ctx context.Context) error {
	leader, others, err := c.leader(ctx)
	if err != nil {
		return err
	}
	c.say("\nThe leader, %s, is killed (kill -9) while the others get %d reads and %d increments a second\n\n", leader.name, demoReads, demoIncrements)
	before, err := c.counter(ctx, others[0])
	if err != nil {
		return err
	}
	var reads, increments load
	loaded, end := context.WithTimeout(ctx, demoLoadTime)
	defer end()
	var running sync.WaitGroup
	running.Go(func() { reads.run(loaded, http.MethodGet, "/hello/Ada", others, demoReads) })
	running.Go(func() { increments.run(loaded, http.MethodPost, "/counter/visits", others, demoIncrements) })
	select {
	case <-time.After(demoKillAfter):
	case <-ctx.Done():
	}
	err = leader.cmd.Process.Kill()
	<-leader.ended
	running.Wait()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	c.say("  reads       %s\n  increments  %s\n", reads.text(), increments.text())
	if err := c.launch(ctx, leader); err != nil {
		return err
	}
	for _, p := range []*process{others[0], leader} {
		after, err := c.counter(ctx, p)
		if err != nil {
			return err
		}
		exact := "exact"
		if after-before != increments.done.Load() {
			exact = "not exact"
		}
		c.say("  counter     %d at %s: %d more than before, %d acknowledged, %s\n", after, p.name, after-before, increments.done.Load(), exact)
	}
	return nil
}

// counter reads the demo's counter, which every acknowledged increment before the call is in.
func (c *den) counter(ctx context.Context, p *process) (int64, error) {
	item, err := p.client.KV().Get(ctx, c.app, "counter/visits", op.Read{Consistency: op.Strong})
	if errors.Is(err, op.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(item.Value), 10, 64)
}

// leader answers the process that leads and the others.
func (c *den) leader(ctx context.Context) (leader *process, others []*process, err error) {
	members, err := c.nodes[0].client.Members(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range c.nodes {
		leads := false
		for _, m := range members {
			leads = leads || m.Leader && m.Name == p.name
		}
		if leads {
			leader = p
		} else {
			others = append(others, p)
		}
	}
	if leader == nil || len(others) == 0 {
		return nil, nil, errors.New("find the leader: none is known")
	}
	return leader, others, nil
}

// stop ends the nodes, all at once.
func (c *den) stop() error {
	for _, p := range c.nodes {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop %s: %w", p.name, err)
		}
	}
	for _, p := range c.nodes {
		<-p.ended
	}
	return nil
}
