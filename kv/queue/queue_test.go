package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// bench is the queues of a store, with what tests do to them.
type bench struct {
	*queue.Queues
	t *testing.T
}

// inVirtualTime runs a test in a bubble, with a store in memory.
func inVirtualTime(t *testing.T, test func(t *testing.T, q bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, bench{openQueues(t, kv.Config{InMemory: true}), t})
	})
}

func (b bench) put(c registry.Queue) {
	b.t.Helper()
	c.FIFO = strings.HasSuffix(c.Name, ".fifo")
	if err := b.Put(b.t.Context(), "app", c); err != nil {
		b.t.Fatal(err)
	}
}

func (b bench) send(name string, bodies ...string) []op.Sent {
	b.t.Helper()
	var messages []op.Outgoing
	for _, body := range bodies {
		o := op.Outgoing{Body: []byte(body)}
		if strings.HasSuffix(name, ".fifo") {
			o.Group, _, _ = strings.Cut(body, ":")
		}
		messages = append(messages, o)
	}
	sent, err := b.Send(b.t.Context(), "app", name, messages...)
	if err != nil {
		b.t.Fatal(err)
	}
	return sent
}

func (b bench) receive(name string, r op.Receive) []op.Message {
	b.t.Helper()
	messages, err := b.Receive(b.t.Context(), "app", name, r)
	if err != nil {
		b.t.Fatal(err)
	}
	return messages
}

// sleep is a little longer: leader time grows by a nanosecond for each entry while no virtual time passes.
func sleep(d time.Duration) { time.Sleep(d + time.Millisecond) }

// want receives all there is and compares the bodies.
func (b bench) want(name, bodies string) []op.Message {
	b.t.Helper()
	got := b.receive(name, op.Receive{Max: 100})
	if text := bodiesOf(got); text != bodies {
		b.t.Errorf("receive from %s = %q, want %q", name, text, bodies)
	}
	return got
}

func bodiesOf(messages []op.Message) string {
	var all []string
	for _, m := range messages {
		all = append(all, string(m.Body))
	}
	return strings.Join(all, " ")
}

func receiptsOf(messages []op.Message) (receipts []string) {
	for _, m := range messages {
		receipts = append(receipts, m.Receipt)
	}
	return receipts
}

func TestMessage(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, q bench) {
		q.put(registry.Queue{Name: "q"})
		out := op.Outgoing{Body: []byte("body"), Group: "g", Attributes: []op.Attribute{
			{Name: "n", Type: "Number", Value: []byte("1")}, {Name: "b", Type: "Binary.png", Value: []byte{0, 1}}}}
		before := time.Now()
		sent, err := q.Send(t.Context(), "app", "q", out)
		if err != nil || len(sent) != 1 || len(sent[0].ID) != 26 || sent[0].Sequence != 1 || sent[0].Duplicate {
			t.Fatalf("Send = %+v, %v", sent, err)
		}
		sleep(time.Second)
		first := q.receive("q", op.Receive{Visibility: time.Minute})[0]
		if first.ID != sent[0].ID || string(first.Body) != "body" || first.Group != "g" || first.Receives != 1 || first.Sequence != 1 ||
			first.Sent.Sub(before).Abs() > time.Millisecond || first.First.Sub(before.Add(time.Second)).Abs() > 2*time.Millisecond ||
			!first.Visible.Equal(first.First.Add(time.Minute)) || fmt.Sprint(first.Attributes) != fmt.Sprint(out.Attributes) {
			t.Errorf("Receive = %+v", first)
		}
		sleep(time.Minute)
		second := q.receive("q", op.Receive{})[0]
		if second.Receives != 2 || !second.First.Equal(first.First) || second.Receipt == first.Receipt {
			t.Errorf("Receive = %+v, before %+v", second, first)
		}
		held, err := q.Delete(t.Context(), "app", "q", first.Receipt, second.Receipt)
		if err != nil || fmt.Sprint(held) != "[false true]" {
			t.Errorf("Delete = %v, %v", held, err)
		}
	})
}

// TestHourOfAQueue has a message delayed, received, released, dead after its receives, driven back, and aged.
func TestHourOfAQueue(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, q bench) {
		q.put(registry.Queue{Name: "dead", RetentionSeconds: 7200})
		q.put(registry.Queue{Name: "q", DelaySeconds: 10, VisibilitySeconds: 20, RetentionSeconds: 3600, DeadLetter: "dead", MaxReceives: 2})
		q.send("q", "a", "b")
		q.want("q", "")
		sleep(10 * time.Second)
		got := q.want("q", "a b")
		done, err := q.Settle(t.Context(), "app", "q", op.Settlement{Delete: receiptsOf(got[:1]),
			Release: []op.Release{{Receipt: got[1].Receipt, Delay: 5 * time.Second}}})
		if err != nil || !done.Delete[0] || !done.Release[0] {
			t.Errorf("Settle = %+v, %v", done, err)
		}
		sleep(4 * time.Second)
		q.want("q", "")
		sleep(time.Second)
		q.want("q", "b")
		sleep(20 * time.Second)
		q.want("q", "")
		if dead := q.want("dead", "b"); dead[0].Source != "q" || !dead[0].Sent.Equal(got[1].Sent) || dead[0].ID != got[1].ID {
			t.Errorf("the dead letter is %+v", dead[0])
		}
		sleep(time.Minute)
		if moved, err := q.Redrive(t.Context(), "app", "dead", op.Redrive{}); err != nil || moved != 1 {
			t.Errorf("Redrive = %d, %v, want 1", moved, err)
		}
		stats, err := q.Stats(t.Context(), "app", "q")
		if err != nil || stats.Visible != 1 || time.Since(stats.Oldest) > time.Millisecond {
			t.Errorf("Stats = %+v, %v", stats, err)
		}
		sleep(time.Hour + 2*time.Second)
		if stats, err := q.Stats(t.Context(), "app", "q"); err != nil || stats.Messages != 0 || !stats.Oldest.IsZero() {
			t.Errorf("Stats after its retention = %+v, %v", stats, err)
		}
	})
}

func TestRedriveInParts(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, q bench) {
		q.put(registry.Queue{Name: "dead"})
		q.put(registry.Queue{Name: "q"})
		for range 3 {
			q.send("dead", slices.Repeat([]string{strings.Repeat("x", 2000)}, 1000)...)
		}
		for _, c := range []struct {
			most int
			want int64
		}{{5, 5}, {1200, 1200}, {0, 1795}} {
			if moved, err := q.Redrive(t.Context(), "app", "dead", op.Redrive{To: "q", Max: c.most}); err != nil || moved != c.want {
				t.Errorf("Redrive of at most %d = %d, %v, want %d", c.most, moved, err, c.want)
			}
		}
		if _, err := q.Redrive(t.Context(), "app", "q", op.Redrive{}); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("Redrive to where messages came from = %v, want %s", err, abi.InvalidInput)
		}
	})
}

func TestFIFO(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, q bench) {
		q.put(registry.Queue{Name: "q.fifo", ContentDedup: true})
		first := q.send("q.fifo", "a:1", "b:1", "a:2")
		if again := q.send("q.fifo", "a:1"); !again[0].Duplicate || again[0].ID != first[0].ID {
			t.Errorf("a duplicate is %+v, want that of %+v", again, first[0])
		}
		got := q.want("q.fifo", "a:1 a:2 b:1")
		q.send("q.fifo", "a:3", "c:1")
		q.want("q.fifo", "c:1")
		if _, err := q.Delete(t.Context(), "app", "q.fifo", receiptsOf(got)...); err != nil {
			t.Fatal(err)
		}
		q.want("q.fifo", "a:3")
		sleep(op.DedupWindow)
		if again := q.send("q.fifo", "a:1"); again[0].Duplicate {
			t.Errorf("after the window it is a duplicate: %+v", again)
		}
	})
}

func TestTopics(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, q bench) {
		ctx := t.Context()
		for _, name := range []string{"other", "orders"} {
			if err := q.PutTopic(ctx, "app", registry.Topic{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		q.put(registry.Queue{Name: "dead"})
		q.put(registry.Queue{Name: "plain"})
		for _, name := range []string{"mail", "sms"} {
			c := registry.Queue{Name: name, VisibilitySeconds: 1, DeadLetter: "dead", MaxReceives: 1}
			if err := q.Subscribe(ctx, "app", "orders", c); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := q.Publish(ctx, "app", "orders", op.Outgoing{Body: []byte("1")}, op.Outgoing{Body: []byte("2")}); err != nil {
			t.Fatal(err)
		}
		mail, sms := queue.SubscriptionQueue("orders", "mail"), queue.SubscriptionQueue("orders", "sms")
		got := q.want(queue.TopicQueue("orders"), "1 2")
		if err := q.Forward(ctx, "app", queue.TopicQueue("orders"), op.Forwarding{Message: got[0], To: []string{mail, sms, "plain", "gone"}},
			op.Forwarding{Message: got[1], To: []string{sms}}); err != nil {
			t.Fatal(err)
		}
		if a := q.want(mail, "1"); a[0].ID != got[0].ID {
			t.Errorf("the copy has id %s, want %s", a[0].ID, got[0].ID)
		}
		q.want(sms, "1 2")
		q.want("plain", "1")
		sleep(2 * time.Second)
		q.want(sms, "")
		q.want("dead", "1 2")
		topics, err := q.Topics(ctx, "app")
		if err != nil || fmt.Sprint(topics) != "[{orders} {other}]" {
			t.Errorf("Topics = %v, %v", topics, err)
		}
		if err := q.Unsubscribe(ctx, "app", "orders", "sms"); err != nil {
			t.Fatal(err)
		}
		if err := q.RemoveTopic(ctx, "app", "orders"); err != nil {
			t.Fatal(err)
		}
		left, _, err := q.List(ctx, "app", op.QueueQuery{Inner: true})
		if err != nil || len(left) != 1 || left[0].Name != "topic/other" {
			t.Errorf("List = %+v, %v, want the other topic", left, err)
		}
		for _, name := range []string{"a b", "a.fifo", "a/b"} {
			if err := q.PutTopic(ctx, "app", registry.Topic{Name: name}); abi.CodeOf(err) != abi.InvalidInput {
				t.Errorf("PutTopic(%q) = %v", name, err)
			}
		}
	})
}

// TestForwardMuch forwards more than one entry takes.
func TestForwardMuch(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, q bench) {
		q.put(registry.Queue{Name: "q"})
		var to []string
		for i := range 20 {
			to = append(to, fmt.Sprint("to", i))
			q.put(registry.Queue{Name: to[i]})
		}
		for _, size := range []int{op.MaxMessageBytes, 1, 10000} {
			q.send("q", slices.Repeat([]string{strings.Repeat("x", size)}, min(30, op.MaxTxnBytes/size))...)
		}
		var all []op.Forwarding
		for _, m := range q.receive("q", op.Receive{Max: 100}) {
			all = append(all, op.Forwarding{Message: m, To: to})
		}
		if err := q.Forward(t.Context(), "app", "q", all...); err != nil {
			t.Fatal(err)
		}
		for _, name := range append(to, "q") {
			want := int64(len(all))
			if name == "q" {
				want = 0
			}
			if s, err := q.Stats(t.Context(), "app", name); err != nil || s.Messages != want {
				t.Errorf("%s has %+v, %v, want %d messages", name, s, err, want)
			}
		}
		if len(all) != 8+30+30 {
			t.Errorf("%d messages were received", len(all))
		}
	})
}

func TestListAndErrors(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, q bench) {
		ctx := t.Context()
		c := registry.Queue{Name: "b", VisibilitySeconds: 7, DelaySeconds: 1, RetentionSeconds: 60, WaitSeconds: 3, MaxBytes: 1024, DeadLetter: "a", MaxReceives: 4}
		q.put(registry.Queue{Name: "a"})
		q.put(c)
		q.put(registry.Queue{Name: "c.fifo", ContentDedup: true})
		if info, err := q.Get(ctx, "app", "b"); err != nil || info.Queue != c || info.Created.IsZero() {
			t.Errorf("Get = %+v, %v, want %+v", info, err, c)
		}
		want := registry.Queue{Name: "a", VisibilitySeconds: 30, RetentionSeconds: 345600, MaxBytes: op.MaxMessageBytes}
		page, after, err := q.List(ctx, "app", op.QueueQuery{Limit: 2})
		if err != nil || len(page) != 2 || after != "b" || page[0].Queue != want {
			t.Errorf("List = %+v, %q, %v", page, after, err)
		}
		if page, after, err = q.List(ctx, "app", op.QueueQuery{After: after}); err != nil || len(page) != 1 || after != "" {
			t.Errorf("List = %+v, %q, %v", page, after, err)
		}
		q.send("a", "x", "y")
		if n, err := q.Purge(ctx, "app", "a"); err != nil || n != 2 {
			t.Errorf("Purge = %d, %v, want 2", n, err)
		}
		for what, c := range map[string]struct {
			err  error
			want abi.Code
		}{
			"send to none":      {second(q.Send(ctx, "app", "none", op.Outgoing{Body: []byte("x")})), abi.NotFound},
			"send nothing":      {second(q.Send(ctx, "app", "a")), abi.InvalidInput},
			"send too much":     {second(q.Send(ctx, "app", "b", op.Outgoing{Body: make([]byte, 1025)})), abi.TooLarge},
			"receive from none": {second(q.Receive(ctx, "app", "none", op.Receive{})), abi.NotFound},
			"receive too many":  {second(q.Receive(ctx, "app", "a", op.Receive{Max: op.MaxReceive + 1})), abi.InvalidInput},
			"receive fewer":     {second(q.Receive(ctx, "app", "a", op.Receive{Max: -1})), abi.InvalidInput},
			"wait too long":     {second(q.Receive(ctx, "app", "a", op.Receive{Wait: op.MaxWait + 1})), abi.InvalidInput},
			"no receipt":        {second(q.Delete(ctx, "app", "a", "x")), abi.InvalidInput},
			"remove none":       {q.Remove(ctx, "app", "none"), abi.NotFound},
			"name":              {q.Put(ctx, "app", registry.Queue{Name: "topic/a"}), abi.InvalidInput},
			"settings":          {q.Put(ctx, "app", registry.Queue{Name: "a", DelaySeconds: 901}), abi.InvalidInput},
			"app":               {q.Put(ctx, "App", registry.Queue{Name: "a"}), abi.InvalidInput},
			"get of an app":     {second(q.Get(ctx, "App", "a")), abi.InvalidInput},
			"get none":          {second(q.Get(ctx, "app", "none")), abi.NotFound},
		} {
			if abi.CodeOf(c.err) != c.want {
				t.Errorf("%s = %v with code %s, want %s", what, c.err, abi.CodeOf(c.err), c.want)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestHammer has many send, receive and settle at once: each message is handled, and none twice.
func TestHammer(t *testing.T) {
	q := bench{openQueues(t, kv.Config{Dir: t.TempDir()}), t}
	for _, name := range []string{"q", "q.fifo"} {
		q.put(registry.Queue{Name: name, VisibilitySeconds: 600, ContentDedup: strings.HasSuffix(name, ".fifo")})
		const senders, each = 4, 100
		var handled sync.Map
		var count atomic.Int64
		last := [senders]atomic.Int64{}
		ctx, done := context.WithCancel(t.Context())
		defer done()
		var wg sync.WaitGroup
		for i := range senders {
			wg.Go(func() {
				for n := range each {
					q.send(name, fmt.Sprintf("%d:%d", i, n+1))
				}
			})
			wg.Go(func() {
				for ctx.Err() == nil {
					got, err := q.Receive(ctx, "app", name, op.Receive{Max: 10, Wait: op.MaxWait})
					if err != nil {
						if ctx.Err() == nil { // else all is handled, and what was just asked for is given up
							t.Error(err)
						}
						return
					}
					for _, m := range got {
						if _, twice := handled.LoadOrStore(string(m.Body), true); twice {
							t.Errorf("%s comes twice", m.Body)
						}
						var sender, n int64
						fmt.Sscanf(string(m.Body), "%d:%d", &sender, &n)
						if before := last[sender].Swap(n); strings.HasSuffix(name, ".fifo") && before != n-1 {
							t.Errorf("%s comes after %d", m.Body, before)
						}
					}
					if len(got) == 0 {
						continue
					}
					if _, err := q.Delete(t.Context(), "app", name, receiptsOf(got)...); err != nil {
						t.Error(err)
					}
					if count.Add(int64(len(got))) == senders*each {
						done()
					}
				}
			})
		}
		wg.Wait()
		if s, err := q.Stats(t.Context(), "app", name); err != nil || s.Messages != 0 || count.Load() != senders*each {
			t.Errorf("%d handled, %+v left, %v", count.Load(), s, err)
		}
	}
}

// TestReopen has the store open again in the middle of all that queues do.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, kv.Config{Dir: dir})
	q := bench{queue.Open(s), t}
	q.put(registry.Queue{Name: "q", VisibilitySeconds: 600})
	q.put(registry.Queue{Name: "q.fifo", ContentDedup: true, VisibilitySeconds: 600})
	q.send("q", "a", "b", "c")
	q.send("q.fifo", "g:1", "g:2")
	taken := q.receive("q", op.Receive{Max: 2})
	grouped := q.receive("q.fifo", op.Receive{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	q.Queues = openQueues(t, kv.Config{Dir: dir})
	q.want("q", "c")
	q.want("q.fifo", "")
	held, err := q.Release(t.Context(), "app", "q", op.Release{Receipt: taken[0].Receipt}, op.Release{Receipt: taken[1].Receipt})
	if err != nil || !held[0] || !held[1] {
		t.Errorf("Release = %v, %v", held, err)
	}
	q.want("q", "a b")
	if held, err := q.Delete(t.Context(), "app", "q.fifo", receiptsOf(grouped)...); err != nil || !held[0] {
		t.Errorf("Delete = %v, %v", held, err)
	}
	if again := q.send("q.fifo", "g:1"); !again[0].Duplicate {
		t.Errorf("a duplicate of what was sent before is %+v", again)
	}
	q.want("q.fifo", "g:2")
}
