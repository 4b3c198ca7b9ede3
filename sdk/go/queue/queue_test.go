package queue_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/go/internal/host"
	"github.com/sett-run/sett/sdk/go/queue"
	"github.com/sett-run/sett/sdk/go/settest"
)

func TestSend(t *testing.T) {
	settest.Queues(t, "orders", "work.fifo")
	ctx := settest.Context(t)
	first, err := queue.Send(ctx, "orders", []byte("one"), queue.Text("kind", "new"))
	if err != nil || len(first) != 26 {
		t.Errorf("Send = %q, %v", first, err)
	}
	if _, err := queue.SendJSON(ctx, "orders", struct{ N int }{2}); err != nil {
		t.Errorf("SendJSON: %v", err)
	}
	sent, err := queue.SendAll(ctx, "orders", queue.Message{Body: []byte("three")}, queue.Message{Body: []byte("four"), Delay: time.Minute})
	if err != nil || len(sent) != 2 || sent[0].Sequence >= sent[1].Sequence {
		t.Errorf("SendAll = %+v, %v", sent, err)
	}
	var bodies []string
	for _, m := range settest.Messages(t, "orders") {
		bodies = append(bodies, string(m.Body))
	}
	if want := []string{"one", `{"N":2}`, "three", "four"}; !reflect.DeepEqual(bodies, want) {
		t.Errorf("sent %q, want %q", bodies, want)
	}
	if m := settest.Messages(t, "orders")[0]; m.ID != first || !reflect.DeepEqual(m.Attributes, []queue.Attribute{{Name: "kind", Type: "String", Value: []byte("new")}}) {
		t.Errorf("the first message = %+v", m)
	}
	for range 2 {
		sent, err = queue.SendAll(ctx, "work.fifo", queue.Message{Body: []byte("b"), Group: "g", Dedup: "d"})
	}
	if err != nil || !sent[0].Duplicate || len(settest.Messages(t, "work.fifo")) != 1 {
		t.Errorf("a second message of a deduplication id = %+v, %v", sent, err)
	}
	synctest.Test(t, func(t *testing.T) {
		settest.Queues(t, "q.fifo")
		m := queue.Message{Body: []byte("b"), Group: "g"}
		for i, wait := range []time.Duration{0, op.DedupWindow - 1, 1} {
			time.Sleep(wait)
			if sent, err := queue.SendAll(settest.Context(t), "q.fifo", m); err != nil || sent[0].Duplicate != (i == 1) {
				t.Errorf("%d: the same content = %+v, %v", i, sent, err)
			}
		}
	})
}

func TestReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settest.Queues(t, "orders")
		ctx := settest.Context(t)
		queue.SendAll(ctx, "orders", queue.Message{Body: []byte("a")}, queue.Message{Body: []byte("b")}, queue.Message{Body: []byte("c"), Delay: time.Minute})
		receive := func(o queue.Options, want string) []queue.Received {
			t.Helper()
			received, err := queue.Receive(ctx, "orders", o)
			got := ""
			for _, m := range received {
				got += string(m.Body)
			}
			if err != nil || got != want {
				t.Errorf("Receive(%+v) = %q, %v, want %q", o, got, err, want)
			}
			return received
		}
		first := receive(queue.Options{}, "a")
		receive(queue.Options{Max: 10, Visibility: time.Hour, Wait: queue.MaxWait}, "b")
		receive(queue.Options{Max: 10}, "")
		if s, err := queue.Count(ctx, "orders"); err != nil || s.Messages != 3 || s.InFlight != 2 || s.Delayed != 1 || s.Bytes != 3 {
			t.Errorf("Count = %+v, %v", s, err)
		}
		time.Sleep(op.DefaultVisibility)
		again := receive(queue.Options{Max: 10}, "a")
		if again[0].Receives != 2 || again[0].First != first[0].First {
			t.Errorf("received again: %+v", again[0])
		}
		if err := queue.Delete(ctx, "orders", first[0].Receipt); !errors.Is(err, queue.ErrReceipt) {
			t.Errorf("Delete of an old receipt: %v, want %v", err, queue.ErrReceipt)
		}
		if err := queue.Release(ctx, "orders", time.Second, again[0].Receipt); err != nil {
			t.Errorf("Release: %v", err)
		}
		receive(queue.Options{}, "")
		time.Sleep(time.Second)
		again = receive(queue.Options{}, "a")
		if err := queue.Delete(ctx, "orders", again[0].Receipt); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if err := queue.Release(ctx, "orders", 0, again[0].Receipt); !errors.Is(err, queue.ErrReceipt) {
			t.Errorf("Release of what was deleted: %v, want %v", err, queue.ErrReceipt)
		}
		time.Sleep(time.Minute)
		last := receive(queue.Options{}, "c")
		settled, err := queue.Settle(ctx, "orders", queue.Settlement{Delete: []string{again[0].Receipt, last[0].Receipt}})
		if err != nil || !reflect.DeepEqual(settled.Delete, []bool{false, true}) {
			t.Errorf("Settle = %+v, %v", settled, err)
		}
	})
}

// TestGroups: of a group that is in flight, nothing else is received.
func TestGroups(t *testing.T) {
	settest.Queues(t, "q.fifo")
	ctx := settest.Context(t)
	for _, body := range []string{"a1", "a2", "b1"} {
		queue.SendAll(ctx, "q.fifo", queue.Message{Body: []byte(body), Group: body[:1]})
	}
	for _, want := range []string{"a1", "b1"} {
		received, err := queue.Receive(ctx, "q.fifo", queue.Options{})
		if err != nil || len(received) != 1 || string(received[0].Body) != want {
			t.Errorf("Receive = %+v, %v, want %s", received, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	if _, err := queue.Send(settest.Context(t), "orders", []byte("b")); !errors.Is(err, queue.ErrUnsupported) {
		t.Errorf("without queues: %v, want %v", err, queue.ErrUnsupported)
	}
	settest.Queues(t, "orders", "q.fifo")
	ctx := settest.Context(t)
	over, cancel := context.WithCancel(ctx)
	cancel()
	send := func(ctx context.Context, name string, m queue.Message) error {
		_, err := queue.SendAll(ctx, name, m)
		return err
	}
	_, none := queue.Receive(ctx, "none", queue.Options{})
	_, count := queue.Count(ctx, "none")
	_, wait := queue.Receive(ctx, "orders", queue.Options{Wait: queue.MaxWait + 1})
	_, visibility := queue.Receive(ctx, "orders", queue.Options{Visibility: queue.MaxVisibility + 1})
	_, most := queue.Receive(ctx, "orders", queue.Options{Max: queue.MaxReceive + 1})
	_, json := queue.SendJSON(ctx, "orders", func() {})
	_, all := queue.SendAll(ctx, "orders", make([]queue.Message, queue.MaxSend+1)...)
	for _, tt := range []struct {
		name string
		err  error
		want error
		say  string
	}{
		{"no queue", send(ctx, "none", queue.Message{Body: []byte("b")}), queue.ErrNotFound, "queue none: send: queue none: queue not found"},
		{"no queue", none, queue.ErrNotFound, "queue none: receive: "},
		{"no queue", count, queue.ErrNotFound, "queue none: count: "},
		{"no queue", queue.Delete(ctx, "none", "r"), queue.ErrNotFound, "queue none: delete: "},
		{"empty", send(ctx, "orders", queue.Message{}), queue.ErrInvalid, "empty"},
		{"long", send(ctx, "orders", queue.Message{Body: make([]byte, queue.MaxMessageBytes+1)}), queue.ErrTooLarge, "262144"},
		{"id", send(ctx, "orders", queue.Message{Body: []byte("b"), Dedup: "d"}), queue.ErrInvalid, "deduplication id"},
		{"delay", send(ctx, "q.fifo", queue.Message{Body: []byte("b"), Group: "g", Delay: 1}), queue.ErrInvalid, "delay"},
		{"no group", send(ctx, "q.fifo", queue.Message{Body: []byte("b")}), queue.ErrInvalid, "group"},
		{"many", all, queue.ErrTooLarge, "1000"},
		{"long wait", wait, queue.ErrInvalid, "wait 20.000000001s"},
		{"long visibility", visibility, queue.ErrInvalid, "visibility"},
		{"many", most, queue.ErrInvalid, "10000"},
		{"receipt", queue.Delete(ctx, "orders", "x"), queue.ErrInvalid, `receipt "x"`},
		{"receipt", queue.Release(ctx, "orders", 0, "x"), queue.ErrInvalid, `receipt "x"`},
		{"canceled", send(over, "orders", queue.Message{Body: []byte("b")}), context.Canceled, "canceled"},
	} {
		if !errors.Is(tt.err, tt.want) || !strings.Contains(tt.err.Error(), tt.say) {
			t.Errorf("%s: %v, want %v and %q", tt.name, tt.err, tt.want, tt.say)
		}
	}
	if json == nil || !strings.HasPrefix(json.Error(), "queue orders: encode message: ") {
		t.Errorf("SendJSON of a func: %v", json)
	}
}

// nothing answers nothing, as a host of another version might.
type nothing struct{ host.Queues }

func (nothing) Send(context.Context, string, []op.Outgoing) ([]op.Sent, error) { return nil, nil }

func TestNoAnswer(t *testing.T) {
	ctx := host.WithWorld(t.Context(), host.World{Queues: nothing{}})
	if id, err := queue.Send(ctx, "q", []byte("b")); id != "" || err != nil {
		t.Errorf("Send = %q, %v", id, err)
	}
}
