package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
)

// channels collects the queues, topics and buckets of a manifest: our short form at the top or under resources, and
// CloudFormation's under resources.Resources.
type channels struct {
	queues  []registry.Queue
	topics  []registry.Topic
	buckets []string
	places  map[string]string // path where queue:NAME, topic:NAME or bucket:NAME is declared
	later   []func()          // dead-letter queues, read when every resource is known
}

// channels reads queues, topics and buckets.
func (r *reader) channels(sections section) *channels {
	c := &channels{places: map[string]string{}}
	for _, f := range sections {
		switch f.key {
		case "queues":
			r.queues(f, c)
		case "topics":
			r.topics(f, c)
		case "buckets":
			r.buckets(f, c)
		case "resources":
			parts := []field{f}
			if f.value.Kind == yaml.SequenceNode {
				parts = r.list(f)
			}
			for _, part := range parts {
				r.resourcesIn(part, c)
			}
		}
	}
	for _, read := range c.later {
		read()
	}
	for i, q := range c.queues {
		if err := q.Validate(); err != nil && len(r.faults) == 0 {
			r.faultAt(r.root, c.places[kindQueue+":"+c.queues[i].Name], "%v", err)
		}
	}
	return c
}

func (r *reader) resourcesIn(f field, c *channels) {
	for _, sub := range r.keys(f, resourcesWords()) {
		switch sub.key {
		case "queues":
			r.queues(sub, c)
		case "topics":
			r.topics(sub, c)
		case "buckets":
			r.buckets(sub, c)
		case "Resources":
			for _, entry := range r.mapping(sub) {
				r.resource(entry, c)
			}
		}
	}
}

// declare remembers a name, and refuses one that is declared already.
func (r *reader) declare(f field, c *channels, kind, name string) bool {
	check := registry.CheckQueueName
	switch kind {
	case kindTopic:
		check = registry.CheckTopicName
	case kindBucket:
		check = op.ValidateBucket
	}
	if err := check(name); err != nil {
		r.faultAt(f.at, f.path, "%v", err)
		return false
	}
	if other, twice := c.places[kind+":"+name]; twice {
		r.faultAt(f.at, f.path, "%s %q is declared already, at %s", kind, clip(name), other)
		return false
	}
	c.places[kind+":"+name] = f.path
	if kind == kindBucket {
		if len(c.buckets) == MaxChannels {
			r.faultAt(f.at, f.path, "more than %d buckets", MaxChannels)
		}
		return len(c.buckets) < MaxChannels
	}
	channels := len(c.places) - len(c.buckets)
	if channels == 2*MaxChannels+1 {
		r.faultAt(f.at, f.path, "more than %d queues and topics", 2*MaxChannels)
	}
	return channels <= 2*MaxChannels
}

// queues reads our short form.
func (r *reader) queues(f field, c *channels) {
	for _, entry := range r.mapping(f) {
		if !r.declare(entry, c, kindQueue, entry.key) {
			continue
		}
		at := len(c.queues)
		q := registry.Queue{Name: entry.key, FIFO: strings.HasSuffix(entry.key, ".fifo")}
		for _, sub := range r.keys(entry, queueWords()) {
			switch sub.key {
			case "fifo":
				if r.yes(sub) != q.FIFO {
					r.faultAt(sub.value, sub.path, "a FIFO queue's name ends in .fifo, no other's does")
				}
			case "contentBasedDeduplication":
				q.ContentDedup = r.yes(sub)
			case "visibilityTimeout":
				q.VisibilitySeconds = r.seconds(sub, 1, registry.MaxVisibilitySeconds)
			case "delay":
				q.DelaySeconds = r.seconds(sub, 0, registry.MaxDelaySeconds)
			case "retention":
				q.RetentionSeconds = r.seconds(sub, registry.MinRetentionSeconds, registry.MaxRetentionSeconds)
			case "receiveWait":
				q.WaitSeconds = r.seconds(sub, 0, registry.MaxWaitSeconds)
			case "maxMessageBytes":
				q.MaxBytes = r.number(sub, registry.MinMessageBytes, registry.MaxMessageBytes, "bytes")
			case "maxReceives":
				q.MaxReceives = r.number(sub, 1, registry.MaxReceives, "receives")
			case "deadLetter":
				c.later = append(c.later, func() { r.deadLetter(sub, &c.queues[at]) })
			}
		}
		c.queues = append(c.queues, q)
		if q.MaxReceives != 0 && !r.hasKey(entry.value, "deadLetter") {
			r.faultAt(entry.at, entry.path, "maxReceives needs deadLetter: the queue for messages received that often")
		}
		r.checkDedup(entry, q)
	}
}

func (r *reader) deadLetter(f field, q *registry.Queue) {
	found, ok := r.target(f, kindQueue)
	switch {
	case !ok:
	case found.name == q.Name:
		r.faultAt(f.value, f.path, "is the queue itself")
	case strings.HasSuffix(found.name, ".fifo") != q.FIFO:
		r.faultAt(f.value, f.path, "%q: FIFO like the queue itself, or neither", clip(found.name))
	default:
		q.DeadLetter = found.name
	}
}

func (r *reader) checkDedup(f field, q registry.Queue) {
	if q.ContentDedup && !q.FIFO {
		r.faultAt(f.at, f.path, "deduplication by content is for FIFO queues")
	}
}

// topics reads our short form.
func (r *reader) topics(f field, c *channels) {
	for _, entry := range r.mapping(f) {
		r.keys(entry, topicWords())
		if r.declare(entry, c, kindTopic, entry.key) {
			c.topics = append(c.topics, registry.Topic{Name: entry.key})
		}
	}
}

// buckets reads our short form.
func (r *reader) buckets(f field, c *channels) {
	for _, entry := range r.mapping(f) {
		r.keys(entry, bucketWords())
		if r.declare(entry, c, kindBucket, entry.key) {
			c.buckets = append(c.buckets, entry.key)
		}
	}
}

// resource reads one entry of CloudFormation.
func (r *reader) resource(f field, c *channels) {
	fields := section(r.keys(f, resourceWords()))
	at, ok := fields.find("Type")
	if !ok {
		if !r.hasKey(f.value, "Type") {
			r.faultAt(f.at, f.path, "Type is missing, as in Type: AWS::SQS::Queue")
		}
		return
	}
	kind, ok := r.text(at)
	if !ok {
		return
	}
	if _, twice := r.resources[f.key]; twice {
		r.faultAt(f.at, f.path, "is there already")
		return
	}
	r.resources[f.key] = resource{} // so that what refers to it does not tell of its faults again
	properties, _ := fields.find("Properties")
	if properties.value == nil {
		properties = field{path: f.path, at: f.at, value: &yaml.Node{Kind: yaml.MappingNode, Line: f.at.Line, Column: f.at.Column}}
	}
	switch {
	case kind == "AWS::SQS::Queue":
		r.sqsQueue(f, properties, c)
	case kind == "AWS::SNS::Topic":
		r.snsTopic(f, properties, c)
	case kind == "AWS::S3::Bucket":
		r.s3Bucket(f, properties, c)
	case isCloudOnly(kind):
		r.resources[f.key] = resource{kindCloud, r.cloudName(f.key, properties)}
		r.note(at.value, f.path, "is a %s, which has no effect here", kind)
	default:
		near := Nearest(kind, slices.Concat(resourceTypes(), cloudTypes()))
		if near == kind {
			near = ""
		}
		r.faultAt(at.value, at.path, "%s is not offered%s", clip(kind), didYouMean(near))
	}
}

// cloudName answers the name of a table, else the logical id: functions are told it in their environment.
func (r *reader) cloudName(logical string, properties field) string {
	if properties.value.Kind != yaml.MappingNode {
		return logical
	}
	n, err := r.step(properties.value, "TableName")
	if n == nil || err != nil {
		return logical
	}
	if n, ok := r.resolve(properties.path, n); ok && n.Kind == yaml.ScalarNode && strings.HasPrefix(n.ShortTag(), "!!") {
		return n.Value
	}
	return logical
}

// sqsQueue reads the properties of AWS::SQS::Queue.
func (r *reader) sqsQueue(f, properties field, c *channels) {
	q := registry.Queue{}
	var dead []field
	for _, sub := range r.keys(properties, sqsWords()) {
		switch sub.key {
		case "QueueName":
			q.Name, _ = r.text(sub)
		case "FifoQueue":
			q.FIFO = r.yes(sub)
		case "ContentBasedDeduplication":
			q.ContentDedup = r.yes(sub)
		case "VisibilityTimeout":
			q.VisibilitySeconds = r.number(sub, 1, registry.MaxVisibilitySeconds, "seconds")
		case "DelaySeconds":
			q.DelaySeconds = r.number(sub, 0, registry.MaxDelaySeconds, "seconds")
		case "MessageRetentionPeriod":
			q.RetentionSeconds = r.number(sub, registry.MinRetentionSeconds, registry.MaxRetentionSeconds, "seconds")
		case "ReceiveMessageWaitTimeSeconds":
			q.WaitSeconds = r.number(sub, 0, registry.MaxWaitSeconds, "seconds")
		case "MaximumMessageSize":
			q.MaxBytes = r.number(sub, registry.MinMessageBytes, registry.MaxMessageBytes, "bytes")
		case "RedrivePolicy":
			for _, part := range r.keys(sub, redriveWords()) {
				switch part.key {
				case "maxReceiveCount":
					q.MaxReceives = r.number(part, 1, registry.MaxReceives, "receives")
				case "deadLetterTargetArn":
					dead = append(dead, part)
				}
			}
			if !r.hasKey(sub.value, "deadLetterTargetArn") {
				r.faultAt(sub.at, sub.path, "deadLetterTargetArn is missing")
			}
		}
	}
	if q.Name == "" {
		if q.Name = f.key; q.FIFO {
			q.Name += ".fifo"
		}
	}
	if q.FIFO != strings.HasSuffix(q.Name, ".fifo") {
		r.faultAt(f.at, f.path, "%q: a FIFO queue's name ends in .fifo, no other's does", clip(q.Name))
		return
	}
	r.checkDedup(f, q)
	if r.declare(f, c, kindQueue, q.Name) {
		r.resources[f.key] = resource{kindQueue, q.Name}
		at := len(c.queues)
		c.queues = append(c.queues, q)
		for _, d := range dead {
			c.later = append(c.later, func() { r.deadLetter(d, &c.queues[at]) })
		}
	}
}

// snsTopic reads the properties of AWS::SNS::Topic.
func (r *reader) snsTopic(f, properties field, c *channels) {
	name := f.key
	for _, sub := range r.keys(properties, snsWords()) {
		if sub.key == "TopicName" {
			name, _ = r.text(sub)
		}
	}
	if name != "" && r.declare(f, c, kindTopic, name) {
		r.resources[f.key] = resource{kindTopic, name}
		c.topics = append(c.topics, registry.Topic{Name: name})
	}
}

// s3Bucket reads the properties of AWS::S3::Bucket. One without a name is called by its logical id, in lower case.
func (r *reader) s3Bucket(f, properties field, c *channels) {
	name := strings.ToLower(f.key)
	for _, sub := range r.keys(properties, s3Words()) {
		if sub.key == "BucketName" {
			name, _ = r.text(sub)
		}
	}
	if name != "" && r.declare(f, c, kindBucket, name) {
		r.resources[f.key] = resource{kindBucket, name}
		c.buckets = append(c.buckets, name)
	}
}
