package runtime

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// streams is a component that answers 1 and, where the path has a letter, the first piece of its body, for which it waits.
// What it does then the letter says: e is the rest of the body.
func streams() []byte {
	load := func(at int32) []byte { return slices.Concat(wasmtest.I32(at), wasmtest.Load32()) }
	splice := slices.Concat(load(1060), load(1124), wasmtest.I64(60_000), wasmtest.I32(1136), wasmtest.Call(spliceAll))
	begin := slices.Concat(beginResponse(), writeCount(),
		wasmtest.Get(0), wasmtest.I32(1104), wasmtest.Call(consumeBody), load(1108), wasmtest.I32(1120), wasmtest.Call(readBody), splice)
	rest := wasmtest.Loop(splice, wasmtest.I32(1136), []byte{0x2d, 0, 0}, wasmtest.If(endResponse(), wasmtest.Return()))
	return counts(map[byte][]byte{
		'e': slices.Concat(begin, rest),
		's': slices.Concat(begin, wasmtest.I64(3600e9), wasmtest.Call(sleepFor), wasmtest.Call(block)),
		'l': slices.Concat(begin, wasmtest.Loop()),
		'w': slices.Concat(begin, wasmtest.Loop(writeCount())),
		't': slices.Concat(begin, wasmtest.Unreachable()),
		'u': slices.Concat(begin, wasmtest.Return()), // unfinished
	}, nil)
}

// talker is a client that sends the next piece of its body when a piece of the reply has come, so that nothing gets on
// unless both pass while the function runs.
type talker struct {
	client
	heard   chan struct{}
	silent  chan struct{} // closed by Stop
	left    int           // pieces
	started func()        // called when the reply begins; nil: nothing happens
}

func talk(pieces int) *talker {
	return &talker{heard: make(chan struct{}, 100), silent: make(chan struct{}), left: pieces}
}

func (c *talker) Start(r *abi.Result) error {
	if c.started != nil {
		c.started()
	}
	return c.client.Start(r)
}

func (c *talker) Write(b []byte) (int, error) {
	select {
	case c.heard <- struct{}{}:
	default: // a function that does not listen
	}
	return c.client.Write(b)
}

func (c *talker) Read(b []byte) (int, error) {
	select {
	case <-c.heard:
	case <-c.silent:
		return 0, errors.New("nobody listens")
	}
	if c.left--; c.left < 0 {
		return 0, io.EOF
	}
	return copy(b, "d"), nil
}

func (c *talker) Stop() { close(c.silent) }

func TestComponentReplyInPieces(t *testing.T) {
	r, s := open(t, Config{Store: &op.Memory{}})
	v := deploy(t, r, streams())
	for range 2 {
		c, e := talk(2), from("/e", nil)
		e.Stream, e.More = c, true
		res, err := r.Invoke(context.Background(), v, e)
		if err != nil || !res.Streamed || res.Status != 200 || len(res.Body) > 0 || strings.Join(c.pieces, "|") != "1|d|d" {
			t.Errorf("Invoke = %+v, %v, sent %q; log %q", res, err, c.pieces, s.stream(abi.StreamPlatform))
		}
	}
	c := new(client) // one for whose reply nothing is waited for
	if res, err := r.Invoke(context.Background(), v, from("/", c)); err != nil || res.Streamed || string(res.Body) != "1" || c.head != nil {
		t.Errorf("Invoke = %+v, %v, sent %+v, want a reply that is held", res, err, c.head)
	}
	checkNothingLeft(t, r)
}

// TestComponentReplyHeld: a component that waits has its reply held where nobody takes pieces, or it is sent after the
// commit.
func TestComponentReplyHeld(t *testing.T) {
	r, s := open(t, Config{Store: &op.Memory{}})
	v := deploy(t, r, streams())
	transactional := *v
	transactional.Settings.Effects = registry.EffectsTransactional
	v.Settings.TimeoutMS, transactional.Settings.TimeoutMS = 20, 20
	if _, err := r.Invoke(context.Background(), v, from("/s", nil)); abi.CodeOf(err) != abi.Timeout {
		t.Errorf("Invoke = %v, log %q", err, s.stream(abi.StreamPlatform))
	}
	c := new(client)
	if res, err := r.Invoke(context.Background(), &transactional, from("/s", c)); abi.CodeOf(err) != abi.Timeout || res.Streamed || c.head != nil {
		t.Errorf("Invoke with transactional effects = %+v, %v, sent %+v", res, err, c.head)
	}
}

// TestComponentReplyInterrupted: a component that has begun its reply ends with its client, whatever it does then, and its
// instance answers the next one.
func TestComponentReplyInterrupted(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, streams())
	left := abi.WithCode(abi.Unavailable, errors.New("the client has left"))
	for _, c := range []struct {
		path  string
		ended bool // the invoker's context, once the reply has begun
		write error
		code  abi.Code
		log   string
	}{
		{"/e", true, nil, abi.Unavailable, "canceled"},
		{"/s", true, nil, abi.Unavailable, "canceled"},
		{"/l", true, nil, abi.Unavailable, "canceled"},
		{"/w", true, nil, abi.Unavailable, "canceled"},
		{"/w", false, left, abi.Unavailable, "the client has left"},
		{"/e", false, left, abi.Unavailable, "the client has left"},
		{"/t", false, nil, abi.FunctionFailed, "unreachable"},
		{"/u", false, nil, abi.FunctionFailed, "the response's body was not finished"},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		to, e := talk(1000), from(c.path, nil)
		e.Stream, e.More, to.refuses = to, true, c.write
		if c.ended {
			to.started = cancel
		}
		before := s.stream(abi.StreamPlatform)
		res, err := r.Invoke(ctx, v, e)
		if abi.CodeOf(err) != c.code || !res.Streamed {
			t.Errorf("%s: Invoke = streamed %v, %v, want code %s", c.path, res.Streamed, err, c.code)
		}
		if log := strings.TrimPrefix(s.stream(abi.StreamPlatform), before); !strings.Contains(log, c.log) {
			t.Errorf("%s: log = %q, want %q in it", c.path, log, c.log)
		}
		cancel()
		if res, err := r.Invoke(context.Background(), v, from("/", nil)); err != nil || string(res.Body) != "1" {
			t.Errorf("after %s: Invoke = %q, %v, want a pristine instance", c.path, res.Body, err)
		}
	}
	checkIdle(t, r)
	checkNothingLeft(t, r)
}

func TestComponentBodyInPieces(t *testing.T) {
	r, s := open(t, Config{MaxReplyBytes: 1 << 20})
	v := deploy(t, r, streams())
	large := strings.Repeat("0123456789", 400_000)  // more than a reply that is held may have
	for _, rest := range []string{"", "d", large} { // small ones are held where they are there at once
		c := &client{body: strings.NewReader(rest)}
		e := from("/e", c)
		e.Body = []byte("abc")
		res, err := r.Invoke(context.Background(), v, e)
		if got := strings.Join(c.pieces, "") + string(res.Body); err != nil || got != "1abc"+rest {
			t.Errorf("Invoke = %v, sent %d bytes, want %d; log %q", err, len(got), 4+len(rest), s.stream(abi.StreamPlatform))
		}
	}
	// A body that does not come any more is not waited for when its reader has gone.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, e := talk(1000), from("/e", nil)
	e.Stream, e.More, c.heard, c.started = c, true, nil, cancel
	if res, err := r.Invoke(ctx, v, e); abi.CodeOf(err) != abi.Unavailable || !res.Streamed {
		t.Errorf("Invoke without a client = streamed %v, %v", res.Streamed, err)
	}
	select {
	case <-c.silent:
	default:
		t.Error("the body is still read")
	}
	checkIdle(t, r)
	checkNothingLeft(t, r)
}
