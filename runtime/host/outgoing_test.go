package host_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/sdk/abi"
)

// outside is the world of a guest, whose answers a test gives.
type outside struct {
	reply  abi.Reply
	result *abi.Result
	err    error
	wait   bool // until the context ends

	by      host.Caller
	fetched *abi.FetchRequest
	invoked *host.Invocation
	queued  *host.Invocation
}

func (o *outside) answer(ctx context.Context) error {
	if o.wait {
		<-ctx.Done()
		return fmt.Errorf("wait: %w", ctx.Err())
	}
	return o.err
}

func (o *outside) Fetch(ctx context.Context, by host.Caller, r *abi.FetchRequest) (*abi.Reply, error) {
	o.by, o.fetched = by, r
	return &o.reply, o.answer(ctx)
}

func (o *outside) Invoke(ctx context.Context, i host.Invocation) (*abi.Result, error) {
	o.invoked = &i
	return o.result, o.answer(ctx)
}

func (o *outside) Enqueue(ctx context.Context, i host.Invocation) (string, error) {
	o.queued = &i
	return "01ID", o.answer(ctx)
}

func outgoing(t *testing.T, o *outside) *asker {
	a := newAsker(t, nil)
	a.call.Fetcher, a.call.Invoker, a.call.MaxOutgoing, a.call.Egress = o, o, 1000, []string{"b.org"}
	return a
}

func fetchOf(r abi.FetchRequest) []byte   { return abi.AppendFetch(nil, &r) }
func invokeOf(r abi.InvokeRequest) []byte { return abi.AppendInvoke(nil, &r) }

func (a *asker) reply(name string, request []byte) abi.Reply {
	a.t.Helper()
	n, answer, kept := a.ask(name, request, 1024, 0)
	var r abi.Reply
	if err := abi.DecodeReply(answer, &r); err != nil || n <= 0 {
		a.t.Fatalf("%s = %d %q, %v", name, n, kept, err)
	}
	return r
}

func TestFetchCall(t *testing.T) {
	o := &outside{reply: abi.Reply{Status: 404, Headers: []abi.Field{{Name: "X", Value: "1"}}, Body: []byte("none")}}
	a := outgoing(t, o)
	r := abi.FetchRequest{Method: "POST", URL: "http://b.org/", Headers: []abi.Field{{Name: "A", Value: "b"}}, Body: []byte("body")}
	if got := a.reply(abi.ImportFetch, fetchOf(r)); !reflect.DeepEqual(got, o.reply) {
		t.Errorf("reply = %+v, want %+v", got, o.reply)
	}
	a.mod.Memory().Write(requestAt, make([]byte, 1000)) // the guest goes on while the request may still be sent
	if !reflect.DeepEqual(*o.fetched, r) || !reflect.DeepEqual(o.by, host.Caller{App: "shop", Egress: []string{"b.org"}}) {
		t.Errorf("fetched %+v for %+v, want %+v", o.fetched, o.by, r)
	}
	o.reply.Body = []byte(strings.Repeat("x", 2000))
	n, _, kept := a.ask(abi.ImportFetch, fetchOf(r), 100, 0)
	var got abi.Reply
	if err := abi.DecodeReply(kept, &got); err != nil || int(n) != len(kept) || len(got.Body) != 2000 {
		t.Errorf("a reply without room = %d, %d bytes kept, %v", n, len(kept), err)
	}
}

func TestInvokeCall(t *testing.T) {
	o := &outside{result: &abi.Result{Reply: abi.Reply{Status: 201, Body: []byte("receipt")}}}
	a := outgoing(t, o)
	a.call.Depth = 3
	if got := a.reply(abi.ImportInvoke, invokeOf(abi.InvokeRequest{Function: "charge", Qualifier: "v4", Payload: []byte("order")})); !reflect.DeepEqual(got, o.result.Reply) {
		t.Errorf("reply = %+v, want %+v", got, o.result.Reply)
	}
	a.mod.Memory().Write(requestAt, make([]byte, 1000))
	want := host.Invocation{App: "shop", Function: "charge", Qualifier: "v4", Event: &abi.Event{Trigger: abi.TriggerInvoke, Depth: 4,
		Method: "POST", Scheme: "http", Proto: "HTTP/1.1", Host: "charge", Path: "/", Body: []byte("order")}}
	if !reflect.DeepEqual(*o.invoked, want) || o.queued != nil {
		t.Errorf("invoked %+v with %+v, want %+v", o.invoked, o.invoked.Event, want)
	}
	got := a.reply(abi.ImportInvoke, invokeOf(abi.InvokeRequest{Function: "mail", Async: true}))
	if got.Status != 202 || !reflect.DeepEqual(got.Headers, []abi.Field{{Name: "Sett-Invocation-Id", Value: "01ID"}}) {
		t.Errorf("asynchronous: %+v, want 202 and the id", got)
	}
	if o.queued == nil || o.queued.Function != "mail" || o.queued.Event.Depth != 4 {
		t.Errorf("queued %+v, want mail at depth 4", o.queued)
	}
}

// TestDepth ends a loop of functions.
func TestDepth(t *testing.T) {
	o := &outside{result: new(abi.Result)}
	depth := 0
	for ; ; depth++ {
		a := outgoing(t, o)
		a.call.Depth = depth
		n, _, kept := a.ask(abi.ImportInvoke, invokeOf(abi.InvokeRequest{Function: "loop"}), 100, 0)
		if n < 0 {
			if !errors.Is(abi.OutgoingError(-n), abi.ErrDepth) || !strings.Contains(string(kept), "invoke loop: functions invoke one another too deep: 16 at most") {
				t.Errorf("depth %d: %d %q, want %v", depth, n, kept, abi.ErrDepth)
			}
			break
		}
		if o.invoked.Event.Depth != depth+1 {
			t.Errorf("at depth %d another is invoked at depth %d", depth, o.invoked.Event.Depth)
		}
	}
	if depth != abi.MaxDepth {
		t.Errorf("the loop ends at depth %d, want %d", depth, abi.MaxDepth)
	}
}

func TestOutgoingErrors(t *testing.T) {
	coded := func(code abi.Code, say string) error { return abi.WithCode(code, errors.New(say)) }
	fetch, invoke := fetchOf(abi.FetchRequest{URL: "http://b.org"}), invokeOf(abi.InvokeRequest{Function: "f"})
	for _, tt := range []struct {
		name    string
		outside outside
		call    string
		request []byte
		want    error
		say     string
	}{
		{"malformed fetch", outside{}, abi.ImportFetch, []byte("\x0a\x05a"), abi.ErrBadRequest, "malformed message"},
		{"malformed invoke", outside{}, abi.ImportInvoke, []byte("\xff"), abi.ErrBadRequest, "malformed message"},
		{"long URL", outside{}, abi.ImportFetch, fetchOf(abi.FetchRequest{URL: strings.Repeat("u", abi.MaxURLBytes+1)}), abi.ErrOverLimit, "8192"},
		{"no function", outside{}, abi.ImportInvoke, nil, abi.ErrBadRequest, "no function is named"},
		{"denied", outside{err: fmt.Errorf("b.org: %w", abi.ErrDenied)}, abi.ImportFetch, fetch, abi.ErrDenied, "b.org: the function may not"},
		{"unknown function", outside{err: coded(abi.NotFound, "no function f")}, abi.ImportInvoke, invoke, abi.ErrNoFunction, "no function f"},
		{"busy", outside{err: coded(abi.TooManyRequests, "busy")}, abi.ImportInvoke, invoke, abi.ErrBusy, "busy"},
		{"unavailable", outside{err: coded(abi.Unavailable, "gone")}, abi.ImportInvoke, invoke, abi.ErrBusy, "gone"},
		{"trap", outside{err: coded(abi.FunctionFailed, "function failed")}, abi.ImportInvoke, invoke, abi.ErrFunctionFailed, "function failed"},
		{"its timeout", outside{err: coded(abi.Timeout, "timeout")}, abi.ImportInvoke, invoke, abi.ErrFunctionFailed, "timeout"},
		{"handler's error", outside{result: &abi.Result{Reply: abi.Reply{Error: "no stock"}}}, abi.ImportInvoke, invoke, abi.ErrFunctionFailed, "no stock"},
		{"handler's error and code", outside{result: &abi.Result{Reply: abi.Reply{Error: "no stock"}}, err: coded(abi.FunctionFailed, "x")},
			abi.ImportInvoke, invoke, abi.ErrFunctionFailed, "no stock"},
		{"no queue", outside{err: coded(abi.Unsupported, "no queue")}, abi.ImportInvoke, invokeOf(abi.InvokeRequest{Function: "f", Async: true}), abi.ErrNoOutgoing, "no queue"},
		{"queue refuses", outside{err: coded(abi.TooLarge, "too long")}, abi.ImportInvoke, invokeOf(abi.InvokeRequest{Function: "f", Async: true}), abi.ErrOverLimit, "too long"},
	} {
		a := outgoing(t, &tt.outside)
		n, _, kept := a.ask(tt.call, tt.request, 1024, 0)
		if n >= 0 || !errors.Is(abi.OutgoingError(-n), tt.want) || !strings.Contains(string(kept), tt.say) {
			t.Errorf("%s: %d %q, want %v and %q", tt.name, n, kept, tt.want, tt.say)
		}
		if a.call.Fault != nil {
			t.Errorf("%s: Fault = %v", tt.name, a.call.Fault)
		}
	}
	for _, err := range []error{errors.New("read /secret: broken"), coded(abi.Internal, "read /secret: broken")} {
		a := outgoing(t, &outside{err: err})
		n, _, kept := a.ask(abi.ImportInvoke, invoke, 1024, 0)
		if !errors.Is(abi.OutgoingError(-n), abi.ErrOutgoingFailed) || strings.Contains(string(kept), "secret") || !errors.Is(a.call.Fault, err) {
			t.Errorf("%v is told as %d %q, Fault %v", err, n, kept, a.call.Fault)
		}
	}
}

func TestOutgoingLimit(t *testing.T) {
	fetch, invoke := fetchOf(abi.FetchRequest{URL: "http://b.org"}), invokeOf(abi.InvokeRequest{Function: "f"})
	a := outgoing(t, &outside{reply: abi.Reply{Status: 200}, result: &abi.Result{Reply: abi.Reply{Status: 200}}})
	a.call.MaxOutgoing = 2
	a.reply(abi.ImportFetch, fetch)
	a.reply(abi.ImportInvoke, invoke)
	for name, request := range map[string][]byte{abi.ImportFetch: fetch, abi.ImportInvoke: invoke} {
		n, _, kept := a.ask(name, request, 0, 0)
		if !errors.Is(abi.OutgoingError(-n), abi.ErrOutgoingCalls) || !strings.HasSuffix(string(kept), ": 2") {
			t.Errorf("the third call, %s = %d %q, want %v", name, n, kept, abi.ErrOutgoingCalls)
		}
		none := newAsker(t, nil)
		if n, _, _ := none.ask(name, request, 0, 0); !errors.Is(abi.OutgoingError(-n), abi.ErrNoOutgoing) {
			t.Errorf("%s where there is none = %d, want %v", name, n, abi.ErrNoOutgoing)
		}
	}
}

func TestOutgoingCallsEnd(t *testing.T) {
	for name, request := range map[string][]byte{abi.ImportFetch: fetchOf(abi.FetchRequest{URL: "http://b.org"}),
		abi.ImportInvoke: invokeOf(abi.InvokeRequest{Function: "f"})} {
		wantEnds(t, outgoing(t, &outside{wait: true}), name, request, func(number int32) error { return abi.OutgoingError(number) })
	}
}

func TestOutgoingCallsTrap(t *testing.T) {
	for _, name := range []string{abi.ImportFetch, abi.ImportInvoke} {
		wantTraps(t, name, func() *asker { return outgoing(t, &outside{}) })
	}
}

// FuzzOutgoingCalls gives the calls any request and any room: each answers, or traps with a reason. The client may go
// nowhere.
func FuzzOutgoingCalls(f *testing.F) {
	f.Add(true, fetchOf(abi.FetchRequest{Method: "POST", URL: "http://b.org/", Headers: []abi.Field{{Name: "A", Value: "b"}}, Body: []byte("x")}), uint32(100))
	f.Add(false, invokeOf(abi.InvokeRequest{Function: "f", Qualifier: "v1", Async: true, Payload: []byte("{}")}), uint32(1<<17))
	client := newClient(f, host.ClientConfig{})
	f.Fuzz(func(t *testing.T, fetch bool, request []byte, room uint32) {
		if len(request) > answerAt {
			return
		}
		a := outgoing(t, &outside{result: &abi.Result{Reply: abi.Reply{Status: 200}}})
		a.call.Fetcher, a.call.Egress = client, nil
		name := abi.ImportInvoke
		if fetch {
			name = abi.ImportFetch
		}
		switch n := a.fuzz(name, request, room); {
		case fetch && n >= 0:
			t.Fatalf("fetch(%x) answers %d where nothing is allowed", request, n)
		case a.call.Fault != nil:
			t.Fatalf("%s(%x): the node's fault: %v", name, request, a.call.Fault)
		}
	})
}
