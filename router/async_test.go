package router

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// later notes what is to be run later.
type later struct {
	calls []Call
	err   error
}

func (l *later) Enqueue(_ context.Context, c Call) (string, error) {
	e := *c.Event // only valid until we return: keep copies
	e.Body, e.Path, e.Invocation = []byte(string(e.Body)), strings.Clone(e.Path), strings.Clone(e.Invocation)
	c.Event = &e
	l.calls = append(l.calls, c)
	return e.Invocation, l.err
}

func TestAsync(t *testing.T) {
	queue := new(later)
	slow := registry.Settings{Handler: "run", Routes: []registry.Route{{Pattern: "POST /slow", Payload: registry.PayloadHTTP, Async: true}}}
	address := listen(t, newRouter(t, Config{Async: queue, Invoker: describe}, live("mail", registry.Settings{}), live("web", slow)))
	for name, c := range map[string]struct {
		method, path, header string
		status, kept         int
		body                 string
	}{
		"by header":   {"POST", "/mail/x", "Sett-Invocation-Type: Async", 202, 1, "hello"},
		"sync":        {"POST", "/mail/x", "Sett-Invocation-Type: sync", 200, 0, ""},
		"other":       {"POST", "/mail/x", "Sett-Invocation-Type: event", 400, 0, ""},
		"by route":    {"POST", "/slow", "X-A: b", 202, 1, `"body":"hello"`},
		"no function": {"POST", "/nobody", "Sett-Invocation-Type: async", 404, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			queue.calls = nil
			reply, body := do(t, address, c.method, c.path, c.header, "body=hello")
			if reply.StatusCode != c.status || len(queue.calls) != c.kept {
				t.Fatalf("status %d, %d kept, body %s", reply.StatusCode, len(queue.calls), body)
			}
			if c.kept == 0 {
				return
			}
			var out struct{ Invocation string }
			if err := json.Unmarshal([]byte(body), &out); err != nil || len(out.Invocation) != 26 || out.Invocation != reply.Header.Get("Sett-Invocation-Id") {
				t.Errorf("answered %s, header %v", body, reply.Header)
			}
			got := queue.calls[0]
			if !strings.Contains(string(got.Event.Body), c.body) || got.Event.Invocation != out.Invocation || got.App != "default" {
				t.Errorf("kept %+v with body %s", got, got.Event.Body)
			}
		})
	}
	queue.err = abi.WithCode(abi.TooLarge, errors.New("payload of 300000 bytes"))
	if reply, body := do(t, address, "POST", "/mail/x", "Sett-Invocation-Type: async", "body=hello"); reply.StatusCode != 413 || !strings.Contains(body, "payload of 300000 bytes") {
		t.Errorf("a payload that is too large is answered %d %s", reply.StatusCode, body)
	}
}
