package node

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// An app's event bus works as a topic does: what is put waits in one queue, and the leader's node forwards it to the
// queues of the rules, each of which has a worker, and to those of the archives, which nobody receives from.

// busTimeout is how long a node tries to put an event of the platform's own.
const busTimeout = 2 * time.Second

// busForwarder gives what is put on an app's bus to its rules and archives.
func (n *Node) busForwarder(app string) *trigger.Forwarder {
	return &trigger.Forwarder{Topic: "default", Trigger: abi.TriggerEvent, Queue: channel{n.queues, app, queue.BusQueue}, Delivery: n.delivery,
		Subscribers: func(ctx context.Context) ([]trigger.Subscriber, error) { return n.busSubscribers(ctx, app) }}
}

// ruled is a rule of a function.
type ruled struct {
	registry.EventSource
	name  string // or its number
	queue string
}

// eventRules are the rules of a function's live versions. Where several have one of a name, the heaviest says what it is.
func eventRules(f *registry.Function) (all []ruled) {
	seen := map[string]bool{}
	for _, v := range f.Live() {
		number := 0
		for _, t := range v.Settings.Triggers {
			if t.Event == nil {
				continue
			}
			number++
			name := trigger.RuleName(*t.Event, number)
			if !seen[name] {
				seen[name] = true
				all = append(all, ruled{*t.Event, name, queue.RuleQueue(f.Name, name)})
			}
		}
	}
	return all
}

// busSubscribers answers who gets what this node has received of an app's bus, and makes the queues that they have not
// got yet. A rule that cannot be read is left out: deploys refuse it.
func (n *Node) busSubscribers(ctx context.Context, app string) (all []trigger.Subscriber, err error) {
	if err := n.refreshed(ctx); err != nil { // what was deployed before the event was put is here: the receive has seen both
		return nil, err
	}
	there, err := n.inner(ctx, app, queue.BusQueue+"/")
	if err != nil {
		return nil, err
	}
	add := func(s trigger.Subscriber, err error) {
		if err != nil {
			n.log.Error("read pattern", "app", app, "queue", s.Queue, "err", err)
			return
		}
		all = append(all, s)
	}
	for _, f := range n.registry.Snapshot().Functions() {
		if f.App != app {
			continue
		}
		for _, r := range eventRules(f) {
			if _, made := there[r.queue]; !made {
				if err := n.makeSubscription(ctx, app, r.queue); err != nil {
					return nil, err
				}
			}
			add(trigger.NewRule(r.queue, f.Name, r.EventSource))
		}
	}
	archives, err := trigger.ListArchives(ctx, n.store, app)
	for _, a := range archives {
		info, made := there[queue.ArchiveQueue(a.Name)]
		if info.Stats.Bytes >= a.MaxBytes {
			n.log.Warn("archive is full", "app", app, "archive", a.Name, "bytes", info.Stats.Bytes)
			continue
		}
		if !made {
			if err := n.makeArchive(ctx, app, a); err != nil {
				return nil, err
			}
		}
		add(trigger.NewArchiver(queue.ArchiveQueue(a.Name), a.Pattern))
	}
	return all, err
}

// inner answers the platform's own queues of an app whose names begin so.
func (n *Node) inner(ctx context.Context, app, prefix string) (map[string]registry.QueueInfo, error) {
	there := map[string]registry.QueueInfo{}
	for q := (op.QueueQuery{Prefix: prefix, Inner: true}); ; {
		page, after, err := n.queues.List(ctx, app, q)
		if err != nil {
			return nil, err
		}
		for _, i := range page {
			there[i.Name] = i
		}
		if q.After = after; after == "" {
			return there, nil
		}
	}
}

// PutEvents puts events on an app's bus, and answers their ids once they are durable, all or none.
func (n *Node) PutEvents(ctx context.Context, app string, events ...registry.BusEvent) (ids []string, err error) {
	s, ids, err := n.Putting(ctx, app, events...)
	if err == nil {
		_, err = n.queues.Send(ctx, app, s.Queue, s.Messages...)
	}
	return ids, err
}

// Putting answers what puts events on an app's bus, which it makes when it is not there, and the ids they will have.
func (n *Node) Putting(ctx context.Context, app string, events ...registry.BusEvent) (s op.Sending, ids []string, err error) {
	s = op.Sending{Queue: queue.BusQueue, Messages: make([]op.Outgoing, len(events))}
	ids = make([]string, len(events))
	for i, e := range events {
		if s.Messages[i], ids[i], err = n.delivery.Event(e); err != nil {
			return s, nil, err
		}
	}
	return s, ids, n.makeBus(ctx, app)
}

// makeBus makes an app's bus when it is not there.
func (n *Node) makeBus(ctx context.Context, app string) error {
	_, err := n.queues.Settings(ctx, app, queue.BusQueue)
	if abi.CodeOf(err) == abi.NotFound {
		err = n.makeSubscription(ctx, app, queue.BusQueue)
	}
	return err
}

// PutArchive makes an archive of an app's bus, or changes one. It keeps what is put from then on.
func (n *Node) PutArchive(ctx context.Context, app string, a registry.Archive) error {
	a = a.Complete()
	if err := trigger.PutArchive(ctx, n.store, app, a); err != nil {
		return err
	}
	return n.makeArchive(ctx, app, a)
}

func (n *Node) makeArchive(ctx context.Context, app string, a registry.Archive) error {
	return n.queues.PutInner(ctx, app, registry.Queue{Name: queue.ArchiveQueue(a.Name), RetentionSeconds: a.RetentionSeconds})
}

// RemoveArchive removes an archive with all it keeps.
func (n *Node) RemoveArchive(ctx context.Context, app, name string) error {
	if err := trigger.DeleteArchive(ctx, n.store, app, name); err != nil {
		return err
	}
	if err := n.queues.Remove(ctx, app, queue.ArchiveQueue(name)); err != nil && abi.CodeOf(err) != abi.NotFound {
		return err
	}
	return nil
}

// Archives answers the archives of an app's bus by name.
func (n *Node) Archives(ctx context.Context, app string) ([]registry.ArchiveInfo, error) {
	archives, err := trigger.ListArchives(ctx, n.store, app)
	if err != nil {
		return nil, err
	}
	all := make([]registry.ArchiveInfo, len(archives))
	for i, a := range archives {
		s, err := n.queues.Stats(ctx, app, queue.ArchiveQueue(a.Name))
		if err != nil && abi.CodeOf(err) != abi.NotFound {
			return nil, err
		}
		all[i] = registry.ArchiveInfo{Archive: a, Events: s.Messages, Bytes: s.Bytes, Oldest: s.Oldest}
	}
	return all, nil
}

// Replay puts a page of an archive's events on the bus again. What was put before an error may be put again.
func (n *Node) Replay(ctx context.Context, app, archive string, r registry.Replay) (done registry.Replayed, err error) {
	if r.Function != "" && n.registry.Snapshot().Function(app, r.Function) == nil {
		return done, registry.NoFunction(app, r.Function)
	}
	kept, err := n.queues.Peek(ctx, app, queue.ArchiveQueue(archive), r.After)
	if abi.CodeOf(err) == abi.NotFound {
		err = trigger.NoArchive(app, archive)
	}
	if err != nil {
		return done, err
	}
	if err := n.makeBus(ctx, app); err != nil {
		return done, err
	}
	var batch []op.Outgoing
	size := 0
	send := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := n.queues.Send(ctx, app, queue.BusQueue, batch...)
		done.Events += len(batch)
		batch, size = nil, 0
		return err
	}
	for _, m := range kept {
		done.Next = m.Sequence
		if m.Sent.Before(r.From) || !r.To.IsZero() && !m.Sent.Before(r.To) {
			continue
		}
		again, err := trigger.Replayed(m, archive, r.Function)
		if err != nil {
			return done, err
		}
		if size += len(again.Body); size > op.MaxTxnBytes/2 {
			if err := send(); err != nil {
				return done, err
			}
			size = len(again.Body)
		}
		batch = append(batch, again)
	}
	return done, send()
}

// announce puts an event of the platform's on an app's bus, if there is a rule or an archive that might want it: as well as
// it can.
func (n *Node) announce(ctx context.Context, app string, e registry.BusEvent, detail map[string]any) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), busTimeout)
	defer cancel()
	heard, err := n.busHeard(ctx, app)
	if !heard && err == nil {
		return
	}
	if err == nil {
		e.Detail, err = json.Marshal(detail)
	}
	if err == nil {
		_, err = n.PutEvents(ctx, app, e)
	}
	if err != nil {
		n.log.Warn("put event", "app", app, "source", e.Source, "err", err)
	}
}

// busHeard says whether an app has a rule or an archive.
func (n *Node) busHeard(ctx context.Context, app string) (bool, error) {
	for _, f := range n.registry.Snapshot().Functions() {
		if f.App == app && len(eventRules(f)) > 0 {
			return true, nil
		}
	}
	archives, err := trigger.ListArchives(ctx, n.store, app)
	return len(archives) > 0, err
}

// announceDeployed puts the event of a version that was deployed, rolled back to, or removed.
func (n *Node) announceDeployed(ctx context.Context, app, function, state string, version int) {
	detail := map[string]any{"app": app, "function": function, "state": state}
	if version != 0 {
		detail["version"] = version
	}
	n.announce(ctx, app, registry.BusEvent{Source: registry.PlatformSource + "deployment", DetailType: "Function Deployment State Change"}, detail)
}

// announceGivenUp puts the event of an invocation that was given up.
func (n *Node) announceGivenUp(ctx context.Context, i *trigger.Invocation, o trigger.Outcome) {
	reason := i.Error
	if o.Err != nil {
		reason = strings.ToValidUTF8(o.Err.Error(), "")
		reason = reason[:min(len(reason), 1000)]
	}
	n.announce(ctx, i.App, registry.BusEvent{Source: registry.PlatformSource + "delivery", DetailType: "Invocation Given Up"}, map[string]any{
		"app": i.App, "function": i.Function, "invocation": i.ID, "trigger": i.Trigger, "condition": o.Condition, "attempts": i.Failed, "error": reason,
	})
}
