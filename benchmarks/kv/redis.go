package kv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
)

// redisServer is one Redis.
type redisServer struct{ *subject.Redis }

func (r *redisServer) name() string         { return "redis" }
func (r *redisServer) can(o operation) bool { return o != strongGet }
func (r *redisServer) servers() []int       { return []int{r.PID()} }
func (r *redisServer) stop() error          { r.Stop(); return nil }

func (r *redisServer) connect(ctx context.Context, o operation) (connection, error) {
	return dialRedis(ctx, r.Address, o)
}

// redisClient speaks the Redis protocol, one command after the other.
type redisClient struct {
	operation operation
	conn      net.Conn
	in        *bufio.Reader
	out       []byte
}

func dialRedis(ctx context.Context, address string, o operation) (*redisClient, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &redisClient{operation: o, conn: conn, in: bufio.NewReader(conn)}, nil
}

func (c *redisClient) close() error { return c.conn.Close() }

func (c *redisClient) do(key int, value []byte) error {
	c.out = c.out[:0]
	switch c.operation {
	case set:
		c.array(3, "SET", keyOf(key))
		c.bulk(value)
	case incr:
		c.array(2, "INCR", "counter")
	case get, strongGet:
		c.array(2, "GET", keyOf(key))
	case setMany:
		c.array(1+2*txnKeys, "MSET")
		for i := range txnKeys {
			c.bulk([]byte(keyOf(key + i)))
			c.bulk(value)
		}
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	return c.reply()
}

// setTo sets a key to a value, waiting for the reply until deadline.
func (c *redisClient) setTo(key, value string, deadline time.Time) error {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	c.out = c.out[:0]
	c.array(3, "SET", key, value)
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	return c.reply()
}

// array begins a command with as many arguments, the first of which are given.
func (c *redisClient) array(n int, args ...string) {
	c.out = fmt.Appendf(c.out, "*%d\r\n", n)
	for _, a := range args {
		c.bulk([]byte(a))
	}
}

func (c *redisClient) bulk(b []byte) {
	c.out = fmt.Appendf(c.out, "$%d\r\n", len(b))
	c.out = append(append(c.out, b...), '\r', '\n')
}

// reply reads one and answers the error in it. A value that is not there is one, too.
func (c *redisClient) reply() error {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(line[1:]))
	switch line[0] {
	case '+', ':':
		return nil
	case '$':
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return fmt.Errorf("bulk of %q bytes", text)
		}
		_, err = c.in.Discard(n + 2)
		return err
	case '-':
		return errors.New(text)
	default:
		return fmt.Errorf("reply %q: %w", line, io.ErrUnexpectedEOF)
	}
}
