package registry

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// Limits of what invokes a function. Each is AWS's where AWS has one.
const (
	MaxTriggers        = 50        // of a version; each costs its node a poller or a timer
	MaxExpressions     = 10        // of a schedule
	MaxExpressionBytes = 256       // one of them
	MaxPathBytes       = 256       // an InputPath
	MaxBatch           = 10_000    // messages in a batch
	DefaultBatch       = 10        //
	MaxWindowMS        = 300_000   // wait for a batch to be full
	MaxBatches         = 1000      // batches of one queue at once
	MaxFilters         = 10        // of a queue
	MaxDocumentsBytes  = 128 << 10 // inputs, filters and request schemas of a version together
	maxTimezoneBytes   = 64
)

// Trigger is what invokes a version besides HTTP. Exactly one of its parts is set.
type Trigger struct {
	Schedule *Schedule     `json:"schedule,omitempty"`
	Queue    *QueueSource  `json:"queue,omitempty"`
	Topic    *TopicSource  `json:"topic,omitempty"`
	Event    *EventSource  `json:"event,omitempty"`
	Upload   *UploadSource `json:"upload,omitempty"`
	Stream   *StreamSource `json:"stream,omitempty"`
}

// Policies for the ticks of a schedule that nobody was there to fire.
const (
	MissedSkip = "skip" // they are lost; the default
	MissedOnce = "once" // however many they are, one invocation makes up for them
)

// Schedule invokes a function at times.
type Schedule struct {
	Name        string          `json:"name,omitempty"` // unique in the function; empty: its number, from 1
	Expressions []string        `json:"expressions"`    // rate(...) or cron(...), as AWS writes them; one at least
	Disabled    bool            `json:"disabled,omitempty"`
	Input       json.RawMessage `json:"input,omitempty"`      // what the function gets instead of the event
	InputPath   string          `json:"input_path,omitempty"` // JSONPath of the part of the event that it gets
	Timezone    string          `json:"timezone,omitempty"`   // IANA name; empty: UTC
	Missed      string          `json:"missed,omitempty"`     // MissedSkip when empty, or MissedOnce
}

// QueueSource gives a function batches of a queue's messages.
type QueueSource struct {
	Queue       string            `json:"queue"`
	BatchSize   int               `json:"batch_size,omitempty"`  // messages at most, 1 to MaxBatch; 0: DefaultBatch
	WindowMS    int               `json:"window_ms,omitempty"`   // how long a batch may wait to be full, at most MaxWindowMS
	Concurrency int               `json:"concurrency,omitempty"` // batches at once in the cluster; 0: the function's concurrency
	ReportItems bool              `json:"report_items,omitempty"`
	Filters     []json.RawMessage `json:"filters,omitempty"` // patterns, one of which a message must match; others are dropped
}

// Where a topic's filter looks.
const (
	FilterAttributes = "MessageAttributes" // the default
	FilterBody       = "MessageBody"
)

// TopicSource subscribes a function to a topic.
type TopicSource struct {
	Topic       string          `json:"topic"`
	Filter      json.RawMessage `json:"filter,omitempty"`       // a policy as SNS has it
	FilterScope string          `json:"filter_scope,omitempty"` // FilterAttributes when empty, or FilterBody
	DeadLetter  string          `json:"dead_letter,omitempty"`  // queue for what could not be delivered
}

// complete answers t with defaults filled in and no memory shared.
func (t Trigger) complete() Trigger {
	if t.Schedule != nil {
		s := *t.Schedule
		s.Expressions = append([]string(nil), s.Expressions...)
		s.Input = canonicalJSON(s.Input)
		if s.Missed == "" {
			s.Missed = MissedSkip
		}
		t.Schedule = &s
	}
	if t.Queue != nil {
		q := *t.Queue
		if q.BatchSize == 0 {
			q.BatchSize = DefaultBatch
		}
		q.Filters = nil
		for _, f := range t.Queue.Filters {
			q.Filters = append(q.Filters, canonicalJSON(f))
		}
		t.Queue = &q
	}
	if t.Topic != nil {
		s := *t.Topic
		s.Filter = canonicalJSON(s.Filter)
		if s.FilterScope == "" {
			s.FilterScope = FilterAttributes
		}
		t.Topic = &s
	}
	if t.Event != nil {
		t.Event = t.Event.complete()
	}
	if t.Upload != nil {
		t.Upload = t.Upload.complete()
	}
	if t.Stream != nil {
		t.Stream = t.Stream.complete()
	}
	return t
}

// validateTriggers names every fault of the triggers.
func (s Settings) validateTriggers() []error {
	var faults faults
	if len(s.Triggers) > MaxTriggers {
		faults.add("triggers: %d; at most %d are allowed", len(s.Triggers), MaxTriggers)
		return faults
	}
	seen := map[string]bool{} // "queue orders": a function takes from each once
	once := func(source string) {
		if seen[source] {
			faults.add("%s: given twice", source)
		}
		seen[source] = true
	}
	for i, t := range s.Triggers {
		switch parts := t.parts(); {
		case parts != 1:
			faults.add("trigger %d: has %d sources; it has one: schedule, queue, topic, event, stream or upload", i+1, parts)
		case t.Schedule != nil:
			if t.Schedule.Name != "" {
				once("schedule " + t.Schedule.Name)
			}
			t.Schedule.validate(&faults)
		case t.Queue != nil:
			once("queue " + t.Queue.Queue)
			t.Queue.validate(&faults)
		case t.Stream != nil:
			once("stream " + t.Stream.ID())
			t.Stream.validate(&faults)
		case t.Topic != nil:
			once("topic " + t.Topic.Topic)
			t.Topic.validate(&faults)
		case t.Upload != nil:
			once("upload " + t.Upload.String())
			t.Upload.validate(&faults)
		default:
			if t.Event.Name != "" {
				once("rule " + t.Event.Name)
			}
			t.Event.validate(&faults)
		}
	}
	return faults
}

func (t Trigger) parts() (n int) {
	for _, set := range []bool{t.Schedule != nil, t.Queue != nil, t.Topic != nil, t.Event != nil, t.Stream != nil, t.Upload != nil} {
		if set {
			n++
		}
	}
	return n
}

// validate checks all but the expressions' inside and the timezone, which package router/trigger reads.
func (s *Schedule) validate(faults *faults) {
	if s.Name != "" {
		if err := checkWord("schedule", s.Name, MaxNameBytes); err != nil {
			faults.add("%w", err)
		} else if strings.Trim(s.Name, "0123456789") == "" {
			faults.add("schedule name %q: reads as a schedule's number; choose another", s.Name)
		}
	}
	if len(s.Expressions) < 1 || len(s.Expressions) > MaxExpressions {
		faults.add("schedule: %d expressions; 1 to %d are allowed", len(s.Expressions), MaxExpressions)
	}
	for _, e := range s.Expressions {
		rate, cron := strings.HasPrefix(e, "rate("), strings.HasPrefix(e, "cron(")
		if len(e) > MaxExpressionBytes || !isText(e) || !rate && !cron || !strings.HasSuffix(e, ")") {
			faults.add("schedule %.80q: it is rate(...) or cron(...)", e)
		}
	}
	switch {
	case len(s.Input) > 0 && s.InputPath != "":
		faults.add("schedule: has both input and input path; one is allowed")
	case len(s.Input) > 0 && !json.Valid(s.Input):
		faults.add("schedule: input is no JSON")
	case s.InputPath != "" && !isPath(s.InputPath):
		faults.add("schedule: input path %.80q is no path such as $.detail", s.InputPath)
	}
	if len(s.Timezone) > maxTimezoneBytes || !isText(s.Timezone) {
		faults.add("schedule: timezone %.80q is no name such as Europe/Berlin", s.Timezone)
	}
	if s.Missed != "" && s.Missed != MissedSkip && s.Missed != MissedOnce {
		faults.add("schedule: missed %.40q; it is %s or %s", s.Missed, MissedSkip, MissedOnce)
	}
}

func (q *QueueSource) validate(faults *faults) {
	if err := CheckQueueName(q.Queue); err != nil {
		faults.add("%w", err)
	}
	within := func(what string, n, least, most int) {
		if n < least || n > most {
			faults.add("queue %.80s: %s %d; it is between %d and %d", q.Queue, what, n, least, most)
		}
	}
	within("batch size", q.BatchSize, 0, MaxBatch)
	within("window in ms", q.WindowMS, 0, MaxWindowMS)
	within("concurrency", q.Concurrency, 0, MaxBatches)
	within("number of filters", len(q.Filters), 0, MaxFilters)
	for _, f := range q.Filters {
		if !isObject(f) {
			faults.add("queue %.80s: filter %.80q is no JSON object", q.Queue, f)
		}
	}
}

func (t *TopicSource) validate(faults *faults) {
	if err := CheckTopicName(t.Topic); err != nil {
		faults.add("%w", err)
	}
	if len(t.Filter) > 0 && !isObject(t.Filter) {
		faults.add("topic %.80s: filter %.80q is no JSON object", t.Topic, t.Filter)
	}
	if t.FilterScope != "" && t.FilterScope != FilterAttributes && t.FilterScope != FilterBody {
		faults.add("topic %.80s: filter scope %.40q; it is %s or %s", t.Topic, t.FilterScope, FilterAttributes, FilterBody)
	}
	if t.DeadLetter != "" {
		if err := CheckQueueName(t.DeadLetter); err != nil {
			faults.add("topic %.80s: dead letters: %w", t.Topic, err)
		}
	}
}

// faults collects what a person must fix; each is coded abi.InvalidInput.
type faults []error

func (f *faults) add(format string, args ...any) {
	*f = append(*f, abi.WithCode(abi.InvalidInput, fmt.Errorf(format, args...)))
}
