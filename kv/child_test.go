//go:build unix

package kv

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/replica"
)

// The test binary as a child does what childPlan says in childDir.
const (
	childPlan = "SETT_TEST_KV_PLAN"
	childDir  = "SETT_TEST_KV_DIR"
	childID   = "SETT_TEST_KV_ID"

	planMember = "member" // a node of three that does what it is asked on its input: order, reply
	planLoad   = "load"   // a node alone that commits until it is killed: load
)

func childMain(plan, dir, id string) {
	var err error
	switch plan {
	case planMember:
		err = member(dir, id, os.Stdin, os.Stdout)
	case planLoad:
		err = load(dir, os.Stdout)
	default:
		err = errors.New("no such plan")
	}
	fmt.Println("error", err)
	os.Exit(1)
}

var childIDs = []string{"a", "b", "c"}

// order is a line on a member's input.
type order struct {
	Number   int
	Patience time.Duration
	Call     *call  // to be made on the store; nil: the hash at Index is asked for
	Index    uint64 // 0: the newest, once the node has caught up
}

// reply is a line on its output.
type reply struct {
	Number int
	Answer answer
	Index  uint64
	Hash   string
}

// member is a node of three. Its address is in a file of its directory, new at each start.
func member(dir, id string, in io.Reader, out io.Writer) error {
	transport, err := replica.ListenTCP(context.Background(), "127.0.0.1:0")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, id+".address")
	if err := errors.Join(os.WriteFile(name+".new", []byte(transport.Addr().String()), 0o600), os.Rename(name+".new", name)); err != nil {
		return err
	}
	c := Config{Dir: filepath.Join(dir, id), Group: replica.Config{ID: id, Transport: transport}}
	for _, other := range childIDs {
		c.Group.Bootstrap = append(c.Group.Bootstrap, replica.Server{ID: other, Address: other, Voter: true})
	}
	c.Group.Resolve = func(id string) (string, error) {
		address, err := os.ReadFile(filepath.Join(dir, id+".address"))
		return string(address), err
	}
	s, err := Open(context.Background(), c)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	go func() { // far more often than a node does, which lives for longer
		for range time.Tick(300 * time.Millisecond) {
			if _, err := s.state.Sync(context.Background()); err != nil {
				return // closed
			}
		}
	}()
	var mu sync.Mutex // keeps lines whole
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		go func() {
			line, _ := json.Marshal(o.follow(s))
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(out, "%s\n", line)
		}()
	}
	return errors.Join(errors.New("end of input"), s.Close())
}

func (o order) follow(s *Store) reply {
	ctx, cancel := context.WithTimeout(context.Background(), o.Patience)
	defer cancel()
	r := reply{Number: o.Number, Index: o.Index}
	if o.Call != nil {
		r.Answer = o.Call.do(ctx, s)
		return r
	}
	err := s.CaughtUp(ctx)
	if r.Index == 0 {
		r.Index = s.state.Applied()
	}
	if err == nil {
		r.Hash, err = hashAt(s, r.Index)
	}
	r.Answer = answer{}.after(err)
	return r
}

// process is a child.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner

	mu      sync.Mutex // guards the rest
	number  int
	waiting map[int]chan<- reply
	dead    bool

	gone chan struct{} // closed when the process is and its output has been read
}

// spawn starts a child.
func spawn(t *testing.T, plan, dir, id string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0]), waiting: map[int]chan<- reply{}, gone: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childPlan+"="+plan, childDir+"="+dir, childID+"="+id)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9, and waits until the process is gone. Somebody must be reading its output.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// ended is for who has read the output to its end.
func (p *process) ended() {
	_ = p.cmd.Wait()
	close(p.gone)
}

// listen gives replies to who waits for them, until the process ends.
func (p *process) listen(t *testing.T) {
	defer p.ended()
	for p.out.Scan() {
		var r reply
		if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
			if p.out.Text() != "ready" {
				t.Errorf("child says %q", p.out.Text())
			}
			continue
		}
		p.mu.Lock()
		if to := p.waiting[r.Number]; to != nil {
			to <- r
			delete(p.waiting, r.Number)
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	for _, to := range p.waiting {
		close(to)
	}
	clear(p.waiting)
}

// ask has the process follow an order, and waits for its reply, but not longer than twice as long as the process
// should take: it may stand still.
func (p *process) ask(o order) reply {
	lost := reply{Answer: answer{Outcome: unknown, Text: "no reply"}}
	to := make(chan reply, 1)
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return reply{Answer: answer{Outcome: refused, Text: "the process is gone"}}
	}
	p.number++
	o.Number = p.number
	p.waiting[o.Number] = to
	p.mu.Unlock()
	line, _ := json.Marshal(o)
	if _, err := fmt.Fprintf(p.in, "%s\n", line); err != nil {
		return lost // who knows how much of it was read
	}
	select {
	case r, ok := <-to:
		if ok {
			return r
		}
		return lost
	case <-time.After(2 * o.Patience):
		return lost
	}
}

// pause has the process stand still for a while.
func (p *process) pause(wait func()) {
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	wait()
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
}

// copyTree copies what is in a directory.
func copyTree(t *testing.T, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return copySparse(target, path)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// copySparse copies a file without making room for zeros at its end, which Badger's and the log's files have a lot of.
func copySparse(to, from string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	data := strings.TrimRight(string(raw), "\x00")
	if err := os.WriteFile(to, []byte(data), 0o600); err != nil {
		return err
	}
	return os.Truncate(to, int64(len(raw)))
}
