package admin

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// past is an Activity that remembers what it was asked.
type past struct {
	asked client.InvocationQuery
}

func (p *past) Invocations(_ context.Context, q client.InvocationQuery) client.InvocationList {
	p.asked = q
	if q.Function == "none" {
		return client.InvocationList{}
	}
	return client.InvocationList{Silent: []string{"two"}, Invocations: []client.Invocation{
		{Time: time.Now(), Invocation: "i1", Node: "one", App: q.App, Function: "hello", Version: 1, Status: 200, Start: abi.Warm}}}
}

func (p *past) Waiting(_ context.Context, app, function string) ([]client.WaitingInvocation, error) {
	p.asked = client.InvocationQuery{App: app, Function: function, Waiting: true}
	return []client.WaitingInvocation{{Invocation: "i2", App: "default", Function: "mail", Trigger: "async", State: client.WaitingRetry,
		Attempts: 1, Next: time.Now(), Error: "broken"}}, nil
}

func (p *past) Top(_ context.Context, local client.LocalOnly) []client.NodeTotals {
	one := client.NodeTotals{Node: "one", ID: "n1", State: client.StateAlive, Capacity: 10, Functions: []client.FunctionTotals{
		{App: "default", Function: "hello", Invocations: 3, Failed: 1, DurationSeconds: 0.5}}}
	if local {
		return []client.NodeTotals{one}
	}
	return []client.NodeTotals{one, {Node: "two", ID: "n2", State: client.VersionSilent, Functions: []client.FunctionTotals{}}}
}

func roundTripActivity(t *testing.T, c *client.Client, p *past) {
	ctx := context.Background()
	list, err := c.Invocations(ctx, client.InvocationQuery{})
	if err != nil || len(list.Invocations) != 1 || !slices.Equal(list.Silent, []string{"two"}) {
		t.Errorf("Invocations() = %+v, %v", list, err)
	}
	if want := (client.InvocationQuery{Limit: client.DefaultInvocations}); p.asked != want {
		t.Errorf("asked for %+v, want %+v", p.asked, want)
	}
	q := client.InvocationQuery{App: "shop", Function: "none", Failed: true, Limit: 7, Local: true}
	if list, err = c.Invocations(ctx, q); err != nil || len(list.Invocations) != 0 || p.asked != q {
		t.Errorf("Invocations(%+v) = %+v, %v, asked for %+v", q, list, err, p.asked)
	}
	for _, q := range []client.InvocationQuery{{Limit: client.MaxInvocations + 1}, {Limit: -1}, {App: "No App"}} {
		if _, err := c.Invocations(ctx, q); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("Invocations(%+v): %v, want invalid input", q, err)
		}
	}
	waiting := client.InvocationQuery{App: "shop", Function: "mail", Waiting: true}
	if list, err = c.Invocations(ctx, waiting); err != nil || len(list.Waiting) != 1 || list.Waiting[0].Error != "broken" || p.asked != waiting {
		t.Errorf("Invocations(%+v) = %+v, %v, asked for %+v", waiting, list, err, p.asked)
	}
	if nodes, err := c.Top(ctx, false); err != nil || len(nodes) != 2 || nodes[0].Functions[0].Failed != 1 {
		t.Errorf("Top() = %+v, %v", nodes, err)
	}
	if nodes, err := c.Top(ctx, true); err != nil || len(nodes) != 1 {
		t.Errorf("Top(local) = %+v, %v", nodes, err)
	}
}

// TestInvocationsOfAnApp checks that an app's token sees that app alone.
func TestInvocationsOfAnApp(t *testing.T) {
	p := &past{}
	a, server := newWorld(t).start(t, func(c *Config) { c.Loopback, c.Activity = false, p })
	c, ctx := connect(t, server, makeToken(t, a, "shop")), context.Background()
	if _, err := c.Invocations(ctx, client.InvocationQuery{}); err != nil || p.asked.App != "shop" {
		t.Errorf("with a token of app shop: %v, asked for app %q, want shop", err, p.asked.App)
	}
	if _, err := c.Invocations(ctx, client.InvocationQuery{App: "other"}); abi.CodeOf(err) != abi.Forbidden {
		t.Errorf("of another app: %v, want forbidden", err)
	}
}
