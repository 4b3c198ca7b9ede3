//go:build !wasip1

// Package settest runs a function's handlers in an ordinary test, without WebAssembly and without a node:
//
//	func TestHello(t *testing.T) {
//		r := settest.Get(t, "/hello/ada")
//		if r.Status != 200 || string(r.Body) != "hello, ada\n" {
//			t.Errorf("GET /hello/ada = %d %q", r.Status, r.Body)
//		}
//	}
//
// Events and replies travel as the messages of docs/ABI.md and replies are checked as a node checks them. Unlike
// on a node, all tests share one memory, and a panic ends the test instead of answering 502. Invocations run one
// at a time, as they do in one instance.
//
// Each test and subtest has a store of its own, empty at first, which package kv uses during the test's invocations
// and with Context. There is no network and no other function; Fetches and Invocations say what answers in their place.
// Queues and Topics make queues and topics of the test's own.
package settest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	_ "github.com/sett-run/sett/sdk/go" // fills host.Guest
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// DefaultTimeout is how long an invocation may take when the request does not say.
const DefaultTimeout = 30 * time.Second

// Header is one header; a list of them keeps order and duplicates.
type Header = abi.Field

// Request is what the fake node asks. The zero value is GET /.
type Request struct {
	Method  string // default GET
	Target  string // path, percent-encoded, and query: "/users/7?full=1"; default /
	Host    string // default localhost
	Headers []Header
	Params  []Header // what the deployed route captured; usually none
	Body    string
	Rest    io.Reader     // what follows Body, for a function that is deployed with streaming; nil: nothing
	Timeout time.Duration // sets the deadline; default DefaultTimeout
}

// Response is what the handlers answered.
type Response struct {
	Status  int // never 0
	Headers []Header
	Body    []byte
	Flushed bool  // it was sent in pieces: Body is all of them
	Logs    []Log // what they wrote with package log
}

// Log is one record of the function's log.
type Log struct {
	Level   slog.Level
	Message string
	Attrs   map[string]any // as encoding/json decodes an object; nil when there are none
}

// Header is the first value of a header, whatever the name's case.
func (r *Response) Header(name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Get is Do of a GET request.
func Get(t testing.TB, target string) *Response {
	t.Helper()
	return Do(t, Request{Target: target})
}

// Do runs the handlers given to sett.HTTP, or a module's only Handle, on a request. It ends the test when the
// handler fails or its reply is one that a node refuses.
func Do(t testing.TB, r Request) *Response {
	t.Helper()
	e, err := event(r)
	if err != nil {
		t.Fatalf("settest: %v", err)
	}
	e.More = r.Rest != nil
	response, err := run(t, e, r.Rest)
	if err != nil {
		t.Fatalf("settest: %s %s: %v", e.Method, r.Target, err)
	}
	return response
}

// Invoke runs the named Handle on in, encoded as JSON, and decodes its result into out, a pointer or nil. The
// error is the handler's, or says that the payload or the result did not fit.
func Invoke(t testing.TB, name string, in, out any) error {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatalf("settest: encode payload of %s: %v", name, err)
	}
	e, _ := event(Request{Method: "POST", Body: string(body)})
	e.Trigger, e.Handler = abi.TriggerInvoke, name
	r, err := run(t, e, nil)
	switch {
	case err != nil:
		return err
	case r.Status >= 300:
		return fmt.Errorf("status %d: %s", r.Status, r.Body)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(r.Body, out); err != nil {
		return fmt.Errorf("decode result of %s: %w", name, err)
	}
	return nil
}

// Describe answers what the module says of itself.
func Describe(t testing.TB) abi.Description {
	t.Helper()
	var d abi.Description
	if err := abi.DecodeDescription(host.Guest.Describe(), &d); err != nil {
		t.Fatalf("settest: read description: %v", err)
	}
	return d
}

// event fills in what a node would send for r.
func event(r Request) (*abi.Event, error) {
	target := r.Target
	if target == "" {
		target = "/"
	}
	path, query, _ := strings.Cut(target, "?")
	if path == "" || path[0] != '/' {
		return nil, fmt.Errorf("target %q: a path starts with /", r.Target)
	}
	timeout := r.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	e := &abi.Event{
		Invocation: "00000000000000000000000000", Trigger: abi.TriggerHTTP, App: "test", Function: "test", Version: 1,
		Attempt: 1, DeadlineUnixMS: time.Now().Add(timeout).UnixMilli(), Method: r.Method, Scheme: "http",
		Proto: "HTTP/1.1", Host: r.Host, Path: path, Query: query, Remote: "127.0.0.1:1", Params: r.Params,
		Headers: r.Headers, Body: []byte(r.Body),
	}
	if e.Method == "" {
		e.Method = "GET"
	}
	if e.Host == "" {
		e.Host = "localhost"
	}
	return e, nil
}

var (
	one  sync.Mutex // an instance runs one invocation at a time
	warm sync.Once  // functions given to sett.Warmup run before the first
)

// run carries one event over the border and back.
func run(t testing.TB, e *abi.Event, rest io.Reader) (*Response, error) {
	one.Lock()
	defer one.Unlock()
	warm.Do(host.Guest.WarmUp)
	defer host.Lend(store(t))()
	defer host.LendWorld(world(t))()
	pieces := &host.Pieces{Rest: rest}
	defer host.LendPieces(pieces)()
	response := &Response{}
	defer host.Capture(func(level int, record []byte) { response.Logs = append(response.Logs, line(level, record)) })()
	data, err := host.Guest.Handle(abi.AppendEvent(nil, e))
	if err != nil {
		return nil, err
	}
	if response.Flushed = data == nil; response.Flushed {
		data = pieces.Reply
	}
	var reply abi.Reply
	if err := abi.DecodeReply(data, &reply); err != nil {
		return nil, err
	}
	reply.Body = append(reply.Body[:len(reply.Body):len(reply.Body)], pieces.Body...)
	if err := check(&reply); err != nil {
		return nil, err
	}
	if reply.Status == 0 {
		reply.Status = 200
	}
	response.Status, response.Headers, response.Body = reply.Status, reply.Headers, reply.Body
	return response, nil
}

// check refuses what a node answers with 502.
func check(r *abi.Reply) error {
	if r.Error != "" {
		return errors.New(r.Error)
	}
	if r.Status != 0 && (r.Status < 200 || r.Status > 599) {
		return fmt.Errorf("status %d is outside 200..599", r.Status)
	}
	for _, h := range r.Headers {
		if !abi.ValidHeader(h) {
			return fmt.Errorf("header %q: %q: no valid name, or a line break in the value", h.Name, h.Value)
		}
	}
	return nil
}

// line reads a log record as a node does: what is no record becomes a message.
func line(level int, record []byte) Log {
	var r struct {
		Msg   *string        `json:"msg"`
		Attrs map[string]any `json:"attrs"`
	}
	if json.Unmarshal(record, &r) != nil || r.Msg == nil {
		return Log{Level: slog.Level(level), Message: string(record)}
	}
	return Log{slog.Level(level), *r.Msg, r.Attrs}
}
