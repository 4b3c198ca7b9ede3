package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sett-run/sett/benchmarks/subject"
)

const (
	redisName = "redis"
	group     = "workers"
)

// redisServer is one Redis.
type redisServer struct{ *subject.Redis }

func (r *redisServer) name() string { return redisName }
func (r *redisServer) stop() error  { r.Stop(); return nil }

func (r *redisServer) connect(ctx context.Context, queue string) (connection, error) {
	w, err := dial(ctx, r.Address)
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
