//go:build !wasip1

package settest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/go/internal/host"
	"github.com/sett-run/sett/sdk/go/queue"
	"github.com/sett-run/sett/sdk/go/topic"
)

// Queues makes queues that handlers reach with package queue in this test, empty at first. Without it they get
// queue.ErrUnsupported. A name that ends in .fifo is that of a FIFO queue, which deduplicates by content where there is no
// id. Visibility timeouts and delays are those of the clock; a receive does not wait, since nothing else runs.
//
//	settest.Queues(t, "orders")
//	settest.Get(t, "/checkout")
//	if m := settest.Messages(t, "orders"); len(m) != 1 { ... }
func Queues(t testing.TB, names ...string) {
	t.Helper()
	b := boxOf(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		if err := op.ValidateQueueName(name); err != nil {
			t.Fatalf("settest: %v", err)
		}
		if b.queues[name] == nil {
			b.queues[name] = &waiting{fifo: strings.HasSuffix(name, ".fifo"), seen: map[string]seen{}}
		}
	}
}

// Topics makes topics that handlers publish to with package topic in this test. They have no subscriptions.
func Topics(t testing.TB, names ...string) {
	t.Helper()
	b := boxOf(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		if err := op.ValidateQueueName(name); err != nil {
			t.Fatalf("settest: %v", err)
		}
		if _, ok := b.topics[name]; !ok {
			b.topics[name] = nil
		}
	}
}

// Messages answers what is in a queue that Queues made, received or not, in the order of sending.
func Messages(t testing.TB, name string) (messages []queue.Received) {
	t.Helper()
	b := boxOf(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[name]
	if q == nil {
		t.Fatalf("settest: no queue %s", name)
	}
	for _, m := range q.messages {
		messages = append(messages, *m)
	}
	return messages
}

// Published answers what was published to a topic that Topics made, in that order.
func Published(t testing.TB, name string) (messages []topic.Message) {
	t.Helper()
	b := boxOf(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	published, ok := b.topics[name]
	if !ok {
		t.Fatalf("settest: no topic %s", name)
	}
	for _, o := range published {
		m := topic.Message{Body: o.Body}
		for _, a := range o.Attributes {
			if a.Name == topic.SubjectAttribute {
				m.Subject = string(a.Value)
			} else {
				m.Attributes = append(m.Attributes, a)
			}
		}
		messages = append(messages, m)
	}
	return messages
}

// boxOf answers the queues and topics of a test.
func boxOf(t testing.TB) (b *box) {
	change(t, func(w *host.World) {
		if w.Queues == nil {
			w.Queues = &box{queues: map[string]*waiting{}, topics: map[string][]op.Outgoing{}}
		}
		b = w.Queues.(*box)
	})
	return b
}

// box is the queues and topics of a test.
type box struct {
	mu     sync.Mutex // guards all below
	queues map[string]*waiting
	topics map[string][]op.Outgoing
	last   uint64 // sequence
}

// waiting is what waits in a queue.
type waiting struct {
	fifo     bool
	messages []*op.Message
	seen     map[string]seen // by deduplication id
}

// seen is a message that was sent, and when.
type seen struct {
	op.Sent
	at time.Time
}

// receiptPrefix begins what looks like a receipt here.
const receiptPrefix = "receipt-"

func (b *box) queue(name string) (*waiting, error) {
	if q := b.queues[name]; q != nil {
		return q, nil
	}
	return nil, fmt.Errorf("queue %s: %w", name, op.ErrNoQueue)
}

// checkSent refuses what a node refuses.
func checkSent(messages []op.Outgoing, q waiting) error {
	size := 0
	for _, m := range messages {
		size += m.Bytes()
	}
	switch {
	case len(messages) == 0:
		return fmt.Errorf("no messages: %w", op.ErrInvalid)
	case len(messages) > op.MaxSend:
		return fmt.Errorf("%d messages, at most %d are sent at once: %w", len(messages), op.MaxSend, op.ErrTooLarge)
	case size > op.MaxTxnBytes && len(messages) > 1:
		return fmt.Errorf("messages of %d bytes, at most %d are sent at once: %w", size, op.MaxTxnBytes, op.ErrTooLarge)
	}
	for _, m := range messages {
		if err := q.accepts(m); err != nil {
			return err
		}
	}
	return nil
}

func (q *waiting) accepts(m op.Outgoing) error {
	err := m.Validate()
	switch {
	case err != nil:
		return err
	case !q.fifo && m.Dedup != "":
		return fmt.Errorf("only FIFO queues take a deduplication id: %w", op.ErrInvalid)
	case q.fifo && m.Group == "":
		return fmt.Errorf("a FIFO queue asks for a message group: %w", op.ErrInvalid)
	case q.fifo && m.Delay != 0:
		return fmt.Errorf("a FIFO queue takes no delay of a message: %w", op.ErrInvalid)
	}
	return nil
}

// next is the receipt of a new message.
func (b *box) next() op.Sent {
	b.last++
	return op.Sent{ID: fmt.Sprintf("%026d", b.last), Sequence: b.last}
}

// Send is for package queue.
func (b *box) Send(_ context.Context, name string, messages []op.Outgoing) ([]op.Sent, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := b.queue(name)
	if err == nil {
		err = checkSent(messages, *q)
	}
	if err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	all := make([]op.Sent, len(messages))
	for i, o := range messages {
		all[i] = b.add(q, o)
	}
	return all, nil
}

func (b *box) add(q *waiting, o op.Outgoing) op.Sent {
	now, id := time.Now().UTC(), o.Dedup
	if q.fifo && id == "" {
		id = " " + string(o.Body) // no id begins so
	}
	if twin, ok := q.seen[id]; ok && now.Before(twin.at.Add(op.DedupWindow)) {
		twin.Duplicate = true
		return twin.Sent
	}
	sent := b.next()
	if q.fifo {
		q.seen[id] = seen{sent, now}
	}
	q.messages = append(q.messages, &op.Message{
		ID: sent.ID, Sequence: sent.Sequence, Body: slices.Clone(o.Body), Attributes: slices.Clone(o.Attributes),
		Group: o.Group, Dedup: o.Dedup, Sent: now, Visible: now.Add(max(o.Delay, 0)),
	})
	return sent
}

// Receive is for package queue.
func (b *box) Receive(_ context.Context, name string, r op.Receive) (messages []op.Message, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := b.queue(name)
	switch {
	case err != nil:
	case r.Max < 0 || r.Max > op.MaxReceive:
		err = fmt.Errorf("%d messages, at most %d are received: %w", r.Max, op.MaxReceive, op.ErrInvalid)
	case r.Visibility < 0 || r.Visibility > op.MaxVisibility:
		err = fmt.Errorf("visibility %v is not within 0 and %v: %w", r.Visibility, op.MaxVisibility, op.ErrInvalid)
	case r.Wait > op.MaxWait || r.Wait < op.NoWait:
		err = fmt.Errorf("wait %v is not within 0 and %v: %w", r.Wait, op.MaxWait, op.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if r.Visibility == 0 {
		r.Visibility = op.DefaultVisibility
	}
	now, blocked := time.Now().UTC(), map[string]bool{}
	for _, m := range q.messages {
		switch {
		case len(messages) == max(r.Max, 1):
			return messages, nil
		case now.Before(m.Visible):
			blocked[m.Group] = q.fifo
		case !blocked[m.Group]:
			m.Receives++
			m.Visible, m.Receipt = now.Add(r.Visibility), fmt.Sprintf("%s%d-%d", receiptPrefix, m.Sequence, m.Receives)
			if m.First.IsZero() {
				m.First = now
			}
			messages = append(messages, *m)
		}
	}
	return messages, nil
}

// Settle is for package queue.
func (b *box) Settle(_ context.Context, name string, s op.Settlement) (op.Settled, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := b.queue(name)
	if err == nil {
		err = checkSettled(s)
	}
	if err != nil {
		return op.Settled{}, fmt.Errorf("settle: %w", err)
	}
	var settled op.Settled
	for _, receipt := range s.Delete {
		i := q.find(receipt)
		if i >= 0 {
			q.messages = slices.Delete(q.messages, i, i+1)
		}
		settled.Delete = append(settled.Delete, i >= 0)
	}
	for _, r := range s.Release {
		i := q.find(r.Receipt)
		if i >= 0 {
			q.messages[i].Receipt, q.messages[i].Visible = "", time.Now().UTC().Add(r.Delay)
		}
		settled.Release = append(settled.Release, i >= 0)
	}
	return settled, nil
}

// checkSettled refuses what a node refuses.
func checkSettled(s op.Settlement) error {
	for _, r := range s.Delete {
		if !strings.HasPrefix(r, receiptPrefix) {
			return fmt.Errorf("receipt %q is not one that a receive answered: %w", r, op.ErrInvalid)
		}
	}
	for _, r := range s.Release {
		switch {
		case !strings.HasPrefix(r.Receipt, receiptPrefix):
			return fmt.Errorf("receipt %q is not one that a receive answered: %w", r.Receipt, op.ErrInvalid)
		case r.Delay < 0 || r.Delay > op.MaxVisibility:
			return fmt.Errorf("delay %v is not within 0 and %v: %w", r.Delay, op.MaxVisibility, op.ErrInvalid)
		}
	}
	return nil
}

// find answers which message a receipt holds, or -1.
func (q *waiting) find(receipt string) int {
	return slices.IndexFunc(q.messages, func(m *op.Message) bool { return m.Receipt == receipt })
}

// Stats is for package queue.
func (b *box) Stats(_ context.Context, name string) (s op.QueueStats, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := b.queue(name)
	if err != nil {
		return s, fmt.Errorf("stats: %w", err)
	}
	now := time.Now()
	for i, m := range q.messages {
		s.Messages++
		s.Bytes += int64(op.Outgoing{Body: m.Body, Attributes: m.Attributes}.Bytes())
		switch {
		case !now.Before(m.Visible):
			s.Visible++
		case m.Receipt != "":
			s.InFlight++
		default:
			s.Delayed++
		}
		if i == 0 {
			s.Oldest = m.Sent
		}
	}
	return s, nil
}

// Publish is for package topic.
func (b *box) Publish(_ context.Context, name string, messages []op.Outgoing) ([]op.Sent, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.topics[name]; !ok {
		return nil, fmt.Errorf("publish: topic %s: %w", name, op.ErrNoQueue)
	}
	if err := checkSent(messages, waiting{}); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	all := make([]op.Sent, len(messages))
	for i, o := range messages {
		all[i] = b.next()
		o.Body, o.Attributes = slices.Clone(o.Body), slices.Clone(o.Attributes)
		b.topics[name] = append(b.topics[name], o)
	}
	return all, nil
}
