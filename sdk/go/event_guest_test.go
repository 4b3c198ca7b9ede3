package sett

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/registry"
)

// bus is host.Events that remembers.
type bus struct{ put []string }

func (b *bus) PutEvents(_ context.Context, app string, events ...registry.BusEvent) (ids []string, err error) {
	for _, e := range events {
		b.put = append(b.put, app+" "+e.Source+" "+e.DetailType+" "+string(e.Detail))
		ids = append(ids, "01E")
	}
	return ids, nil
}

func (b *bus) Putting(_ context.Context, _ string, events ...registry.BusEvent) (s op.Sending, ids []string, err error) {
	s.Queue = "bus"
	for _, e := range events {
		s.Messages, ids = append(s.Messages, op.Outgoing{Body: e.Detail}), append(ids, "01H")
	}
	return s, ids, nil
}

// TestBusGuestRuns puts an event from a module built by the Go toolchain, and gives it one.
func TestBusGuestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles WebAssembly modules")
	}
	b := &bus{}
	r, v, sink := deployedIn(t, runtime.Config{Events: b, Store: new(op.Memory)}, "event", "c-shared")
	got, err := r.Invoke(context.Background(), v, request("POST", "/put", "<hello>"))
	if want := `shop shop placed {"text":"\u003chello\u003e"}`; err != nil || string(got.Body) != "01E" || strings.Join(b.put, "") != want {
		t.Errorf("put = %s, %v, the bus has %q, want %q, log %q", got.Body, err, b.put, want, sink.take())
	}
	v.Settings.Effects = registry.EffectsTransactional
	got, err = r.Invoke(context.Background(), v, request("POST", "/put", "later"))
	want := &op.Effects{Sends: []op.Sending{{Queue: "bus", Messages: []op.Outgoing{{Body: []byte(`{"text":"later"}`)}}}}}
	if err != nil || string(got.Body) != "01H" || len(b.put) != 1 || !reflect.DeepEqual(got.Effects, want) {
		t.Errorf("put by a transactional function = %s, %v, effects %+v, want %+v", got.Body, err, got.Effects, want)
	}
	e := request("POST", "/", `{"source":"shop","detail-type":"placed","detail":{"text":"hello"}}`)
	e.Handler = "placed"
	if got, err := r.Invoke(context.Background(), v, e); err != nil || string(got.Body) != `"shop hello"` {
		t.Errorf("the handler answers %s, %v", got.Body, err)
	}
}
