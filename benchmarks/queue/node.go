package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/runtime/registry"
)

const app = "bench"

// nodeConfig is what a process of Sett's is told: a store with queues, and no more of a node.
type nodeConfig struct {
	dir, id, group string
	profile        string
}

func (c *nodeConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.dir, "serve", "", "internal: be a node in this directory")
	f.StringVar(&c.id, "id", "", "internal: its id")
	f.StringVar(&c.group, "group", "", "internal: id=address of all nodes, with commas; empty: it is alone")
	record.Hide(f, "serve", "id", "group")
}

// What a node is asked: arrays whose first item says what, as in the Redis protocol.
const (
	askOpen    = "OPEN"    // queue: what follows is about it. An error: the node does not lead
	askSend    = "SEND"    // bodies
	askReceive = "RECEIVE" // most messages: receipts and bodies in turn
	askDelete  = "DELETE"  // receipts: how many held
)

// serveNode is the process of a node. It prints where it listens and answers until its input ends.
func serveNode(ctx context.Context, c nodeConfig, in io.Reader, out io.Writer) (err error) {
	if c.profile != "" {
		f, err := os.Create(c.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	cfg := kv.Config{Dir: c.dir}
	if c.group != "" {
		if cfg.Group, err = groupOf(ctx, c); err != nil {
			return err
		}
	}
	s, err := kv.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Fprintln(out, l.Addr(), l.Addr())
	go accept(ctx, l, s) // ends with the process
	_, err = io.Copy(io.Discard, in)
	return err
}

func groupOf(ctx context.Context, c nodeConfig) (replica.Config, error) {
	g := replica.Config{ID: c.id}
	for member := range strings.SplitSeq(c.group, ",") {
		id, address, _ := strings.Cut(member, "=")
		g.Bootstrap = append(g.Bootstrap, replica.Server{ID: id, Address: address, Voter: true})
		if id == c.id {
			var err error
			if g.Transport, err = replica.ListenTCP(ctx, address); err != nil {
				return g, err
			}
		}
	}
	return g, nil
}

func accept(ctx context.Context, l net.Listener, s *kv.Store) {
	q := queue.Open(s)
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			v := &visitor{wire: newWire(conn), store: s, queues: q}
			for v.answer(ctx) == nil {
			}
		}()
	}
}

// visitor is a client of a node.
type visitor struct {
	*wire
	store  *kv.Store
	queues *queue.Queues
	queue  string
}

// answer answers a question. An error ends the connection.
func (v *visitor) answer(ctx context.Context) error {
	question, err := v.read()
	if err != nil || len(question.items) == 0 {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	args := question.items[1:]
	switch string(question.items[0].text) {
	case askOpen:
		err = v.open(ctx, string(args[0].text))
	case askSend:
		messages := make([]op.Outgoing, len(args))
		for i, a := range args {
			messages[i].Body = a.text
		}
		_, err = v.queues.Send(ctx, app, v.queue, messages...)
		v.head(':', len(args))
	case askReceive:
		err = v.receive(ctx, string(args[0].text))
	case askDelete:
		err = v.delete(ctx, args)
	}
	if err != nil {
		v.out = fmt.Appendf(v.out[:0], "-%s\r\n", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return v.flush()
}

// open makes the queue when it is not there yet, on the leader.
func (v *visitor) open(ctx context.Context, name string) error {
	if v.store.Replica().Leading() == 0 {
		return errors.New("this node does not lead")
	}
	if err := v.store.RaiseLevel(ctx, kv.Level); err != nil {
		return err
	}
	v.queue = name
	v.out = append(v.out, "+OK\r\n"...)
	return v.queues.Put(ctx, app, registry.Queue{Name: name, VisibilitySeconds: 600})
}

func (v *visitor) receive(ctx context.Context, most string) error {
	n, err := strconv.Atoi(most)
	if err != nil {
		return err
	}
	messages, err := v.queues.Receive(ctx, app, v.queue, op.Receive{Max: n, Wait: takeWait})
	v.head('*', 2*len(messages))
	for _, m := range messages {
		v.bulk([]byte(m.Receipt))
		v.bulk(m.Body)
	}
	return err
}

func (v *visitor) delete(ctx context.Context, args []value) error {
	receipts := make([]string, len(args))
	for i, a := range args {
		receipts[i] = string(a.text)
	}
	held, err := v.queues.Delete(ctx, app, v.queue, receipts...)
	n := 0
	for _, h := range held {
		if h {
			n++
		}
	}
	v.head(':', n)
	return err
}
