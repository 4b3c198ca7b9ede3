package kv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/redis"
)

// Questions that a node answers on its standard output, a line for each.
const (
	askLeads = "leads" // true or false
	askWatch = "watch" // from then on a line for each change of lagKey: value, nanoseconds since 1970 at which it was seen
)

// serveNode is the process of a node, a store with Redis listeners. It prints the addresses of its Redis listeners, for session and for strong reads,
// when its group has a leader, and then answers questions until its input ends.
func serveNode(ctx context.Context, m subject.Member, in io.Reader, out io.Writer) (err error) {
	s, err := m.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.CaughtUp(ctx); err != nil {
		return err
	}
	session, stop, err := listenRedis(ctx, s)
	if err != nil {
		return err
	}
	defer stop()
	strong, stop, err := listenRedis(ctx, strongReads{s})
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintln(out, session, strong)
	questions := bufio.NewScanner(in)
	for questions.Scan() {
		switch questions.Text() {
		case askLeads:
			fmt.Fprintln(out, s.Replica().Leading() != 0)
		case askWatch:
			fmt.Fprintln(out, "watching")
			go watch(ctx, s, out)
		}
	}
	return questions.Err()
}

// listenRedis serves a store's keys to whoever comes.
func listenRedis(ctx context.Context, s redis.Store) (address string, stop func(), err error) {
	server, err := redis.New(redis.Config{Store: s, Anonymous: namespace})
	if err != nil {
		return "", nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go func() { _ = server.Serve(l) }() // ends with the process
	return l.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // clients that stay are cut off
	}, nil
}

// strongReads makes every read a strong one.
type strongReads struct{ *kv.Store }

func (s strongReads) GetMany(ctx context.Context, namespace string, keys []string, _ op.Read) ([]op.Item, error) {
	return s.Store.GetMany(ctx, namespace, keys, op.Read{Consistency: op.Strong})
}

func watch(ctx context.Context, s *kv.Store, out io.Writer) {
	for c, err := range s.Watch(ctx, namespace, lagKey, 0) {
		if err != nil {
			fmt.Fprintln(out, "watch:", err)
			return
		}
		fmt.Fprintln(out, string(c.Value), time.Now().UnixNano())
	}
}
