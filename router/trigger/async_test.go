package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// asyncHouse is an app with one function, work, whose asynchronous invocations wait in a queue.
type asyncHouse struct {
	*house
	queue *fakeQueue
}

func newAsyncHouse(t *testing.T, a *registry.Async) *asyncHouse {
	h := &asyncHouse{newHouse(t), newFakeQueue()}
	deploy(t, h.reg, "work", registry.Settings{Async: a})
	return h
}

func (h *asyncHouse) async() *Async {
	return NewAsync(AsyncConfig{App: "shop", Queue: h.queue, Delivery: newDelivery(h.t, h.door, h.reg, h.mail)})
}

func (h *asyncHouse) submit(a *Async, payload string) string {
	h.t.Helper()
	id, err := a.Submit(h.t.Context(), Invocation{Function: "work", Payload: []byte(payload)})
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// both are settings with two destinations.
var both = &registry.Async{OnSuccess: "topic:done", OnFailure: "queue:dead"}

func TestAsyncSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAsyncHouse(t, both)
		a := h.async()
		h.door.answer = func(context.Context, call) (*abi.Result, error) {
			return &abi.Result{Reply: abi.Reply{Body: []byte(`{"ok":true}`)}}, nil
		}
		id := h.submit(a, `{"n":1}`) // before it runs
		defer startRunner(t, a)()
		sleep(time.Second)
		calls := h.door.seen()
		if len(calls) != 1 || calls[0].Invocation != id || calls[0].Trigger != abi.TriggerAsync || string(calls[0].Body) != `{"n":1}` || len(h.queue.left()) != 0 {
			t.Fatalf("calls %+v, left %v", calls, h.queue.left())
		}
		want := fmt.Sprintf(`{"version":"1.0","timestamp":"2000-01-01T00:00:00.000Z","requestContext":{"requestId":%q,
			"functionArn":"arn:aws:lambda:local:000000000000:function:work:$LATEST","condition":"Success","approximateInvokeCount":1},
			"requestPayload":{"n":1},"responseContext":{"statusCode":200,"executedVersion":"7"},"responsePayload":{"ok":true}}`, id)
		if len(h.mail.parcels) != 1 || h.mail.parcels[0].Destination != "topic:done" || !sameJSON(t, h.mail.parcels[0].Body, []byte(want)) {
			t.Errorf("parcels %s, want %s", h.mail.parcels[0].Body, want)
		}
	})
}

// TestAsyncFull has an app whose quota is full: its invocations may not grow, and are tried as often as others all the same.
func TestAsyncFull(t *testing.T) {
	busy := func(context.Context, call) (*abi.Result, error) {
		return nil, abi.WithCode(abi.TooManyRequests, errors.New("busy"))
	}
	for name, c := range map[string]struct {
		answer func(context.Context, call) (*abi.Result, error)
		calls  int // at most
		left   int
	}{"fails": {fails, 3, 0}, "busy": {busy, 30, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newAsyncHouse(t, both)
				a := h.async()
				h.door.answer, h.queue.full = c.answer, true
				defer startRunner(t, a)()
				h.submit(a, "no json")
				sleep(time.Hour)
				if n := len(h.door.seen()); n > c.calls || len(h.queue.left()) != c.left || len(h.mail.parcels) != 1-c.left {
					t.Errorf("%d calls, %v left, %d parcels", n, h.queue.left(), len(h.mail.parcels))
				}
			})
		})
	}
}

func TestAsyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAsyncHouse(t, both)
		a := h.async()
		h.door.answer = fails
		h.mail.errs = []error{errFake, errFake}
		defer startRunner(t, a)()
		id := h.submit(a, "no json")
		sleep(time.Hour)
		calls := h.door.seen()
		if len(calls) != 3 || len(h.queue.left()) != 0 {
			t.Fatalf("%d calls, %v left", len(calls), h.queue.left())
		}
		for i, c := range calls {
			if c.Attempt != i+1 || c.Invocation != id {
				t.Errorf("call %d is attempt %d of %s", i+1, c.Attempt, c.Invocation)
			}
			if i > 0 {
				gap, want := c.time.Sub(calls[i-1].time), time.Duration(i)*time.Minute
				if gap < want || gap > want+want/10 {
					t.Errorf("attempt %d comes after %v, want %v", i+1, gap, want)
				}
			}
		}
		var r outcomeRecord
		if len(h.mail.parcels) != 1 || json.Unmarshal(h.mail.parcels[0].Body, &r) != nil {
			t.Fatalf("parcels %+v", h.mail.parcels)
		}
		if c := r.RequestContext; c.Condition != ConditionRetries || c.ApproximateInvokeCount != 3 || string(r.RequestPayload) != `"no json"` ||
			r.ResponseContext.FunctionError != "Unhandled" || !strings.Contains(string(r.ResponsePayload), `"errorMessage":"broken"`) {
			t.Errorf("record %s", h.mail.parcels[0].Body)
		}
	})
}

// TestAsyncBusy has a function that is busy for an hour: no attempt is counted, by no node.
func TestAsyncBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAsyncHouse(t, both)
		free := time.Now().Add(time.Hour)
		h.door.answer = func(context.Context, call) (*abi.Result, error) {
			if time.Now().Before(free) {
				return nil, abi.WithCode(abi.TooManyRequests, errors.New("busy"))
			}
			return new(abi.Result), nil
		}
		for range 2 {
			defer startRunner(t, h.async())()
		}
		h.submit(h.async(), "1")
		sleep(2 * time.Hour)
		calls := h.door.seen()
		if last := calls[len(calls)-1]; last.Attempt != 1 || len(calls) > 25 || len(h.mail.parcels) != 1 || h.mail.parcels[0].Destination != "topic:done" {
			t.Errorf("%d calls, the last attempt %d, parcels %+v", len(calls), last.Attempt, h.mail.parcels)
		}
	})
}

func TestAsyncAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAsyncHouse(t, &registry.Async{MaxAgeSeconds: 60, OnFailure: "queue:dead"})
		a := h.async()
		h.submit(a, "1")
		sleep(2 * time.Minute) // nobody runs
		defer startRunner(t, a)()
		sleep(time.Second)
		if n := len(h.door.seen()); n != 0 || len(h.mail.parcels) != 1 {
			t.Fatalf("%d calls, parcels %+v", n, h.mail.parcels)
		}
		if body := string(h.mail.parcels[0].Body); !strings.Contains(body, ConditionAge) || strings.Contains(body, "responseContext") {
			t.Errorf("record %s", body)
		}
		h.door.answer = fails
		h.submit(a, "2")
		sleep(time.Hour)
		if n := len(h.door.seen()); n != 1 || len(h.mail.parcels) != 2 || !strings.Contains(string(h.mail.parcels[1].Body), ConditionAge) {
			t.Errorf("%d calls, parcels %+v: the second attempt would be too late", n, h.mail.parcels)
		}
	})
}

func TestAsyncFunctionGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAsyncHouse(t, both)
		h.door.answer = func(context.Context, call) (*abi.Result, error) {
			return nil, abi.WithCode(abi.NotFound, errors.New("no such function"))
		}
		a := h.async()
		defer startRunner(t, a)()
		h.submit(a, "1")
		sleep(time.Hour)
		if n := len(h.door.seen()); n != 1 || len(h.mail.parcels) != 1 || !strings.Contains(string(h.mail.parcels[0].Body), ConditionGone) {
			t.Errorf("%d calls, parcels %+v", n, h.mail.parcels)
		}
	})
}

// TestAsyncStops ends a node during an attempt: it is none, and another node makes it at once.
func TestAsyncStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAsyncHouse(t, both)
		a := h.async()
		h.door.answer = func(ctx context.Context, _ call) (*abi.Result, error) {
			if !pause(ctx, time.Minute) {
				return nil, abi.WithCode(abi.Unavailable, ctx.Err())
			}
			return new(abi.Result), nil
		}
		h.submit(a, "1")
		stop := startRunner(t, a)
		sleep(time.Second)
		stop()
		defer startRunner(t, h.async())()
		sleep(2 * time.Minute)
		calls := h.door.seen()
		if len(calls) != 2 || calls[1].Attempt != 1 || calls[1].Invocation != calls[0].Invocation || len(h.queue.left()) != 0 {
			t.Errorf("calls %+v, left %v", calls, h.queue.left())
		}
	})
}

func TestAsyncSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAsyncHouse(t, nil)
		a := NewAsync(AsyncConfig{App: "shop", Queue: h.queue, Delivery: newDelivery(t, h.door, h.reg, nil), Slots: 2})
		h.door.answer = func(ctx context.Context, _ call) (*abi.Result, error) {
			pause(ctx, time.Minute)
			return new(abi.Result), nil
		}
		for range 6 {
			h.submit(a, "1")
		}
		defer startRunner(t, a)()
		for minute := range 3 {
			sleep(time.Second)
			if n := len(h.door.seen()); n != 2*minute+2 {
				t.Errorf("%d calls in minute %d", n, minute)
			}
			sleep(59 * time.Second)
		}
		if _, err := a.Submit(t.Context(), Invocation{Payload: make([]byte, MaxAsyncBytes+1)}); abi.CodeOf(err) != abi.TooLarge {
			t.Errorf("a payload over the limit: %v", err)
		}
		h.queue.put(op.Outgoing{Body: []byte("not ours")})
		sleep(time.Hour)
		if left := h.queue.left(); len(left) != 0 {
			t.Errorf("%v are left", left)
		}
	})
}

func TestRecordLimit(t *testing.T) {
	d := newDelivery(t, new(door), openRegistry(t, new(op.Memory)), nil)
	for _, c := range []struct{ request, reply string }{
		{`{"a":1}`, `"` + strings.Repeat("x", MaxRecordBytes) + `"`},
		{`"` + strings.Repeat("<", MaxAsyncBytes-2) + `"`, "{}"}, // six bytes each
		{strings.Repeat("\xff", MaxAsyncBytes), "{}"},
		{strings.Repeat("a", MaxAsyncBytes), ""},
	} {
		o := Outcome{Verdict: Succeeded, Version: 1, Condition: ConditionSuccess, Result: &abi.Result{Reply: abi.Reply{Body: []byte(c.reply)}}}
		b, err := d.encodeRecord(&Invocation{Function: "f", Payload: []byte(c.request)}, o)
		if err != nil || len(b) > MaxRecordBytes || !json.Valid(b) {
			t.Errorf("record of %.20s has %d bytes, %v", c.request, len(b), err)
		}
	}
}

func TestDestinationLoop(t *testing.T) {
	b := new(mailbox)
	d := newDelivery(t, new(door), openRegistry(t, new(op.Memory)), b)
	a := &registry.Async{OnSuccess: "function:f"}
	o := Outcome{Verdict: Succeeded, Condition: ConditionSuccess, Result: new(abi.Result)}
	for depth := range abi.MaxDepth + 2 {
		if !d.sendRecord(t.Context(), &Invocation{Function: "f", Depth: depth}, o, a) {
			t.Errorf("depth %d is tried again", depth)
		}
	}
	if len(b.parcels) != abi.MaxDepth || b.parcels[abi.MaxDepth-1].Depth != abi.MaxDepth {
		t.Errorf("%d parcels, want %d", len(b.parcels), abi.MaxDepth)
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 20 * time.Second, 1 << 40: 20 * time.Second} {
		if got := backoff(n, time.Second, 20*time.Second); got < want || got > want+want/10 {
			t.Errorf("backoff %d = %v, want %v", n, got, want)
		}
	}
	if got := backoff(3, 0, 0); got != 0 {
		t.Errorf("no backoff = %v", got)
	}
	two := 0
	if p := AsyncPolicy(&registry.Async{Retries: &two, MaxAgeSeconds: 60}); p.Attempts != 1 || p.MaxAge != time.Minute {
		t.Errorf("AsyncPolicy = %+v", p)
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		result abi.Reply
		err    error
		want   kind
	}{
		{abi.Reply{}, nil, fine},
		{abi.Reply{Status: 204}, nil, fine},
		{abi.Reply{Status: 301}, nil, failed},
		{abi.Reply{Status: 500}, nil, failed},
		{abi.Reply{Error: "x"}, nil, failed},
		{abi.Reply{}, abi.WithCode(abi.FunctionFailed, errFake), failed},
		{abi.Reply{}, abi.WithCode(abi.Timeout, errFake), failed},
		{abi.Reply{}, abi.WithCode(abi.TooManyRequests, errFake), refused},
		{abi.Reply{}, abi.WithCode(abi.Unavailable, errFake), refused},
		{abi.Reply{}, errFake, refused},
		{abi.Reply{}, abi.WithCode(abi.NotFound, errFake), gone},
	} {
		if got := classify(failure(&abi.Result{Reply: c.result}, c.err)); got != c.want {
			t.Errorf("%+v, %v is %d, want %d", c.result, c.err, got, c.want)
		}
	}
}
