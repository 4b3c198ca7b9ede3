package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/registry"
)

// Of a node in a network namespace.
const (
	splitPorts    = "--http 127.0.0.1:8080 --admin 127.0.0.1:8081"
	splitQuestion = 1500 * time.Millisecond // until an answer that must not come is not waited for any more
)

// wires are network namespaces, a node's each, and the switch between them, which has one of its own.
type wires struct {
	*den
	prefix string // of the namespaces' names
}

// newWires makes the namespaces, or skips the test where that is not possible. They go with the test.
func newWires(t *testing.T, count int) *wires {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces are for the superuser")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip, of iproute2")
	}
	w := &wires{prefix: fmt.Sprintf("sett%d-", os.Getpid())}
	commands := []string{
		"netns add @s", "-n @s link add switch type bridge", "-n @s link set switch up",
	}
	for i := range count {
		commands = append(commands, strings.Split(strings.ReplaceAll(
			"netns add @N;-n @N link set lo up;-n @s link add portN type veth peer name eth0 netns @N;-n @s link set portN master switch;"+
				"-n @s link set portN up;-n @N addr add 10.7.9.N/24 dev eth0;-n @N link set eth0 up", "N", fmt.Sprint(i+1)), ";")...)
		t.Cleanup(func() { w.ip(fmt.Sprintf("netns del @%d", i+1)) })
	}
	t.Cleanup(func() { w.ip("netns del @s") })
	for _, c := range commands {
		if err := w.ip(c); err != nil {
			t.Skipf("this machine has no network namespaces: %v", err)
		}
	}
	return w
}

// ip runs ip; @ stands for the prefix.
func (w *wires) ip(command string) error {
	out, err := exec.Command("ip", strings.Fields(strings.ReplaceAll(command, "@", w.prefix))...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", command, err, out)
	}
	return nil
}

// plug takes nodes off the switch, (down) or puts them back (up).
func (w *wires) plug(t *testing.T, state string, nodes ...int) {
	t.Helper()
	for _, i := range nodes {
		if err := w.ip(fmt.Sprintf("-n @s link set port%d %s", i, state)); err != nil {
			t.Fatal(err)
		}
	}
}

// up starts node i; the first makes the cluster.
func (w *wires) up(t *testing.T, i int) {
	t.Helper()
	p := &process{name: fmt.Sprintf("node%d", i)}
	p.args = strings.Fields(fmt.Sprintf("netns exec %s%d %s up --data %s --name %s %s --cluster 10.7.9.%d:7946",
		w.prefix, i, w.sett(t), filepath.Join(w.dir, p.name), p.name, splitPorts, i))
	if i > 1 {
		token, err := w.run(t, clusterQuestion, 1, "cluster", "invite")
		if err != nil {
			t.Fatal(err)
		}
		p.args = append(p.args, "--join", token)
	}
	if err := w.launch(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	w.nodes = append(w.nodes, p)
}

func (w *wires) sett(t *testing.T) string {
	t.Helper()
	program, err := settPath(os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// run has the command line ask node i, and answers what it prints.
func (w *wires) run(t *testing.T, within time.Duration, i int, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	all := append([]string{"netns", "exec", fmt.Sprintf("%s%d", w.prefix, i), w.sett(t)}, args...)
	out, err := exec.CommandContext(ctx, "ip", all...).Output()
	return strings.TrimSpace(string(out)), err
}

// must has node i say something, at last.
func (w *wires) must(t *testing.T, i int, want string, args ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("node%d: %v", i, args), func(context.Context) error {
		got, err := w.run(t, clusterQuestion, i, args...)
		if err == nil && !strings.Contains(got, want) {
			err = errors.New(got)
		}
		return err
	})
}

// question is what a node is asked.
type question struct {
	node int
	args []string
}

// mustNot has nodes fail to do something in time.
func (w *wires) mustNot(t *testing.T, questions ...question) {
	t.Helper()
	var asking sync.WaitGroup
	for _, q := range questions {
		asking.Go(func() {
			if got, err := w.run(t, splitQuestion, q.node, q.args...); err == nil {
				t.Errorf("node%d without a quorum: %v answered %q, want an error", q.node, q.args, got)
			}
		})
	}
	asking.Wait()
}

// TestClusterSplit takes nodes off the network: two of three go on, one alone neither writes nor answers strong reads,
// and after three were alone all agree again.
func TestClusterSplit(t *testing.T) {
	if testing.Short() {
		t.Skip("splits take long")
	}
	t.Parallel() // most of its time it waits
	w := newWires(t, 3)
	w.den = &den{demo: &demo{cli: &cli{app: registry.DefaultApp}, dir: t.TempDir()}, program: "ip"}
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, p := range w.nodes {
				t.Logf("log of %s:\n%s", p.name, w.logOf(p))
			}
		}
	})
	for i := range 3 {
		w.up(t, i+1)
	}
	w.must(t, 1, `"voters": 3`, "cluster", "status", "-o", "json")
	get := []string{"kv", "get", "split", "--consistency", "strong"}
	w.must(t, 1, "", "kv", "put", "split", "whole")

	w.plug(t, "down", 1) // which leads, as a rule
	w.must(t, 2, "", "kv", "put", "split", "two")
	w.must(t, 3, "two", get...)
	w.mustNot(t, question{1, get}, question{1, []string{"kv", "put", "lost", "one"}})
	w.must(t, 1, "whole", "kv", "get", "split", "--consistency", "local")

	w.plug(t, "down", 2, 3)
	w.mustNot(t, question{2, get}, question{3, []string{"kv", "put", "lost", "none"}})

	w.plug(t, "up", 1, 2, 3)
	w.must(t, 1, "", "kv", "put", "split", "healed")
	for i := range 3 {
		w.must(t, i+1, "healed", get...)
		w.must(t, i+1, `"alive": 3`, "cluster", "status", "-o", "json")
	}
}
