package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/runtime/registry"
)

const app = "bench"

// What a node is asked: arrays whose first item says what, as in the Redis protocol.
const (
	askOpen    = "OPEN"    // queue: what follows is about it. An error: the node does not lead
	askSend    = "SEND"    // bodies
	askReceive = "RECEIVE" // most messages: receipts and bodies in turn
	askDelete  = "DELETE"  // receipts: how many held
)

// serveNode is the process of a node, a store with queues. It prints where it listens and answers until its input ends.
func serveNode(ctx context.Context, m subject.Member, profiles string, out *record.Output) (err error) {
	if profiles != "" {
		f, err := os.Create(filepath.Join(profiles, fmt.Sprintf("sett-%d-%s.pprof", 1+strings.Count(m.Group, ","), m.ID)))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	s, err := m.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Fprintln(out.Out, l.Addr(), l.Addr())
	go accept(ctx, l, s) // ends with the process
	_, err = io.Copy(io.Discard, out.In)
	return err
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
