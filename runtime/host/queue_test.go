package host_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// mailbox answers queue calls as a test says, and keeps what it was asked.
type mailbox struct {
	err      error
	wait     bool // until the context ends
	received []op.Message

	asked   string
	sent    []op.Outgoing
	receive op.Receive
	settle  op.Settlement
}

func (m *mailbox) answer(ctx context.Context, asked string) error {
	m.asked = asked
	if m.wait {
		<-ctx.Done()
		return fmt.Errorf("wait: %w", ctx.Err())
	}
	return m.err
}

func (m *mailbox) Send(ctx context.Context, app, name string, messages ...op.Outgoing) ([]op.Sent, error) {
	m.sent = messages
	return []op.Sent{{ID: "01A", Sequence: 1}}, m.answer(ctx, "send "+app+" "+name)
}

func (m *mailbox) Publish(ctx context.Context, app, topic string, messages ...op.Outgoing) ([]op.Sent, error) {
	m.sent = messages
	return []op.Sent{{ID: "01B", Duplicate: true}}, m.answer(ctx, "publish "+app+" "+topic)
}

func (m *mailbox) Receive(ctx context.Context, app, name string, r op.Receive) ([]op.Message, error) {
	m.receive = r
	return m.received, m.answer(ctx, "receive "+app+" "+name)
}

func (m *mailbox) Settle(ctx context.Context, app, name string, s op.Settlement) (op.Settled, error) {
	m.settle = s
	return op.Settled{Delete: []bool{true, false}}, m.answer(ctx, "settle "+app+" "+name)
}

func (m *mailbox) Stats(ctx context.Context, app, name string) (op.QueueStats, error) {
	return op.QueueStats{Messages: 3}, m.answer(ctx, "stats "+app+" "+name)
}

func queueAsker(t *testing.T, m *mailbox) *asker {
	a := newAsker(t, nil)
	a.call.Queues, a.call.MaxQueueCalls = m, 1000
	return a
}

func sendTo(name string, messages ...op.Outgoing) []byte {
	return abi.AppendQueueSend(nil, &abi.QueueSend{To: name, Messages: messages})
}

func receiveFrom(name string, wait time.Duration) []byte {
	return abi.AppendQueueReceive(nil, &abi.QueueReceive{Queue: name, Max: 7, Visibility: time.Minute, Wait: wait})
}

// queueRequests are good requests of all queue calls.
func queueRequests() map[string][]byte {
	return map[string][]byte{
		abi.ImportQueueSend:    sendTo("orders", op.Outgoing{Body: []byte("b")}),
		abi.ImportTopicPublish: sendTo("orders", op.Outgoing{Body: []byte("b")}),
		abi.ImportQueueReceive: receiveFrom("orders", 0),
		abi.ImportQueueSettle:  abi.AppendQueueSettle(nil, &abi.QueueSettle{Queue: "orders", Settlement: op.Settlement{Delete: []string{"r"}}}),
		abi.ImportQueueStats:   abi.AppendQueueName(nil, "orders"),
	}
}

func TestQueueCalls(t *testing.T) {
	m := &mailbox{received: []op.Message{{ID: "01A", Body: []byte(strings.Repeat("body", 100)), Receipt: "r"}}}
	a := queueAsker(t, m)
	ask := func(name string, request []byte, room uint64, asked string) []byte {
		t.Helper()
		n, answer, kept := a.ask(name, request, room, 0)
		if n <= 0 || m.asked != asked {
			t.Fatalf("%s = %d %q, asked %q, want %q", name, n, kept, m.asked, asked)
		}
		if uint64(n) > room {
			return kept
		}
		return answer
	}
	messages := []op.Outgoing{{Body: []byte("one"), Delay: op.NoDelay, Attributes: []op.Attribute{{Name: "a", Type: "String", Value: []byte("v")}}}, {Body: []byte("two")}}
	for name, want := range map[string]op.Sent{abi.ImportQueueSend: {ID: "01A", Sequence: 1}, abi.ImportTopicPublish: {ID: "01B", Duplicate: true}} {
		asked := map[string]string{abi.ImportQueueSend: "send shop orders", abi.ImportTopicPublish: "publish shop orders"}[name]
		sent, err := abi.DecodeQueueSent(ask(name, sendTo("orders", messages...), 100, asked))
		if err != nil || !reflect.DeepEqual(sent, []op.Sent{want}) {
			t.Errorf("%s = %+v, %v, want %+v", name, sent, err, want)
		}
		a.mod.Memory().Write(requestAt, make([]byte, 1000)) // the queues may keep what they are given
		if !reflect.DeepEqual(m.sent, messages) {
			t.Errorf("%s sends %+v, want %+v", name, m.sent, messages)
		}
	}
	for _, room := range []uint64{1000, 10} {
		received, err := abi.DecodeQueueMessages(ask(abi.ImportQueueReceive, receiveFrom("orders", time.Second), room, "receive shop orders"))
		if err != nil || !reflect.DeepEqual(received, m.received) || m.receive != (op.Receive{Max: 7, Visibility: time.Minute, Wait: time.Second}) {
			t.Errorf("receive %+v = %+v, %v", m.receive, received, err)
		}
	}
	want := op.Settlement{Delete: []string{"a", "b"}, Release: []op.Release{{Receipt: "c", Delay: time.Second}}}
	settled, err := abi.DecodeQueueSettled(ask(abi.ImportQueueSettle, abi.AppendQueueSettle(nil, &abi.QueueSettle{Queue: "q", Settlement: want}), 100, "settle shop q"))
	if err != nil || !reflect.DeepEqual(settled.Delete, []bool{true, false}) || !reflect.DeepEqual(m.settle, want) {
		t.Errorf("settle %+v = %+v, %v", m.settle, settled, err)
	}
	stats, err := abi.DecodeQueueStats(ask(abi.ImportQueueStats, abi.AppendQueueName(nil, "q.fifo"), 100, "stats shop q.fifo"))
	if err != nil || stats.Messages != 3 {
		t.Errorf("stats = %+v, %v", stats, err)
	}
}

// TestReceiveWaits: a wait ends before the invocation and the guest's own timeout do.
func TestReceiveWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			wait, left, timeout, want time.Duration
		}{
			{0, 0, 0, op.NoWait},
			{op.MaxWait, 0, 0, op.MaxWait},
			{op.MaxWait, time.Minute, 0, op.MaxWait},
			{op.MaxWait, 5 * time.Second, 0, 4900 * time.Millisecond},
			{op.MaxWait, 5 * time.Second, time.Second, 900 * time.Millisecond},
			{op.MaxWait, time.Second, 5 * time.Second, 900 * time.Millisecond},
			{op.MaxWait, 100 * time.Millisecond, 0, op.NoWait},
			{50 * time.Millisecond, time.Second, 0, 50 * time.Millisecond},
		} {
			m := &mailbox{}
			a := queueAsker(t, m)
			if tt.left != 0 {
				ctx, cancel := context.WithTimeout(a.ctx, tt.left)
				defer cancel()
				a.ctx = ctx
			}
			n, _, kept := a.ask(abi.ImportQueueReceive, receiveFrom("q", tt.wait), 100, uint64(tt.timeout/time.Millisecond))
			if n != 0 || m.receive.Wait != tt.want {
				t.Errorf("a wait of %v with %v left and a timeout of %v: %d %q, waits %v, want %v", tt.wait, tt.left, tt.timeout, n, kept, m.receive.Wait, tt.want)
			}
		}
	})
}

func TestQueueCallErrors(t *testing.T) {
	coded := func(code abi.Code, say string) error { return abi.WithCode(code, errors.New(say)) }
	one := op.Outgoing{Body: []byte("b")}
	for _, tt := range []struct {
		name    string
		err     error
		call    string
		request []byte
		want    error
		say     string
	}{
		{"malformed send", nil, abi.ImportQueueSend, []byte("\x0a\x05a"), op.ErrInvalid, "malformed message"},
		{"malformed receive", nil, abi.ImportQueueReceive, []byte("\xff"), op.ErrInvalid, "malformed message"},
		{"malformed settlement", nil, abi.ImportQueueSettle, []byte("\xff"), op.ErrInvalid, "malformed message"},
		{"malformed stats", nil, abi.ImportQueueStats, []byte("\xff"), op.ErrInvalid, "malformed message"},
		{"no messages", nil, abi.ImportQueueSend, sendTo("q"), op.ErrInvalid, "no messages"},
		{"no name", nil, abi.ImportTopicPublish, sendTo("", one), op.ErrInvalid, "a name is"},
		{"empty message", nil, abi.ImportQueueSend, sendTo("q", one, op.Outgoing{}), op.ErrInvalid, "message 2 of 2: the message is empty"},
		{"long message", nil, abi.ImportTopicPublish, sendTo("q", op.Outgoing{Body: make([]byte, op.MaxMessageBytes+1)}), op.ErrTooLarge, "262144"},
		{"late message", nil, abi.ImportQueueSend, sendTo("q", op.Outgoing{Body: []byte("b"), Delay: op.MaxDelay + 1}), op.ErrInvalid, "delay 15m0.001s"},
		{"many messages", nil, abi.ImportQueueSend, sendTo("q", make([]op.Outgoing, op.MaxSend+1)...), op.ErrTooLarge, "1000 messages"},
		{"long wait", nil, abi.ImportQueueReceive, receiveFrom("q", op.MaxWait+1), op.ErrInvalid, "wait 20.001s"},
		{"negative wait", nil, abi.ImportQueueReceive, receiveFrom("q", -1), op.ErrInvalid, "wait -1ms"},
		{"inner queue, send", nil, abi.ImportQueueSend, sendTo("topic/orders", one), op.ErrInvalid, `queue "topic/orders"`},
		{"inner queue, publish", nil, abi.ImportTopicPublish, sendTo("orders/mail", one), op.ErrInvalid, `queue "orders/mail"`},
		{"inner queue, receive", nil, abi.ImportQueueReceive, receiveFrom("topic/orders", 0), op.ErrInvalid, `queue "topic/orders"`},
		{"inner queue, settle", nil, abi.ImportQueueSettle, abi.AppendQueueSettle(nil, &abi.QueueSettle{Queue: "a/b"}), op.ErrInvalid, `queue "a/b"`},
		{"inner queue, stats", nil, abi.ImportQueueStats, abi.AppendQueueName(nil, "a/b"), op.ErrInvalid, `queue "a/b"`},
		{"no queue", coded(abi.NotFound, "send: queue not found"), abi.ImportQueueSend, sendTo("q", one), op.ErrNoQueue, "queue not found"},
		{"in flight", fmt.Errorf("receive: %w", op.ErrInFlight), abi.ImportQueueReceive, receiveFrom("q", 0), op.ErrInFlight, "receive: the queue has"},
		{"quota", coded(abi.NoSpace, "full"), abi.ImportTopicPublish, sendTo("q", one), op.ErrQuota, "full"},
		{"unavailable", coded(abi.Unavailable, "gone"), abi.ImportQueueStats, abi.AppendQueueName(nil, "q"), op.ErrUnavailable, "gone"},
		{"unknown", abi.WithCode(abi.Unavailable, op.ErrUnknown), abi.ImportQueueSend, sendTo("q", one), op.ErrUnknown, "not known"},
		{"unsupported", coded(abi.Unsupported, "none here"), abi.ImportQueueSend, sendTo("q", one), abi.ErrNoQueues, "none here"},
	} {
		a := queueAsker(t, &mailbox{err: tt.err})
		a.mod.Memory().Grow(16)
		n, _, kept := a.ask(tt.call, tt.request, 1024, 0)
		if n >= 0 || !errors.Is(abi.QueueError(-n), tt.want) || !strings.Contains(string(kept), tt.say) {
			t.Errorf("%s: %d %q, want %v and %q", tt.name, n, kept, tt.want, tt.say)
		}
		if a.call.StoreFault != nil {
			t.Errorf("%s: StoreFault = %v", tt.name, a.call.StoreFault)
		}
	}
	for name, request := range queueRequests() {
		for _, err := range []error{errors.New("read /secret: broken"), coded(abi.Internal, "read /secret: broken")} {
			a := queueAsker(t, &mailbox{err: err})
			n, _, kept := a.ask(name, request, 1024, 0)
			if !errors.Is(abi.QueueError(-n), abi.ErrQueueFailed) || strings.Contains(string(kept), "secret") || !errors.Is(a.call.StoreFault, err) {
				t.Errorf("%s: %v is told as %d %q, StoreFault %v", name, err, n, kept, a.call.StoreFault)
			}
		}
	}
}

func TestQueueCallLimit(t *testing.T) {
	a := queueAsker(t, &mailbox{})
	requests := queueRequests()
	a.call.MaxQueueCalls = len(requests)
	for name, request := range requests {
		if n, _, kept := a.ask(name, request, 100, 0); n < 0 {
			t.Errorf("%s = %d %q", name, n, kept)
		}
	}
	for name, request := range requests {
		n, _, kept := a.ask(name, request, 100, 0)
		if !errors.Is(abi.QueueError(-n), abi.ErrQueueCalls) || !strings.HasSuffix(string(kept), ": 5") {
			t.Errorf("the sixth call, %s = %d %q, want %v", name, n, kept, abi.ErrQueueCalls)
		}
		none := newAsker(t, nil)
		if n, _, _ := none.ask(name, request, 0, 0); !errors.Is(abi.QueueError(-n), abi.ErrNoQueues) {
			t.Errorf("%s where there is none = %d, want %v", name, n, abi.ErrNoQueues)
		}
	}
}

func TestQueueCallsEnd(t *testing.T) {
	for name, request := range queueRequests() {
		wantEnds(t, queueAsker(t, &mailbox{wait: true}), name, request, func(number int32) error { return abi.QueueError(number) })
	}
}

func TestQueueCallsTrap(t *testing.T) {
	for name := range queueRequests() {
		wantTraps(t, name, func() *asker { return queueAsker(t, &mailbox{}) })
	}
}

// FuzzQueueCalls gives the calls any request and any room: each answers, or traps with a reason, and what reaches the
// queues has been checked.
func FuzzQueueCalls(f *testing.F) {
	names := []string{abi.ImportQueueSend, abi.ImportTopicPublish, abi.ImportQueueReceive, abi.ImportQueueSettle, abi.ImportQueueStats}
	for i, name := range names {
		f.Add(uint8(i), queueRequests()[name], uint32(100))
	}
	f.Fuzz(func(t *testing.T, which uint8, request []byte, room uint32) {
		if len(request) > answerAt {
			return
		}
		name, m := names[int(which)%len(names)], &mailbox{received: []op.Message{{Body: []byte("b")}}}
		a := queueAsker(t, m)
		a.fuzz(name, request, room)
		switch {
		case a.call.StoreFault != nil:
			t.Fatalf("%s(%x): the node's fault: %v", name, request, a.call.StoreFault)
		case strings.Count(m.asked, "/") > 0:
			t.Fatalf("%s(%x) reaches an inner queue: %s", name, request, m.asked)
		}
		for _, s := range m.sent {
			if err := s.Validate(); err != nil {
				t.Fatalf("%s(%x) sends what is no message: %v", name, request, err)
			}
		}
	})
}
