package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// What became of a queue, a topic or a bucket.
const (
	changeCreated   = "created"
	changeUpdated   = "updated"
	changeUnchanged = "unchanged"
)

// channelChange is what a deployment did to a queue, a topic or a bucket.
type channelChange struct {
	Name   string `json:"name"`
	Change string `json:"change"`
}

// channels are the queues, topics and buckets of a deployment.
type channels struct {
	Queues  []channelChange `json:"queues,omitempty"`
	Topics  []channelChange `json:"topics,omitempty"`
	Buckets []channelChange `json:"buckets,omitempty"`
}

// makeChannels makes the queues, topics and buckets that a project has, or gives queues the settings it says. Those of before that it does not declare stay.
func (c *cli) makeChannels(ctx context.Context, node *client.Client, p *project) error {
	for _, q := range p.queues {
		change, err := putQueue(ctx, putting{node.Queues(), c.app, q})
		if err != nil {
			return fmt.Errorf("queue %s: %w", q.Name, err)
		}
		p.made.Queues = append(p.made.Queues, channelChange{q.Name, change})
	}
	for _, t := range p.topics {
		change, err := putTopic(ctx, node.Topics(), c.app, t)
		if err != nil {
			return fmt.Errorf("topic %s: %w", t.Name, err)
		}
		p.made.Topics = append(p.made.Topics, channelChange{t.Name, change})
	}
	for _, name := range p.ownBuckets() {
		change := changeUnchanged
		_, err := node.Objects().Bucket(ctx, c.app, name)
		if errors.Is(err, op.ErrNoBucket) {
			change = changeCreated
			_, err = node.Objects().PutBucket(ctx, c.app, name, client.BucketRequest{})
		}
		if err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
		p.made.Buckets = append(p.made.Buckets, channelChange{name, change})
	}
	return nil
}

// ownBuckets are the names of the buckets that a project declares, and of those that a function is told of and that need
// not be there already.
func (p *project) ownBuckets() []string {
	names := slices.Clone(p.buckets)
	for _, f := range p.functions {
		for _, t := range f.settings.Triggers {
			if t.Upload != nil && !t.Upload.Existing && !slices.Contains(names, t.Upload.Bucket) {
				names = append(names, t.Upload.Bucket)
			}
		}
	}
	return names
}

// putting is a queue to be made.
type putting struct {
	node  client.Queues
	app   string
	queue registry.Queue
}

// putQueue makes a queue, or changes one that is there, and says which.
func putQueue(ctx context.Context, p putting) (change string, err error) {
	there, err := p.node.Get(ctx, p.app, p.queue.Name)
	switch {
	case errors.Is(err, op.ErrNoQueue):
		change = changeCreated
	case err != nil:
		return "", err
	case there.Queue.Complete() == p.queue.Complete():
		return changeUnchanged, nil
	default:
		change = changeUpdated
	}
	return change, p.node.Put(ctx, p.app, p.queue)
}

// putTopic makes a topic unless it is there, and says which.
func putTopic(ctx context.Context, node client.Topics, app string, t registry.Topic) (change string, err error) {
	topics, err := node.List(ctx, app)
	if err != nil {
		return "", err
	}
	for _, there := range topics {
		if there == t {
			return changeUnchanged, nil
		}
	}
	return changeCreated, node.Put(ctx, app, t)
}

// mention is a queue or a topic that something of a project names.
type mention struct{ kind, name, by string }

// mentions answers what of a project names queues and topics that it does not declare, each once.
func (p *project) mentions() (all []mention) {
	seen := map[string]bool{}
	for _, q := range p.queues {
		seen[registry.DestinationQueue+":"+q.Name] = true
	}
	for _, t := range p.topics {
		seen[registry.DestinationTopic+":"+t.Name] = true
	}
	add := func(destination, by string) {
		kind, name, err := registry.ParseDestination(destination)
		if err != nil || kind == registry.DestinationFunction || seen[destination] {
			return
		}
		seen[destination] = true
		all = append(all, mention{kind, name, by})
	}
	for _, q := range p.queues {
		add(registry.DestinationQueue+":"+q.DeadLetter, "queue "+q.Name)
	}
	for _, f := range p.functions {
		by := "function " + f.name
		for _, t := range f.settings.Triggers {
			if t.Queue != nil {
				add(registry.DestinationQueue+":"+t.Queue.Queue, by)
			}
			if t.Topic != nil {
				add(registry.DestinationTopic+":"+t.Topic.Topic, by)
				add(registry.DestinationQueue+":"+t.Topic.DeadLetter, by)
			}
			if t.Event != nil {
				add(registry.DestinationQueue+":"+t.Event.DeadLetter, by)
			}
			if t.Stream != nil {
				add(t.Stream.OnFailure, by)
			}
		}
		if a := f.settings.Async; a != nil {
			add(a.OnSuccess, by)
			add(a.OnFailure, by)
		}
	}
	return all
}

// noteMissing tells what missing finds.
func (c *cli) noteMissing(ctx context.Context, p *project) error {
	if c.format == formatJSON {
		return nil
	}
	node, err := c.client()
	if err != nil {
		return err
	}
	for _, note := range c.missing(ctx, node, p) {
		fmt.Fprintf(c.err, "sett: note: %s\n", note)
	}
	return nil
}

// missing notes the queues and topics that a project names and that are nowhere. What cannot be asked is not noted.
func (c *cli) missing(ctx context.Context, node *client.Client, p *project) (notes []string) {
	var topics []registry.Topic
	asked := false
	for _, m := range p.mentions() {
		there := true
		switch m.kind {
		case registry.DestinationQueue:
			_, err := node.Queues().Get(ctx, c.app, m.name)
			there = abi.CodeOf(err) != abi.NotFound
		case registry.DestinationTopic:
			if !asked {
				var err error
				if topics, err = node.Topics().List(ctx, c.app); err != nil {
					continue
				}
				asked = true
			}
			there = slices.Contains(topics, registry.Topic{Name: m.name})
		}
		if !there {
			notes = append(notes, fmt.Sprintf("%s %s is named by %s and is not there: sett %s create %s", m.kind, m.name, m.by, m.kind, m.name))
		}
	}
	return notes
}

// channelDifferences says what a deployment would change of the queues, topics and buckets that a project has.
func (c *cli) channelDifferences(ctx context.Context, node *client.Client, p *project) (changes []difference, err error) {
	for _, q := range p.queues {
		there, err := node.Queues().Get(ctx, c.app, q.Name)
		switch {
		case errors.Is(err, op.ErrNoQueue):
			changes = append(changes, difference{Queue: q.Name, Change: changeAdded})
		case err != nil:
			return nil, fmt.Errorf("queue %s: %w", q.Name, err)
		case there.Queue.Complete() != q.Complete():
			changes = append(changes, difference{Queue: q.Name, Change: changeChanged, Fields: differingFields(flatten(there.Queue.Complete()), flatten(q.Complete()))})
		}
	}
	for _, name := range p.ownBuckets() {
		_, err := node.Objects().Bucket(ctx, c.app, name)
		switch {
		case errors.Is(err, op.ErrNoBucket):
			changes = append(changes, difference{Bucket: name, Change: changeAdded})
		case err != nil:
			return nil, fmt.Errorf("bucket %s: %w", name, err)
		}
	}
	if len(p.topics) == 0 {
		return changes, nil
	}
	topics, err := node.Topics().List(ctx, c.app)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	for _, t := range p.topics {
		if !slices.Contains(topics, t) {
			changes = append(changes, difference{Topic: t.Name, Change: changeAdded})
		}
	}
	return changes, nil
}
