package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// Of eventWork.
const (
	eventFaultEach     = 150 // publications, and as many events and asynchronous invocations
	eventFaultSchedule = 10  // of which a schedule is fired once
)

// eventWork publishes, puts events on the bus, invokes asynchronously and fires a schedule. Whatever was accepted reaches its
// functions at least once, and nothing is left.
func eventWork(t *testing.T, f *faultRun) (load, check func(*testing.T)) {
	f.deployNoting(t)
	var expected []string // keys
	return func(t *testing.T) { expected = f.events(t) }, func(t *testing.T) { f.checkNoted(t, expected) }
}

func (f *faultRun) checkNoted(t *testing.T, expected []string) {
	if len(expected) == 0 {
		t.Fatal("nothing was accepted")
	}
	eventually(t, "everything that was accepted was noted", func(context.Context) error {
		noted := f.counts(t, "noted/")
		for i, key := range expected {
			if noted[key] == 0 {
				time.Sleep(200 * time.Millisecond)
				return fmt.Errorf("%s, number %d of %d, was not", key, i, len(expected))
			}
		}
		return nil
	})
	eventually(t, "nothing waits", func(ctx context.Context) error {
		list, err := f.nodes[0].client.Invocations(ctx, client.InvocationQuery{App: f.app, Waiting: true})
		if err == nil && len(list.Waiting) > 0 {
			time.Sleep(200 * time.Millisecond)
			err = fmt.Errorf("%+v does", list.Waiting[0])
		}
		return err
	})
}

// deployNoting deploys two functions that subscribe to a topic, one of them with a schedule, the other with a rule.
func (f *faultRun) deployNoting(t *testing.T) {
	t.Helper()
	if err := f.client.Topics().Put(t.Context(), f.app, registry.Topic{Name: "news"}); err != nil {
		t.Fatal(err)
	}
	subscribed := registry.Trigger{Topic: &registry.TopicSource{Topic: "news"}}
	rule := registry.Trigger{Event: &registry.EventSource{Pattern: []byte(`{"detail": {"amount": [{"numeric": [">=", 0]}]}}`)}}
	daily := registry.Trigger{Schedule: &registry.Schedule{Expressions: []string{"rate(1 day)"}}}
	request := client.DeployRequest{Functions: []client.DeployFunction{
		{Name: "one", Digest: f.digest, Settings: registry.Settings{Handler: "note", Triggers: []registry.Trigger{subscribed, daily}}},
		{Name: "two", Digest: f.digest, Settings: registry.Settings{Handler: "note", Triggers: []registry.Trigger{subscribed, rule}}},
	}}
	if _, err := f.client.Deploy(t.Context(), f.app, request); err != nil {
		t.Fatal(err)
	}
}

// events asks the nodes in turn, and answers under which keys what they have accepted is to be noted.
func (f *faultRun) events(t *testing.T) (expected []string) {
	for n := range eventFaultEach {
		text := fmt.Sprint("news", n)
		f.ask(t, func(ctx context.Context, at *client.Client) error {
			_, err := at.Topics().Publish(ctx, f.app, "news", op.Outgoing{Body: []byte(text)})
			return err
		})
		f.ask(t, func(ctx context.Context, at *client.Client) error {
			id, err := at.InvokeAsync(ctx, client.InvokeTarget{App: f.app, Function: "two"}, client.InvokeRequest{Body: []byte("{}")})
			if err == nil {
				expected = append(expected, "two/async/"+id)
			}
			return err
		})
		f.ask(t, func(ctx context.Context, at *client.Client) error {
			e := registry.BusEvent{Source: "shop", DetailType: "order placed", Detail: fmt.Appendf(nil, `{"amount": %d}`, n)}
			ids, err := at.Events().Put(ctx, f.app, e)
			if err == nil {
				expected = append(expected, "two/event/"+ids[0])
			}
			return err
		})
		if n%eventFaultSchedule == 0 {
			f.ask(t, func(ctx context.Context, at *client.Client) error {
				id, err := at.Schedules().Fire(ctx, registry.ScheduleID{App: f.app, Function: "one", Name: "1"})
				if err == nil {
					expected = append(expected, "one/schedule/"+id)
				}
				return err
			})
		}
		expected = append(expected, "one/topic/"+text, "two/topic/"+text)
		time.Sleep(20 * time.Millisecond) // so that it goes on while nodes are killed
	}
	return expected
}
