package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// fakeTopic is a TopicQueue that notes what goes where.
type fakeTopic struct {
	*fakeQueue
	to   []string // "body>queue"
	fail int      // forwards that fail first
	full string   // queue that has no room
}

func (f *fakeTopic) Forward(ctx context.Context, forwardings ...op.Forwarding) error {
	if f.fail > 0 {
		f.fail--
		return errFake
	}
	var s op.Settlement
	for _, w := range forwardings {
		if slices.Contains(w.To, f.full) {
			return abi.WithCode(abi.NoSpace, errFake)
		}
		for _, to := range w.To {
			f.to = append(f.to, string(w.Message.Body)+">"+to)
		}
		s.Delete = append(s.Delete, w.Message.Receipt)
	}
	return f.Settle(ctx, s)
}

func TestForwarder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		subscriber := func(queue, filter string) Subscriber {
			s, err := NewSubscriber(queue, registry.TopicSource{Topic: "orders", Filter: json.RawMessage(filter)})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		q := &fakeTopic{fakeQueue: newFakeQueue("all"), fail: 2}
		q.put(op.Outgoing{Body: []byte("gift"), Attributes: []op.Attribute{{Name: "kind", Type: "String", Value: []byte("gift")}}})
		asked := 0
		f := &Forwarder{Topic: "orders", Queue: q, Delivery: newDelivery(t, new(door), openRegistry(t, new(op.Memory)), nil),
			Subscribers: func(context.Context) ([]Subscriber, error) {
				if asked++; asked == 1 {
					return nil, errors.New("the store is away")
				}
				return []Subscriber{subscriber("mail", ""), subscriber("gifts", `{"kind":["gift"]}`)}, nil
			}}
		defer startRunner(t, f)()
		sleep(time.Minute)
		if got := strings.Join(q.to, " "); got != "all>mail gift>mail gift>gifts" || len(q.left()) != 0 {
			t.Errorf("forwarded %q, %v are left", got, q.left())
		}
		asked = 5
		sleep(10 * time.Minute)
		if asked != 5 {
			t.Errorf("subscribers were looked up %d times though nothing was published", asked-5)
		}
	})
}

// fakePoster is a URL.
type fakePoster struct {
	mu       sync.Mutex
	bodies   []string
	attempts []string
	answer   func() (int, error)
}

func (p *fakePoster) Post(_ context.Context, app, url string, header []abi.Field, body []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bodies = append(p.bodies, app+" "+url+" "+string(body))
	for _, h := range header {
		if h.Name == "Sett-Attempt" {
			p.attempts = append(p.attempts, h.Value)
		}
	}
	return p.answer()
}

func TestURLWorker(t *testing.T) {
	subscription := registry.Subscription{Topic: "orders", Name: "hook", To: "https://api.example.com/hook", DeadLetter: "dead"}
	for name, c := range map[string]struct {
		answer   func() (int, error)
		attempts int
		dead     int
	}{
		"fine":    {func() (int, error) { return 204, nil }, 1, 0},
		"refused": {func() (int, error) { return 302, nil }, URLAttempts, 1},
		"away":    {func() (int, error) { return 0, abi.WithCode(abi.Unavailable, errFake) }, URLAttempts, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, p, b := newFakeQueue("hello"), &fakePoster{answer: c.answer}, new(mailbox)
				d := newDelivery(t, new(door), openRegistry(t, new(op.Memory)), b)
				defer startRunner(t, NewURLWorker(WorkerConfig{App: "shop", Source: q, Delivery: d}, subscription, p))()
				sleep(2 * time.Hour)
				if len(p.bodies) != c.attempts || len(b.parcels) != c.dead || len(q.left()) != 0 {
					t.Fatalf("%d posts, %d dead letters, left %v", len(p.bodies), len(b.parcels), q.left())
				}
				if want := fmt.Sprint(c.attempts); p.attempts[len(p.attempts)-1] != want {
					t.Errorf("the last attempt calls itself %s, want %s", p.attempts[len(p.attempts)-1], want)
				}
				var got map[string]any
				rest, _ := strings.CutPrefix(p.bodies[0], "shop https://api.example.com/hook ")
				if err := json.Unmarshal([]byte(rest), &got); err != nil || got["Message"] != "hello" || got["Type"] != "Notification" ||
					got["TopicArn"] != "arn:aws:sns:local:000000000000:orders" || got["MessageId"] == "" {
					t.Errorf("posted %s, %v", p.bodies[0], err)
				}
			})
		})
	}
}
