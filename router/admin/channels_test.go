package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// noon is when all happens in channels.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 5e6, time.UTC)

// channels are queues, topics, schedules and asynchronous invocations in memory. A receive takes what is there, with
// receipts that never end, and waits for nothing but the end of its context.
type channels struct {
	mu            sync.Mutex // guards the rest
	queues        map[string]*waiting
	topics        map[string]bool
	subscriptions map[string]registry.Subscription
	archives      map[string]registry.Archive
	events        []registry.BusEvent
	schedules     []registry.ScheduleInfo
	calls         []router.Call
	received      op.Receive // the last one
	settled       op.Settlement
	fail          error
}

type waiting struct {
	registry.QueueInfo
	messages []op.Message
}

// queue answers one, or op.ErrNoQueue. The caller holds mu.
func (c *channels) queue(app, name string) (*waiting, error) {
	q, ok := c.queues[app+"/"+name]
	if !ok {
		return nil, fmt.Errorf("find queue: %w", op.ErrNoQueue)
	}
	return q, c.fail
}

func (c *channels) Put(_ context.Context, app string, q registry.Queue) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queues == nil {
		c.queues = map[string]*waiting{}
	}
	there := c.queues[app+"/"+q.Name]
	if there == nil {
		there = &waiting{}
		c.queues[app+"/"+q.Name] = there
	}
	there.QueueInfo = registry.QueueInfo{Queue: q.Complete(), Created: noon}
	return c.fail
}

func (c *channels) Get(_ context.Context, app, name string) (registry.QueueInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q, err := c.queue(app, name)
	if err != nil {
		return registry.QueueInfo{}, err
	}
	info, n := q.QueueInfo, int64(len(q.messages))
	if info.Stats = (op.QueueStats{Messages: n, Bytes: 7 * n, Visible: n, InFlight: 2, Delayed: 3}); n > 0 {
		info.Stats.Oldest = noon
	}
	return info, nil
}

func (c *channels) List(ctx context.Context, app string, q op.QueueQuery) (queues []registry.QueueInfo, after string, err error) {
	c.mu.Lock()
	var names []string
	for key := range c.queues {
		if of, name, _ := strings.Cut(key, "/"); of == app && strings.HasPrefix(name, q.Prefix) && name > q.After {
			names = append(names, name)
		}
	}
	c.mu.Unlock()
	slices.Sort(names)
	if q.Limit > 0 && len(names) > q.Limit {
		names = names[:q.Limit]
		after = names[q.Limit-1]
	}
	for _, name := range names {
		info, err := c.Get(ctx, app, name)
		if err != nil {
			return nil, "", err
		}
		queues = append(queues, info)
	}
	return queues, after, c.fail
}

func (c *channels) Remove(_ context.Context, app, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.queue(app, name)
	delete(c.queues, app+"/"+name)
	return err
}

func (c *channels) Purge(_ context.Context, app, name string) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q, err := c.queue(app, name)
	if err != nil {
		return 0, err
	}
	n := len(q.messages)
	q.messages = nil
	return int64(n), nil
}

func (c *channels) Redrive(_ context.Context, app, name string, r op.Redrive) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q, err := c.queue(app, name)
	if err != nil {
		return 0, err
	}
	to, err := c.queue(app, r.To)
	if err != nil {
		return 0, err
	}
	n := min(r.Max, len(q.messages))
	to.messages = append(to.messages, q.messages[:n]...)
	q.messages = q.messages[n:]
	return int64(n), nil
}

func (c *channels) Send(_ context.Context, app, name string, messages ...op.Outgoing) ([]op.Sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q, err := c.queue(app, name)
	if err != nil {
		return nil, err
	}
	var sent []op.Sent
	for _, m := range messages {
		n := uint64(len(q.messages) + 1)
		s := op.Sent{ID: fmt.Sprintf("%026d", n), Sequence: n, Duplicate: m.Dedup == "again"}
		sent = append(sent, s)
		q.messages = append(q.messages, op.Message{ID: s.ID, Sequence: n, Body: m.Body, Attributes: m.Attributes, Group: m.Group, Dedup: m.Dedup,
			Sent: noon, First: noon.Add(time.Second), Receives: 1, Source: "before", Receipt: fmt.Sprint("r", n), Visible: noon.Add(m.Delay)})
	}
	return sent, nil
}

func (c *channels) Receive(ctx context.Context, app, name string, r op.Receive) ([]op.Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q, err := c.queue(app, name)
	if err != nil {
		return nil, err
	}
	c.received = r
	if len(q.messages) == 0 && r.Wait > 0 {
		c.mu.Unlock()
		<-ctx.Done()
		c.mu.Lock()
		return nil, nil
	}
	n := min(max(r.Max, 1), len(q.messages))
	taken := q.messages[:n:n]
	q.messages = q.messages[n:]
	return taken, nil
}

func (c *channels) Settle(_ context.Context, app, name string, s op.Settlement) (op.Settled, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.queue(app, name); err != nil {
		return op.Settled{}, err
	}
	c.settled = s
	var done op.Settled
	for _, receipt := range s.Delete {
		done.Delete = append(done.Delete, receipt == "r1")
	}
	for _, r := range s.Release {
		done.Release = append(done.Release, r.Receipt == "r1")
	}
	return done, nil
}

func (c *channels) PutTopic(ctx context.Context, app string, t registry.Topic) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topics == nil {
		c.topics = map[string]bool{}
	}
	c.topics[app+"/"+t.Name] = true
	return c.fail
}

func (c *channels) RemoveTopic(_ context.Context, app, topic string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.topics, app+"/"+topic)
	return c.fail
}

func (c *channels) Topics(_ context.Context, app string) (topics []registry.Topic, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.topics {
		if of, name, _ := strings.Cut(key, "/"); of == app {
			topics = append(topics, registry.Topic{Name: name})
		}
	}
	return topics, c.fail
}

func (c *channels) Publish(ctx context.Context, app, topic string, messages ...op.Outgoing) ([]op.Sent, error) {
	return c.Send(ctx, app, topic, messages...) // a queue of that name stands for it
}

func (c *channels) Subscribe(_ context.Context, _ string, s registry.Subscription) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subscriptions == nil {
		c.subscriptions = map[string]registry.Subscription{}
	}
	c.subscriptions[s.Topic+"/"+s.Name] = s
	return c.fail
}

func (c *channels) Unsubscribe(_ context.Context, _, topic, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.subscriptions[topic+"/"+name]; !ok {
		return abi.WithCode(abi.NotFound, errors.New("no such subscription"))
	}
	delete(c.subscriptions, topic+"/"+name)
	return c.fail
}

func (c *channels) Subscriptions(_ context.Context, _, topic string) (list []registry.Subscription, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subscriptions {
		if s.Topic == topic {
			list = append(list, s)
		}
	}
	return list, c.fail
}

func (c *channels) Schedules(_ context.Context, app string) (list []registry.ScheduleInfo, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.schedules {
		if s.ID.App == app {
			list = append(list, s)
		}
	}
	return list, c.fail
}

func (c *channels) Enable(_ context.Context, id registry.ScheduleID) error  { return c.turn(id, false) }
func (c *channels) Disable(_ context.Context, id registry.ScheduleID) error { return c.turn(id, true) }

func (c *channels) turn(id registry.ScheduleID, disabled bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.schedules {
		if c.schedules[i].ID == id {
			c.schedules[i].Disabled = disabled
			return c.fail
		}
	}
	return abi.WithCode(abi.NotFound, errors.New("no such schedule"))
}

func (c *channels) Fire(_ context.Context, id registry.ScheduleID) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.ContainsFunc(c.schedules, func(s registry.ScheduleInfo) bool { return s.ID == id }) {
		return "", abi.WithCode(abi.NotFound, errors.New("no such schedule"))
	}
	return "01FIRED", c.fail
}

func (c *channels) Enqueue(_ context.Context, call router.Call) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(call.Event.Body) > 1000 {
		return "", abi.WithCode(abi.TooLarge, errors.New("over the limit of an asynchronous invocation"))
	}
	c.calls = append(c.calls, call)
	return "01LATER", c.fail
}

func (c *channels) PutEvents(_ context.Context, _ string, events ...registry.BusEvent) (ids []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, events...)
	for i := range events {
		ids = append(ids, fmt.Sprint("e", i+1))
	}
	return ids, c.fail
}

func (c *channels) PutArchive(_ context.Context, _ string, a registry.Archive) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.archives == nil {
		c.archives = map[string]registry.Archive{}
	}
	c.archives[a.Name] = a.Complete()
	return c.fail
}

func (c *channels) archive(name string) error {
	if _, ok := c.archives[name]; !ok {
		return abi.WithCode(abi.NotFound, errors.New("no such archive"))
	}
	return c.fail
}

func (c *channels) RemoveArchive(_ context.Context, _, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.archive(name)
	delete(c.archives, name)
	return err
}

func (c *channels) Archives(context.Context, string) (list []registry.ArchiveInfo, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.archives {
		list = append(list, registry.ArchiveInfo{Archive: a, Events: 2, Bytes: 100, Oldest: time.Unix(1, 0).UTC()})
	}
	return list, c.fail
}

func (c *channels) Replay(_ context.Context, _, name string, r registry.Replay) (registry.Replayed, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return registry.Replayed{Events: 2, Next: r.After + 2}, c.archive(name)
}
