package host_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// bus is host.Events that remembers.
type bus struct {
	app string
	put []registry.BusEvent
	err error
}

func (b *bus) PutEvents(_ context.Context, app string, events ...registry.BusEvent) (ids []string, err error) {
	b.app, b.put = app, events
	for range events {
		ids = append(ids, "01E")
	}
	return ids, b.err
}

func (b *bus) Putting(context.Context, string, ...registry.BusEvent) (op.Sending, []string, error) {
	return op.Sending{}, nil, b.err
}

func TestEventPut(t *testing.T) {
	b := &bus{}
	a := newAsker(t, nil)
	a.call.Events, a.call.MaxQueueCalls = b, 1000
	body := func(texts ...string) (all []op.Outgoing) {
		for _, s := range texts {
			all = append(all, op.Outgoing{Body: []byte(s)})
		}
		return all
	}
	n, answer, kept := a.ask(abi.ImportEventPut, sendTo("default", body(`{"source":"shop","detail_type":"placed","detail":{"a":1}}`, `{"source":"b","detail_type":"c","detail":{}}`)...), 200, 0)
	if n <= 0 {
		t.Fatalf("event_put = %d %q", n, kept)
	}
	sent, err := abi.DecodeQueueSent(answer)
	want := []registry.BusEvent{{Source: "shop", DetailType: "placed", Detail: []byte(`{"a":1}`)}, {Source: "b", DetailType: "c", Detail: []byte(`{}`)}}
	if err != nil || !reflect.DeepEqual(sent, []op.Sent{{ID: "01E"}, {ID: "01E"}}) || b.app != "shop" || !reflect.DeepEqual(b.put, want) {
		t.Errorf("event_put = %+v, %v, the bus of %s has %+v", sent, err, b.app, b.put)
	}
	for _, c := range []struct {
		to    string
		body  []op.Outgoing
		fail  error
		want  error
		wants string
	}{
		{"other", body(`{}`), nil, op.ErrInvalid, `event bus "other"`},
		{"default", nil, nil, op.ErrInvalid, "no messages"},
		{"default", body(`x`), nil, op.ErrInvalid, "event 1 of 1"},
		{"default", body(`{"source":"a"} 5`), nil, op.ErrInvalid, "something follows it"},
		{"default", body(`{"typo":"a"}`), nil, op.ErrInvalid, "typo"},
		{"default", body(`{"source":"sett.x","detail_type":"y","detail":{}}`), nil, op.ErrInvalid, "is the platform's"},
		{"default", body(`{"source":"a","detail_type":"y","detail":{}}`), abi.WithCode(abi.NoSpace, errors.New("full")), op.ErrQuota, "full"},
	} {
		b.err = c.fail
		n, _, kept := a.ask(abi.ImportEventPut, sendTo(c.to, c.body...), 200, 0)
		if n >= 0 || !errors.Is(abi.QueueError(-n), c.want) || !strings.Contains(string(kept), c.wants) {
			t.Errorf("event_put to %s of %s = %d %q, want %v with %q", c.to, c.body, n, kept, c.want, c.wants)
		}
	}
	a.call.MaxQueueCalls = 8 // as many as were made
	if n, _, _ := a.ask(abi.ImportEventPut, sendTo("default", body(`{}`)...), 200, 0); !errors.Is(abi.QueueError(-n), abi.ErrQueueCalls) {
		t.Errorf("event_put over the limit = %d, want %v", n, abi.ErrQueueCalls)
	}
	none := newAsker(t, nil)
	if n, _, _ := none.ask(abi.ImportEventPut, nil, 0, 0); !errors.Is(abi.QueueError(-n), abi.ErrNoQueues) {
		t.Errorf("event_put where there is no bus = %d, want %v", n, abi.ErrNoQueues)
	}
}
