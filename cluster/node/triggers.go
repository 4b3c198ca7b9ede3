package node

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// lookPause is how often what is to run is looked at when nothing has changed: for subscriptions that nobody has any more.
const lookPause = 30 * time.Second

// worker is what gives functions messages, until its context ends.
type worker interface{ Run(ctx context.Context) }

// triggers is what invokes functions besides requests.
type triggers struct {
	running map[string]context.CancelFunc // by what the worker is, with its settings
	workers sync.WaitGroup
	over    chan struct{}        // closed when none runs any more
	wake    chan struct{}        // 1 slot
	orphans map[string]time.Time // subscriptions' queues that nobody has any more, since when
	unheard map[string]time.Time // buckets whose objects' events nobody wants, since when
	swept   time.Time            // when buckets were last looked at
	plain   map[string]time.Time // apps, since when none of their functions has a stream; zero: one has
}

func (n *Node) openTriggers(context.Context) (err error) {
	n.delivery, err = trigger.NewDelivery(trigger.DeliveryConfig{Dispatcher: door{n}, Functions: n.registry, Destinations: destinations{n},
		Region: n.config.Region, GivenUp: n.announceGivenUp, Log: n.log, Registerer: n.metrics})
	if err != nil {
		return err
	}
	if err := n.metrics.Register(n.queues.Collector()); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	n.scheduler = trigger.NewScheduler(trigger.SchedulerConfig{Store: n.store, Effects: n.queues, Delivery: n.delivery})
	n.triggers = triggers{running: map[string]context.CancelFunc{}, over: make(chan struct{}), wake: make(chan struct{}, 1),
		orphans: map[string]time.Time{}, plain: map[string]time.Time{}}
	return n.changed() // from now on there is who serves
}

// door is the way that triggers take to functions.
type door struct{ *Node }

// Dispatch is for trigger.Dispatcher. A function that is not there may have been deployed by another node before its event:
// whoever received that has the record of it, too.
func (n door) Dispatch(ctx context.Context, c router.Call) (*abi.Result, error) {
	result, err := n.router.Dispatch(ctx, c)
	if abi.CodeOf(err) != abi.NotFound || c.Event.Version != 0 {
		return result, err
	}
	if err := n.refreshed(ctx); err != nil {
		return result, abi.WithCode(abi.Unavailable, err) // it may be there
	}
	return n.router.Dispatch(ctx, c)
}

// wakeTriggers has runTriggers look at what is to run.
func (n *Node) wakeTriggers() {
	n.scheduler.Wake()
	select {
	case n.triggers.wake <- struct{}{}:
	default:
	}
}

// runTriggers runs what the functions that are live ask for, until Close.
func (n *Node) runTriggers() {
	n.triggers.workers.Go(func() { n.scheduler.Run(n.ctx) })
	for n.ctx.Err() == nil {
		changed, forget := n.queues.Changed()
		members := n.den.gossip.Changed()
		_, led := n.store.Replica().Leader()
		if err := n.adjust(); err != nil && n.ctx.Err() == nil {
			n.log.Warn("look for triggers", "err", err)
		}
		select {
		case <-n.ctx.Done():
		case <-changed:
		case <-members:
		case <-led:
		case <-n.triggers.wake:
		case <-time.After(lookPause):
		}
		forget()
	}
	n.triggers.workers.Wait()
	close(n.triggers.over)
}

// awaitTriggers returns when nothing that triggers began runs any more, or ctx ends: then the router ends it.
func (n *Node) awaitTriggers(ctx context.Context) error {
	select {
	case <-n.triggers.over:
	case <-ctx.Done():
	}
	return nil
}

// adjust starts the workers that are to run and stops the others.
func (n *Node) adjust() error {
	queues, err := n.queues.All(n.ctx)
	if err != nil {
		return err
	}
	wanted, err := n.wanted(queues)
	if err != nil {
		return err
	}
	for key, stop := range n.triggers.running {
		if wanted[key] == nil {
			stop()
			delete(n.triggers.running, key)
		}
	}
	for key, w := range wanted {
		if n.triggers.running[key] == nil {
			ctx, stop := context.WithCancel(n.ctx)
			n.triggers.running[key] = stop
			n.triggers.workers.Go(func() { w.Run(ctx) })
		}
	}
	n.sweepBuckets()
	n.tendStreams()
	return n.sweepSubscriptions(queues)
}

// wanted are the workers that this node is to run, by what they are: for queues that are there alone. Those that have a
// share of nothing are left out.
func (n *Node) wanted(queues []fsm.QueueName) (map[string]worker, error) {
	all := map[string]worker{}
	there := map[fsm.QueueName]bool{}
	leads := n.store.Replica().Leading() != 0
	for _, q := range queues {
		there[q] = true
		topic, isTopic := queue.TopicOf(q.Name)
		switch {
		case q.Name == asyncQueue:
			all["async "+q.Namespace] = n.async(q.Namespace)
		case isTopic && leads:
			all["topic "+q.Namespace+" "+topic] = n.forwarder(q.Namespace, topic)
		case q.Name == queue.BusQueue && leads:
			all["bus "+q.Namespace] = n.busForwarder(q.Namespace)
		}
	}
	snapshot := n.registry.Snapshot()
	for _, f := range snapshot.Functions() {
		n.addStreams(all, f, snapshot.Generation())
		for _, s := range queueSources(f) {
			if err := n.addQueueWorker(all, f, s, there); err != nil { // no reason for others to wait
				n.log.Error("work on queue", "app", f.App, "function", f.Name, "queue", s.Queue, "err", err)
			}
		}
		for _, s := range topicSources(f) {
			name := functionSubscription(s.Topic, f.Name)
			if there[fsm.QueueName{Namespace: f.App, Name: name}] {
				all[keyOfWorker("topic", f, s)] = trigger.NewTopicWorker(n.workerConfig(f, name), s)
			}
		}
		for _, r := range eventRules(f) {
			if !there[fsm.QueueName{Namespace: f.App, Name: r.queue}] {
				continue
			}
			w, err := trigger.NewRuleWorker(n.workerConfig(f, r.queue), r.EventSource, r.name)
			if err != nil {
				return nil, fmt.Errorf("function %s in app %s: %w", f.Name, f.App, err)
			}
			all[keyOfWorker("rule "+r.name, f, r.EventSource)] = w
		}
	}
	if err := n.addUploads(all, there); err != nil {
		return nil, err
	}
	return all, n.addURLWorkers(all, there)
}

// keyOfWorker is what a function's worker is, so that one with other settings is another.
func keyOfWorker(kind string, f *registry.Function, source any) string {
	settings, _ := json.Marshal(source) // it came as JSON
	return fmt.Sprintf("%s %s %s %d %s", kind, f.App, f.Name, f.Live()[0].Settings.Concurrency(), settings)
}

func (n *Node) workerConfig(f *registry.Function, queue string) trigger.WorkerConfig {
	return trigger.WorkerConfig{App: f.App, Function: f.Name, Source: channel{n.queues, f.App, queue}, Delivery: n.delivery,
		Slots: f.Live()[0].Settings.Concurrency()}
}

// addQueueWorker adds the worker of a function's queue. Batches that may run at once in the cluster are shared out.
func (n *Node) addQueueWorker(all map[string]worker, f *registry.Function, s registry.QueueSource, there map[fsm.QueueName]bool) error {
	if !there[fsm.QueueName{Namespace: f.App, Name: s.Queue}] {
		return nil
	}
	c := n.workerConfig(f, s.Queue)
	settings, err := n.queues.Settings(n.ctx, f.App, s.Queue)
	if abi.CodeOf(err) == abi.NotFound {
		return nil // it was there a moment ago
	} else if err != nil {
		return err
	}
	c.Visibility = time.Duration(settings.VisibilitySeconds) * time.Second
	if s.Concurrency > 0 {
		if c.Slots = share(s.Concurrency, f.App+"/"+f.Name+"/"+s.Queue, n.ID(), n.livingIDs()); c.Slots == 0 {
			return nil
		}
	}
	w, err := trigger.NewQueueWorker(c, s)
	if err != nil {
		return err
	}
	all[fmt.Sprintf("%s %d %v", keyOfWorker("queue", f, s), c.Slots, c.Visibility)] = w
	return nil
}

// share is how many of n a node has, when all nodes do the same: they differ by one at most, and key says who has more.
func share(n int, key, self string, nodes []string) int {
	before := turn(key, self, nodes)
	most := n / len(nodes)
	if before < n%len(nodes) {
		most++
	}
	return most
}

// turn is how many nodes come before one, in an order that key gives.
func turn(key, self string, nodes []string) (before int) {
	rank := func(id string) uint64 {
		h := fnv.New64a()
		h.Write([]byte(key + "/" + id))
		return h.Sum64()
	}
	own := rank(self)
	for _, id := range nodes {
		if r := rank(id); r < own || r == own && id < self {
			before++
		}
	}
	return before
}

// queueSources are the queues of a function's live versions. Where several name one, the heaviest says how it is read.
func queueSources(f *registry.Function) (all []registry.QueueSource) {
	for _, v := range f.Live() {
		for _, t := range v.Settings.Triggers {
			if t.Queue != nil && !slices.ContainsFunc(all, func(s registry.QueueSource) bool { return s.Queue == t.Queue.Queue }) {
				all = append(all, *t.Queue)
			}
		}
	}
	return all
}

// topicSources is queueSources for topics.
func topicSources(f *registry.Function) (all []registry.TopicSource) {
	for _, v := range f.Live() {
		for _, t := range v.Settings.Triggers {
			if t.Topic != nil && !slices.ContainsFunc(all, func(s registry.TopicSource) bool { return s.Topic == t.Topic.Topic }) {
				all = append(all, *t.Topic)
			}
		}
	}
	return all
}

// addURLWorkers adds the workers of subscriptions to URLs.
func (n *Node) addURLWorkers(all map[string]worker, there map[fsm.QueueName]bool) error {
	apps := map[string]bool{}
	for q := range there {
		if _, isTopic := queue.TopicOf(q.Name); isTopic {
			apps[q.Namespace] = true
		}
	}
	for app := range apps {
		subscriptions, err := trigger.ListSubscriptions(n.ctx, n.store, app, "")
		if err != nil {
			return err
		}
		for _, s := range subscriptions {
			name := otherSubscription(s.Topic, s.Name)
			if !there[fsm.QueueName{Namespace: app, Name: name}] || strings.HasPrefix(s.To, registry.DestinationQueue+":") {
				continue
			}
			settings, _ := json.Marshal(s) // it came as JSON
			c := trigger.WorkerConfig{App: app, Source: channel{n.queues, app, name}, Delivery: n.delivery}
			all[fmt.Sprintf("url %s %s", app, settings)] = trigger.NewURLWorker(c, s, poster{n.client})
		}
	}
	return nil
}

// openClient opens the client of all that functions send out.
func (n *Node) openClient(context.Context) (err error) {
	n.client, err = host.NewClient(host.ClientConfig{Name: "sett/" + n.config.Version, Metrics: n.metrics, Forbidden: n.forbidden})
	if err != nil {
		return err
	}
	n.push("outgoing client", func(context.Context) error { n.client.Close(); return nil })
	return nil
}
