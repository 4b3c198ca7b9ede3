package node

import (
	"context"
	"slices"
	"time"

	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/sdk/client"
)

// maxAccess is how many records of the router are looked at.
const maxAccess = 1024

// Invocations lists recent invocations of all nodes, or of this one.
func (n *Node) Invocations(ctx context.Context, q client.InvocationQuery) client.InvocationList {
	list := client.InvocationList{Invocations: n.recent(q)}
	if q.Local {
		return list
	}
	q.Local = true
	for _, others := range askOthers(ctx, n, func(ctx context.Context, m client.Member) client.InvocationList {
		got, err := n.adminOf(m.ID).Invocations(ctx, q)
		if err != nil {
			got.Silent = []string{m.Name}
		}
		return got
	}) {
		list.Silent = append(list.Silent, others.Silent...)
		list.Invocations = append(list.Invocations, others.Invocations...)
	}
	slices.Sort(list.Silent)
	slices.SortStableFunc(list.Invocations, func(a, b client.Invocation) int { return a.Time.Compare(b.Time) })
	list.Invocations = list.Invocations[max(0, len(list.Invocations)-q.Limit):]
	return list
}

// Waiting lists the asynchronous invocations, and those of schedules, that have not ended: of each app's queue the oldest.
func (n *Node) Waiting(ctx context.Context, app, function string) (all []client.WaitingInvocation, err error) {
	queues, err := n.queues.All(ctx)
	if err != nil {
		return nil, err
	}
	waiting, err := n.scheduler.Pending(ctx, app)
	if err != nil {
		return nil, err
	}
	for _, w := range waiting {
		all = append(all, waitingOf(w, w.Next.IsZero()))
	}
	for _, q := range queues {
		if q.Name != asyncQueue || app != "" && q.Namespace != app {
			continue
		}
		messages, err := n.queues.Peek(ctx, q.Namespace, q.Name, 0)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			i, err := trigger.Open(m)
			if err != nil {
				return nil, err
			}
			all = append(all, waitingOf(trigger.Waiting{Invocation: i, Next: m.Visible}, m.Receives > 0))
		}
	}
	all = slices.DeleteFunc(all, func(w client.WaitingInvocation) bool { return function != "" && w.Function != function })
	slices.SortStableFunc(all, func(a, b client.WaitingInvocation) int { return a.Accepted.Compare(b.Accepted) })
	return all, nil
}

// waitingOf shows an invocation. Begun says that an attempt is being made, if the time of its end is not past.
func waitingOf(w trigger.Waiting, begun bool) client.WaitingInvocation {
	shown := client.WaitingInvocation{Invocation: w.ID, App: w.App, Function: w.Function, Qualifier: w.Qualifier, Trigger: w.Trigger,
		State: client.WaitingQueued, Accepted: w.Accepted, Attempts: w.Failed, Error: w.Error}
	switch {
	case begun:
		shown.State = client.WaitingRunning
	case w.Next.After(time.Now()):
		shown.State, shown.Next = client.WaitingRetry, w.Next
	}
	return shown
}

// recent answers this node's, oldest first.
func (n *Node) recent(q client.InvocationQuery) []client.Invocation {
	records, _ := n.router.Access(0, maxAccess)
	var found []client.Invocation
	for _, a := range records {
		if (q.App == "" || a.App == q.App) && (q.Function == "" || a.Function == q.Function) && (!q.Failed || a.Status >= 400) {
			found = append(found, n.invocationOf(a))
		}
	}
	return found[max(0, len(found)-q.Limit):]
}

func (n *Node) invocationOf(a router.Access) client.Invocation {
	return client.Invocation{
		Time: a.Time.UTC(), Invocation: a.Invocation, Node: n.Name(), App: a.App, Function: a.Function, Version: a.Version,
		Trigger: a.Trigger, Method: a.Method, Path: a.Path, Status: a.Status, Code: a.Code, Start: a.Start,
		TookUS: a.Took.Microseconds(), Fuel: a.Fuel, RequestBytes: a.RequestBytes, ReplyBytes: a.ReplyBytes,
	}
}

// Top says what all nodes did since they started, this one first, or this one.
func (n *Node) Top(ctx context.Context, local client.LocalOnly) []client.NodeTotals {
	all := []client.NodeTotals{n.totals()}
	if local {
		return all
	}
	return append(all, askOthers(ctx, n, func(ctx context.Context, m client.Member) client.NodeTotals {
		if got, err := n.adminOf(m.ID).Top(ctx, true); err == nil && len(got) == 1 {
			return got[0]
		}
		return client.NodeTotals{Node: m.Name, ID: m.ID, State: client.VersionSilent, Functions: []client.FunctionTotals{}}
	})...)
}

func (n *Node) totals() client.NodeTotals {
	t := client.NodeTotals{Node: n.Name(), ID: n.ID(), State: client.StateAlive, UptimeSeconds: time.Since(n.started).Seconds(),
		Functions: []client.FunctionTotals{}}
	t.Running, t.Capacity = n.router.Load()
	t.CPUSeconds, t.MemoryBytes = n.process()
	for _, s := range n.router.Stats() {
		t.Functions = append(t.Functions, client.FunctionTotals{App: s.App, Function: s.Function, Invocations: s.Invocations,
			Failed: s.Failed, Cold: s.Cold, Running: s.Running, DurationSeconds: s.DurationSeconds})
	}
	return t
}

// process answers what the process has used, as its metrics say; 0 where they do not.
func (n *Node) process() (cpuSeconds float64, memoryBytes int64) {
	families, err := n.metrics.Gather()
	if err != nil {
		n.log.Debug("read process metrics", "err", err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "process_cpu_seconds_total":
			cpuSeconds = f.GetMetric()[0].GetCounter().GetValue()
		case "process_resident_memory_bytes":
			memoryBytes = int64(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return cpuSeconds, memoryBytes
}
