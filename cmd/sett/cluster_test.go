package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// clusterQuestion is how long one question may take, of many until something is so: who is asked may be stopped.
const clusterQuestion = time.Minute

// brief reports whether tests of clusters do less than all: under the race detector, which makes everything several times
// slower, and where SETT_TEST_ALL is not set, as in .ci/run.
func brief() bool { return testing.Short() || os.Getenv("SETT_TEST_ALL") == "" }

// clusterLoad is how a cluster is loaded in tests; the benchmark cluster does it at the rates that are asked for.
func clusterLoad() (reads, increments int) {
	if brief() {
		return 100, 40
	}
	return 400, 100
}

// startCluster starts nodes that are processes of their own and all vote. They end with the test.
func startCluster(t *testing.T, count int) *den {
	t.Helper()
	program, err := settPath(os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{cli: &cli{out: io.Discard, err: io.Discard, app: registry.DefaultApp}, dir: t.TempDir()}
	c := &den{demo: d, program: program, cluster: ownLoopback("127.0.0.4")}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, p := range c.nodes {
				t.Logf("log of %s:\n%s", p.name, c.logOf(p))
			}
		}
	})
	if err := c.startAll(t.Context(), count); err != nil {
		t.Fatal(err)
	}
	return c
}

// ownLoopback is a free port of an IP address that nothing else listens at, where the system has it: one that is closed and
// opened again, nobody else takes meanwhile.
func ownLoopback(ip string) string {
	address := net.JoinHostPort(ip, "0")
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return address
}

// TestLaunchLeavesNothing: a node that is not waited for any more does not go on.
func TestLaunchLeavesNothing(t *testing.T) {
	c := &den{demo: &demo{dir: t.TempDir()}, program: "sleep"}
	p := &process{name: "node1", args: []string{"600"}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.launch(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("launch = %v, want %v", err, context.Canceled)
	}
	if p.cmd.ProcessState == nil {
		t.Error("it still runs")
		p.kill(t)
	}
}

func (c *den) logOf(p *process) []byte {
	text, _ := os.ReadFile(filepath.Join(c.dir, p.name+".log"))
	return text
}

// kill ends a node at once.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// others are all nodes but one.
func (c *den) others(than *process) (others []*process) {
	for _, p := range c.nodes {
		if p != than {
			others = append(others, p)
		}
	}
	return others
}

// eventually asks again and again until something is so.
func eventually(t *testing.T, what string, is func(context.Context) error) {
	t.Helper()
	all, end := untilDeadline(t)
	defer end()
	var err error
	for ; all.Err() == nil; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(all, clusterQuestion)
		err = is(ctx)
		if cancel(); err == nil {
			return
		}
	}
	t.Fatalf("not in time: %s: %v", what, err)
}

// whole waits until all nodes vote, are alive and ready.
func (c *den) whole(t *testing.T) {
	t.Helper()
	for _, p := range c.nodes {
		eventually(t, p.name+" sees the cluster whole", func(ctx context.Context) error {
			s, err := p.client.Cluster(ctx)
			if err == nil && (s.Voters != len(c.nodes) || s.Alive != len(c.nodes) || s.Readers != 0 || !s.Quorum || !s.Ready) {
				err = errors.New("it is not")
			}
			return err
		})
	}
}

// read answers a key's value at a node.
func (c *den) read(ctx context.Context, p *process, key string, how op.Consistency) (string, error) {
	item, err := p.client.KV().Get(ctx, c.app, key, op.Read{Consistency: how})
	return string(item.Value), err
}

func (c *den) put(t *testing.T, p *process, key, value string) {
	t.Helper()
	if _, err := p.client.KV().Put(t.Context(), c.app, key, client.Put{Value: []byte(value)}); err != nil {
		t.Fatalf("put %s at %s: %v", key, p.name, err)
	}
}

func (c *den) mustLead(t *testing.T) (leader *process, others []*process) {
	t.Helper()
	eventually(t, "somebody leads", func(ctx context.Context) (err error) {
		leader, others, err = c.leader(ctx)
		return err
	})
	return leader, others
}

// deployForTest deploys the examples hello and counter. In brief hello is a module of a few bytes, and counting does without
// a function: with the race detector compiling them takes minutes.
func (c *den) deployForTest(t *testing.T) {
	t.Helper()
	if !brief() {
		if err := c.deployToOne(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := testModule("text", "Hello, Ada!")
	if err != nil {
		t.Fatal(err)
	}
	m := module{name: "hello", file: filepath.Join(c.dir, "hello.wasm")}
	digest := c.uploadModule(t, m, text)
	request := client.DeployRequest{Functions: []client.DeployFunction{{Name: m.name, Digest: digest}}}
	if _, err := c.nodes[0].client.Deploy(t.Context(), c.app, request); err != nil {
		t.Fatal(err)
	}
}

// uploadModule writes a module and uploads it to the first node.
func (c *den) uploadModule(t *testing.T, m module, text []byte) (digest string) {
	t.Helper()
	if err := os.WriteFile(m.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	digest, err := c.upload(t.Context(), c.nodes[0].client, m)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// counting is where an increment of the counter is asked for.
func counting(nodes []*process) (path string, at []*process) {
	if !brief() {
		return "/counter/visits", nodes
	}
	for _, p := range nodes {
		at = append(at, &process{http: p.admin})
	}
	return "/v1/apps/default/kv/incr?key=counter/visits&delta=1", at
}

// TestCluster has the nodes of one cluster lost in several ways.
func TestCluster(t *testing.T) {
	t.Parallel() // most of its time it waits
	c := startCluster(t, 3)
	c.deployForTest(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *den)
	}{
		{"Kills", testKills}, {"PausedLeader", testPausedLeader}, {"LostDisk", testLostDisk}, {"RollingRestart", testRollingRestart},
		{"Strangers", testStrangers},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, c); c.whole(t) }) {
			return
		}
	}
}

// testKills kills a leader and a follower while the others are asked: they answer every read and every increment, and
// the counter is what they acknowledged, also at the node that was killed.
func testKills(t *testing.T, c *den) {
	leader, others := c.mustLead(t)
	for _, victim := range []*process{leader, others[0]} {
		others := c.others(victim)
		before, err := c.counter(t.Context(), others[0])
		if err != nil {
			t.Fatal(err)
		}
		var reads, increments load
		readRate, incrementRate := clusterLoad()
		loaded, end := context.WithTimeout(t.Context(), 2*time.Second)
		var running sync.WaitGroup
		running.Go(func() { reads.run(loaded, http.MethodGet, "/hello/Ada", others, readRate) })
		path, at := counting(others)
		running.Go(func() { increments.run(loaded, http.MethodPost, path, at, incrementRate) })
		for increments.done.Load() < 10 && loaded.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		victim.kill(t)
		running.Wait()
		end()
		t.Logf("%s killed: reads: %s; increments: %s", victim.name, reads.text(), increments.text())
		if reads.failed.Load() != 0 || increments.failed.Load() != 0 || increments.done.Load() == 0 {
			t.Errorf("%s killed: %d reads and %d increments failed, want none", victim.name, reads.failed.Load(), increments.failed.Load())
		}
		if err := c.launch(t.Context(), victim); err != nil {
			t.Fatal(err)
		}
		for _, p := range c.nodes {
			if after, err := c.counter(t.Context(), p); err != nil || after-before != increments.done.Load() {
				t.Errorf("the counter at %s is %d more than before, %v, and %d increments were acknowledged", p.name, after-before, err, increments.done.Load())
			}
		}
		c.whole(t)
	}
}

// testPausedLeader stops the leader's process for a while. What it is asked meanwhile it answers with what was written
// meanwhile, or not at all: it must not believe that it still leads.
func testPausedLeader(t *testing.T, c *den) {
	leader, others := c.mustLead(t)
	c.put(t, leader, "paused", "old")
	leader.signal(t, syscall.SIGSTOP)
	defer leader.cmd.Process.Signal(syscall.SIGCONT)
	c.put(t, others[0], "paused", "new")
	const questions = 20
	answers := make(chan string, questions)
	ctx, cancel := untilDeadline(t)
	defer cancel()
	var asking sync.WaitGroup
	for range questions {
		asking.Go(func() {
			value, err := c.read(ctx, leader, "paused", op.Strong)
			if err != nil {
				value = "error: " + err.Error()
			}
			answers <- value
		})
	}
	time.Sleep(time.Second) // the questions wait in its sockets, with what others sent it
	leader.signal(t, syscall.SIGCONT)
	asking.Wait()
	close(answers)
	for value := range answers {
		if value != "new" && !strings.HasPrefix(value, "error: ") {
			t.Errorf("the leader that was stopped answered a strong read with %q, want %q", value, "new")
		}
	}
	eventually(t, "it has what it missed", func(ctx context.Context) error {
		value, err := c.read(ctx, leader, "paused", op.Local)
		if err == nil && value != "new" {
			err = errors.New("it has " + value)
		}
		return err
	})
}

// testLostDisk has a node lose its disk: it comes back as another one, and the old one is removed.
func testLostDisk(t *testing.T, c *den) {
	_, others := c.mustLead(t)
	victim := others[0]
	keeper := c.others(victim)[0]
	c.put(t, keeper, "kept", "whole")
	before, err := c.counter(t.Context(), keeper)
	if err != nil {
		t.Fatal(err)
	}
	lost, err := victim.client.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	victim.kill(t)
	if err := os.RemoveAll(filepath.Join(c.dir, victim.name)); err != nil {
		t.Fatal(err)
	}
	invite, err := keeper.client.Invite(t.Context(), client.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	victim.args = append(victim.args[:11:11], "--join", invite.Token)
	if err := c.launch(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	again, err := victim.client.Cluster(t.Context())
	if err != nil || again.Node == lost.Node || again.ID != lost.ID {
		t.Errorf("the node came back as %s in cluster %s, %v; it was %s in %s", again.Node, again.ID, err, lost.Node, lost.ID)
	}
	eventually(t, "the old id is removed", func(ctx context.Context) error {
		return keeper.client.RemoveMember(ctx, lost.Node)
	})
	c.whole(t)
	if value, err := c.read(t.Context(), victim, "kept", op.Local); err != nil || value != "whole" {
		t.Errorf("the node that lost its disk has %q, %v, want all that was there", value, err)
	}
	if after, err := c.counter(t.Context(), victim); err != nil || after != before {
		t.Errorf("counter = %d, %v, want %d", after, err, before)
	}
	text, err := ask(t.Context(), http.MethodGet, victim.http, "/hello/Ada")
	if err != nil || !strings.HasPrefix(text, "Hello, Ada!") {
		t.Errorf("GET /hello/Ada at the node that lost its disk: %q, %v", text, err)
	}
	for _, p := range c.others(victim) {
		if bytes.Contains(c.logOf(p), []byte("panic")) {
			t.Errorf("%s has panicked", p.name)
		}
	}
}
