package peer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

func invocation(body []byte) Invocation {
	return Invocation{App: "shop", Function: "cart", Version: 3, Event: &abi.Event{
		Invocation: "01J", Trigger: abi.TriggerHTTP, App: "shop", Function: "cart", Version: 3, Attempt: 1,
		Method: "POST", Scheme: "http", Proto: "HTTP/1.1", Host: "a.example", Path: "/cart/7", Query: "q=1", Remote: "10.0.0.1:5",
		Pattern: "POST /cart/{id}", Params: []abi.Field{{Name: "id", Value: "7"}},
		Headers: []abi.Field{{Name: "accept", Value: "*/*"}, {Name: "accept", Value: "text/html"}}, Body: body,
	}}
}

func TestInvokeCarriesEverything(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		asked := invocation(bytesOf(100_000))
		want := &abi.Result{
			Reply: abi.Reply{Status: 201, Headers: []abi.Field{{Name: "x", Value: "y"}}, Body: bytesOf(70_000), Error: "half"},
			Start: abi.Cold, Took: 1234567 * time.Nanosecond, MemoryBytes: 1 << 20, Fuel: 1<<64 - 1,
			Effects: &op.Effects{
				Ops:    []op.Op{{Kind: op.Set, Key: "k\xff", Value: []byte("v"), TTL: time.Second}},
				Checks: []op.Check{{Kind: op.HasRevision, Key: "r", Revision: 9}},
				Objects: op.ObjectEffects{Checks: []op.Check{{Kind: op.IsPresent, Key: "b/pics"}},
					Ops: []op.Op{{Kind: op.Incr, Key: "n", Delta: -1}, {Kind: op.Incr, Key: "t", Delta: 5, Bounded: true, Min: math.MinInt64, Max: 9}}},
				Sends: []op.Sending{{Queue: "q", Messages: []op.Outgoing{{Body: []byte("b\xff")}}}, {Topic: "t", Messages: []op.Outgoing{{Body: []byte("c")}}}},
			},
		}
		_, node := w.server("node", ServerConfig{Invoker: invokerFunc(func(ctx context.Context, i Invocation) (*abi.Result, error) {
			if diff := cmp.Diff(asked, i); diff != "" {
				t.Errorf("the invocation arrived otherwise:\n%s", diff)
			}
			return want, nil
		})})
		asked.Event.DeadlineUnixMS = time.Now().Add(maxInvocationTime).UnixMilli() // of this world's only clock
		got, err := w.client("self").Invoke(t.Context(), node, asked)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Invoke = %v, the result arrived otherwise:\n%s", err, diff)
		}
		if len(w.dialed) != 1 || w.dialed[0] != node {
			t.Errorf("dialed %v, want %v", w.dialed, node)
		}
	})
}

func TestInvokeErrors(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		var result *abi.Result
		var failure error
		_, node := w.server("node", ServerConfig{Invoker: invokerFunc(func(context.Context, Invocation) (*abi.Result, error) {
			return result, failure
		})})
		c := w.client("self")
		for _, test := range []struct {
			err  error
			code abi.Code
			is   error
			out  outcome
		}{
			{abi.WithCode(abi.FunctionFailed, errors.New("the function failed")), abi.FunctionFailed, nil, outcomeFailed},
			{abi.WithCode(abi.Timeout, errors.New("too slow")), abi.Timeout, nil, outcomeTimeout},
			{abi.WithCode(abi.TooManyRequests, errors.New("full")), abi.TooManyRequests, nil, outcomeBusy},
			{abi.WithCode(abi.Unavailable, errors.New("no memory")), abi.Unavailable, nil, outcomeFailed},
			{abi.WithCode(abi.InvalidInput, errors.New("no such event")), abi.InvalidInput, nil, outcomeFailed},
			{abi.WithCode("later", errors.New("a code of a later version")), "later", nil, outcomeFailed},
			{errors.New("no code \xff"), abi.Internal, nil, outcomeFailed},
			{fmt.Errorf("version 3: %w", ErrNotHere), abi.Unavailable, ErrNotHere, outcomeNotHere},
		} {
			result, failure = &abi.Result{Start: abi.Warm, Fuel: 7}, test.err
			got, err := c.Invoke(t.Context(), node, invocation(nil))
			if abi.CodeOf(err) != test.code || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v: Invoke = %v (%q), want %q", test.err, err, abi.CodeOf(err), test.code)
			}
			if test.is == nil && (got.Fuel != 7 || !strings.Contains(err.Error(), strings.ToValidUTF8(test.err.Error(), "\uFFFD"))) {
				t.Errorf("%v: Invoke = %+v, %v: what was used or the message is lost", test.err, got, err)
			}
			if test.is == nil && (errors.Is(err, ErrNotHere) || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUnknown)) {
				t.Errorf("%v: Invoke = %v is another error too", test.err, err)
			}
			if o := outcomeOf(err); o != test.out {
				t.Errorf("%v: outcome %q, want %q", test.err, o, test.out)
			}
		}
		result, failure = nil, abi.WithCode(abi.Internal, errors.New("no result"))
		if got, err := c.Invoke(t.Context(), node, invocation(nil)); got == nil || err == nil {
			t.Errorf("Invoke = %v, %v, want a result and an error", got, err)
		}
		if len(w.dialed) != 1 {
			t.Errorf("dialed %d times, want one connection for all", len(w.dialed))
		}
	})
}

// raw answers as a node whose connections end in the middle of something.
func (w *world) raw(id string, answer func(c net.Conn, r *http.Request)) Node {
	l := w.listen(id + ":1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				answer(c, r)
			}
			c.Close()
		}
	}()
	w.t.Cleanup(func() { l.Close(); <-done })
	return Node{ID: id, Address: id + ":1"}
}

func TestInvokeSaysWhetherItMayHaveRun(t *testing.T) {
	unread := func(net.Conn, *http.Request) {}
	read := func(answer string) func(net.Conn, *http.Request) {
		return func(c net.Conn, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(c, answer)
		}
	}
	large := bytesOf(1 << 20)
	for name, test := range map[string]struct {
		answer func(net.Conn, *http.Request)
		want   error
	}{
		"breaks off before all was sent": {unread, ErrUnreachable},
		"breaks off after it":            {read(""), ErrUnknown},
		"in its header":                  {read("HTTP/1.1 200 OK\r\nContent-Le"), ErrUnknown},
		"in its body":                    {read("HTTP/1.1 200 OK\r\nContent-Type: " + messageType + "\r\nContent-Length: 100\r\n\r\nabc"), ErrUnknown},
		"answers something else":         {read("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"), ErrUnknown},
		"answers no message":             {read("HTTP/1.1 200 OK\r\nContent-Type: " + messageType + "\r\nContent-Length: 2\r\n\r\nhi"), ErrUnknown},
		"answers no length":              {read("HTTP/1.1 200 OK\r\nContent-Type: " + messageType + "\r\n\r\nhi"), ErrUnknown},
		"answers too much":               {read("HTTP/1.1 200 OK\r\nContent-Type: " + messageType + "\r\nContent-Length: 99999999\r\n\r\nhi"), ErrUnknown},
		"is no HTTP":                     {read("SSH-2.0-OpenSSH\r\n"), ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				node := w.raw("node", test.answer)
				result, err := w.client("self").Invoke(t.Context(), node, invocation(large))
				if !errors.Is(err, test.want) || abi.CodeOf(err) != abi.Unavailable || result == nil {
					t.Errorf("Invoke = %v, %v (%q), want %v", result, err, abi.CodeOf(err), test.want)
				}
				if len(w.dialed) != 1 {
					t.Errorf("dialed %d times, want no second try", len(w.dialed))
				}
			})
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			_, err := newWorld(t).client("self").Invoke(t.Context(), Node{"node", "[::1]:7"}, invocation(nil))
			if !errors.Is(err, ErrUnreachable) || abi.CodeOf(err) != abi.Unavailable {
				t.Errorf("Invoke = %v, want %v", err, ErrUnreachable)
			}
		})
	})
	t.Run("nobody accepts", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t)
			w.listen("node:1")
			if _, err := w.client("self").Invoke(t.Context(), Node{"node", "node:1"}, invocation(nil)); !errors.Is(err, ErrUnreachable) {
				t.Errorf("Invoke = %v, want %v", err, ErrUnreachable)
			}
		})
	})
}

func TestInvokeDeadlineAndCancelReachTheInvoker(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		ended := make(chan error, 1)
		begun := make(chan time.Duration, 1)
		_, node := w.server("node", ServerConfig{Invoker: invokerFunc(func(ctx context.Context, i Invocation) (*abi.Result, error) {
			deadline, _ := ctx.Deadline()
			if deadline.UnixMilli() != i.Event.DeadlineUnixMS {
				t.Errorf("the event's deadline is %d, want %d", i.Event.DeadlineUnixMS, deadline.UnixMilli())
			}
			begun <- time.Until(deadline)
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		})})
		c := w.client("self")
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if _, err := c.Invoke(ctx, node, invocation(nil)); abi.CodeOf(err) != abi.Timeout || errors.Is(err, ErrUnreachable) {
			t.Errorf("Invoke = %v, want code %q", err, abi.Timeout)
		}
		if left := <-begun; left != 1500*time.Millisecond {
			t.Errorf("the invoker had %v, want 1.5 s", left)
		}
		<-ended // by the deadline, or because the caller went away at it

		ctx, cancel = context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		if _, err := c.Invoke(ctx, node, invocation(nil)); abi.CodeOf(err) != abi.Unavailable || !errors.Is(err, context.Canceled) {
			t.Errorf("Invoke = %v, want code %q", err, abi.Unavailable)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the invoker's context ended by %v, want %v", err, context.Canceled)
		}
		for want, ctx := range map[abi.Code]func() (context.Context, context.CancelFunc){
			abi.Timeout:     func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), 0) },
			abi.Unavailable: func() (context.Context, context.CancelFunc) { return ctx, cancel },
		} {
			over, cancel := ctx()
			if _, err := c.Invoke(over, node, invocation(nil)); abi.CodeOf(err) != want {
				t.Errorf("Invoke after its end = %v, want code %q", err, want)
			}
			cancel()
		}
	})
}

func TestInvokeLimits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		const limit = 10_000
		reply := []byte(nil)
		release := make(chan struct{})
		s, node := w.server("node", ServerConfig{MaxMessageBytes: limit, MaxInvocations: 1, Invoker: invokerFunc(
			func(_ context.Context, i Invocation) (*abi.Result, error) {
				if i.Function == "wait" {
					<-release
				}
				return &abi.Result{Reply: abi.Reply{Body: reply}}, nil
			})})
		small, err := NewClient(ClientConfig{Dial: w.dial, Self: "self", MaxMessageBytes: limit})
		if err != nil {
			t.Fatal(err)
		}
		defer small.Close()
		c := w.client("self")
		wantCode := func(what string, c *Client, i Invocation, code abi.Code) {
			t.Helper()
			if _, err := c.Invoke(t.Context(), node, i); abi.CodeOf(err) != code {
				t.Errorf("%s: Invoke = %v (%q), want code %q", what, err, abi.CodeOf(err), code)
			}
		}
		wantCode("a small event", c, invocation(make([]byte, limit-1000)), "")
		wantCode("a large event", small, invocation(make([]byte, limit)), abi.TooLarge)
		wantCode("a large event that is sent nevertheless", c, invocation(make([]byte, limit)), abi.TooLarge)
		reply = make([]byte, limit)
		wantCode("a large reply", c, invocation(nil), abi.FunctionFailed)
		reply = nil
		wantCode("no function", c, Invocation{App: "a", Version: 1, Event: new(abi.Event)}, abi.InvalidInput)

		done := make(chan error)
		waiting := invocation(nil)
		waiting.Function = "wait"
		go func() { _, err := c.Invoke(t.Context(), node, waiting); done <- err }()
		synctest.Wait()
		wantCode("one too many", c, invocation(nil), abi.TooManyRequests)
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		wantCode("one", c, invocation(nil), "")
		s.Drain()
		if _, err := c.Invoke(t.Context(), node, invocation(nil)); !errors.Is(err, ErrNotHere) {
			t.Errorf("Invoke at a node that leaves = %v, want %v", err, ErrNotHere)
		}
	})
}

// A body that stops coming frees its place.
func TestServerGivesUpOnSlowBodies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		_, node := w.server("node", ServerConfig{MaxInvocations: 1})
		for _, path := range []string{"/invoke", "/modules/" + digestOf(nil)} {
			c, err := w.dial(t.Context(), node.Address, node.ID)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			go fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", path)
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); answer.StatusCode < 400 || took != stallTimeout {
				t.Errorf("%s: status %d after %v, want an error after %v", path, answer.StatusCode, took, stallTimeout)
			}
			c.Close()
		}
	})
}

func TestServerRefuses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		_, node := w.server("node", ServerConfig{Fetcher: fetcherFunc(func(context.Context, FetchRequest, Sink) error {
			t.Error("something was fetched")
			return nil
		})})
		c := w.client("self")
		holders, _ := json.Marshal(holdRequest{SizeBytes: 1, Holders: make([]Node, MaxHolders+1)})
		digest := "/modules/" + digestOf(nil)
		for _, test := range []struct {
			method, path, body string
			status             int
		}{
			{"GET", "/modules/..%2f..%2fnode.json", "", 400},
			{"GET", "/modules/" + strings.ToUpper(digestOf(nil)), "", 400},
			{"GET", digest, "", 404},
			{"PUT", digest, "", 405},
			{"GET", "/", "", 404},
			{"POST", "/modules/x", "{}", 400},
			{"POST", digest, "{", 400},
			{"POST", digest, string(holders), 413},
			{"POST", digest, strings.Repeat(" ", maxHoldBytes+1), 413},
			{"POST", "/invoke", "", 400},
			{"POST", "/invoke", "\xff\xff\xff\xff", 400},
		} {
			r, err := http.NewRequest(test.method, "http://x"+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := c.call(t.Context(), node, r)
			if err != nil {
				t.Errorf("%s %s: %v", test.method, test.path, err)
				continue
			}
			if answer.Body.Close(); answer.StatusCode != test.status {
				t.Errorf("%s %s %.20q: status %d, want %d", test.method, test.path, test.body, answer.StatusCode, test.status)
			}
		}
	})
}

func TestShutdown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		var ended error
		s, node := w.server("node", ServerConfig{Invoker: invokerFunc(func(ctx context.Context, i Invocation) (*abi.Result, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = ctx.Err()
			return nil, ctx.Err()
		})})
		done := make(chan error)
		go func() { _, err := w.client("self").Invoke(t.Context(), node, invocation(nil)); done <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown = %v, want %v", err, context.DeadlineExceeded)
		}
		if ended == nil {
			t.Error("Shutdown returned before the handler did")
		}
		if err := <-done; !errors.Is(err, ErrUnknown) {
			t.Errorf("Invoke = %v, want %v", err, ErrUnknown)
		}
	})
}

// A node with another address gets another connection, and one that came back at its address too.
func TestConnectionsFollowTheNode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.client("self")
		_, node := w.server("node", ServerConfig{})
		_, other := w.server("moved", ServerConfig{})
		other.ID = node.ID
		for _, n := range []Node{node, node, other, node} {
			if _, err := c.Invoke(t.Context(), n, invocation(nil)); !errors.Is(err, ErrNotHere) {
				t.Fatal(err)
			}
		}
		if len(w.dialed) != 2 || w.dialed[1] != other {
			t.Errorf("dialed %v, want each address once", w.dialed)
		}
		time.Sleep(idleTimeout + time.Second)
		if _, err := c.Invoke(t.Context(), node, invocation(nil)); !errors.Is(err, ErrNotHere) || len(w.dialed) != 3 {
			t.Errorf("Invoke = %v after dialing %d times, want a new connection after %v", err, len(w.dialed), idleTimeout)
		}
	})
}

func TestClientCloseEndsDials(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.listen("node:1") // nobody accepts
		c := w.client("self")
		done := make(chan error)
		go func() { _, err := c.Invoke(t.Context(), Node{"node", "node:1"}, invocation(nil)); done <- err }()
		synctest.Wait()
		c.Close()
		for range 2 {
			if err := <-done; !errors.Is(err, ErrUnreachable) {
				t.Errorf("Invoke = %v, want %v", err, ErrUnreachable)
			}
			go func() { _, err := c.Invoke(t.Context(), Node{"node", "node:1"}, invocation(nil)); done <- err }()
		}
		<-done
	})
}

func TestConfigs(t *testing.T) {
	if _, err := NewServer(ServerConfig{}); err == nil {
		t.Error("NewServer of nothing gave no error")
	}
	if _, err := NewClient(ClientConfig{}); err == nil {
		t.Error("NewClient of nothing gave no error")
	}
	if _, err := NewLoader(LoaderConfig{}); err == nil {
		t.Error("NewLoader of nothing gave no error")
	}
}

func TestReadBody(t *testing.T) {
	for _, test := range []struct {
		length int64
		code   abi.Code
	}{{-1, abi.InvalidInput}, {11, abi.TooLarge}, {10, ""}, {0, ""}} {
		b, err := readBody(bytes.NewReader(make([]byte, 100)), test.length, 10)
		if abi.CodeOf(err) != test.code || err == nil && int64(len(b)) != test.length {
			t.Errorf("readBody(%d) = %d bytes, %v, want code %q", test.length, len(b), err, test.code)
		}
	}
}
