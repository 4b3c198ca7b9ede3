package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	redisName = "redis"
	readyTime = 30 * time.Second // until a server answers
	group     = "workers"
)

// redisServer is one Redis that flushes before it answers.
type redisServer struct {
	command *exec.Cmd
	output  bytes.Buffer // what it said, for when it fails
	address string
}

func startRedis(ctx context.Context, p plan) (*redisServer, error) {
	dir := filepath.Join(p.dir, "redis")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	r := &redisServer{address: net.JoinHostPort("127.0.0.1", ports[0])}
	r.command = exec.CommandContext(ctx, p.redis, "--port", ports[0], "--bind", "127.0.0.1", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no")
	r.command.Stdout, r.command.Stderr = &r.output, &r.output
	if err := r.command.Start(); err != nil {
		return nil, err
	}
	err = until(ctx, func() error {
		w, err := dial(ctx, r.address)
		if err != nil {
			return err
		}
		defer w.close()
		w.array(1, "PING")
		_, err = w.ask(1)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start redis: %w", err), r.stop(), errors.New(r.output.String()))
	}
	return r, nil
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

// freePorts answers ports of loopback that nobody listens on now.
func freePorts(ctx context.Context, n int) (ports []string, err error) {
	for range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

func (r *redisServer) name() string { return redisName }

func (r *redisServer) stop() error {
	_ = r.command.Process.Kill() // it may have ended
	_ = r.command.Wait()         // it says that it was killed
	return nil
}

func (r *redisServer) connect(ctx context.Context, queue string) (connection, error) {
	w, err := dial(ctx, r.address)
	if err != nil {
		return nil, err
	}
	w.array(6, "XGROUP", "CREATE", queue, group, "$", "MKSTREAM")
	if _, err := w.ask(1); err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") { // it is there
		return nil, errors.Join(err, w.close())
	}
	return &redisClient{w, queue}, nil
}

// redisClient is a client of a stream, a producer or a consumer of its group.
type redisClient struct {
	*wire
	queue string
}

func (c *redisClient) send(bodies [][]byte) error {
	for _, b := range bodies {
		c.array(5, "XADD", c.queue, "*", "body")
		c.bulk(b)
	}
	_, err := c.ask(len(bodies))
	return err
}

func (c *redisClient) consume(most int) (int, error) {
	c.array(11, "XREADGROUP", "GROUP", group, c.conn.LocalAddr().String(), "COUNT", strconv.Itoa(most),
		"BLOCK", strconv.FormatInt(takeWait.Milliseconds(), 10), "STREAMS", c.queue, ">")
	got, err := c.ask(1)
	if err != nil || len(got.items) == 0 {
		return 0, err
	}
	messages := got.items[0].items[1].items // of the only stream
	c.array(3+len(messages), "XACK", c.queue, group)
	for _, m := range messages {
		c.bulk(m.items[0].text)
	}
	c.array(2+len(messages), "XDEL", c.queue)
	for _, m := range messages {
		c.bulk(m.items[0].text)
	}
	deleted, err := c.ask(2)
	if err == nil && deleted.n != len(messages) {
		err = fmt.Errorf("%d of %d messages were deleted", deleted.n, len(messages))
	}
	return len(messages), err
}
