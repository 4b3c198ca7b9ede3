package registry

import "encoding/json"

// Trigger is what invokes a version besides HTTP. Exactly one of its parts is set.
type Trigger struct {
	Schedule *Schedule    `json:"schedule,omitempty"`
	Queue    *QueueSource `json:"queue,omitempty"`
	Topic    *TopicSource `json:"topic,omitempty"`
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
	BatchSize   int               `json:"batch_size,omitempty"`  // messages at most, 1 to 10,000; 0: 10
	WindowMS    int               `json:"window_ms,omitempty"`   // how long a batch may wait to be full, at most 300 s
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

// Async says what becomes of a function's asynchronous invocations.
type Async struct {
	Retries       *int   `json:"retries,omitempty"`         // after the first attempt, 0 to 2; nil: 2
	MaxAgeSeconds int    `json:"max_age_seconds,omitempty"` // 60 to 21,600; 0: 21,600
	OnSuccess     string `json:"on_success,omitempty"`      // destination: queue:NAME, topic:NAME or function:NAME
	OnFailure     string `json:"on_failure,omitempty"`
}

// Queue is a queue of an app, as it is to be.
type Queue struct {
	Name              string `json:"name"`
	FIFO              bool   `json:"fifo,omitempty"`               // its name ends in .fifo then
	ContentDedup      bool   `json:"content_dedup,omitempty"`      // FIFO: the body's digest is the deduplication id
	VisibilitySeconds int    `json:"visibility_seconds,omitempty"` // 0 to 43,200; absent: 30
	DelaySeconds      int    `json:"delay_seconds,omitempty"`      // 0 to 900
	RetentionSeconds  int    `json:"retention_seconds,omitempty"`  // 60 to 1,209,600; 0: 345,600
	WaitSeconds       int    `json:"wait_seconds,omitempty"`       // of a receive that says none, 0 to 20
	MaxBytes          int    `json:"max_bytes,omitempty"`          // of a message, 1,024 to 262,144; 0: 262,144
	DeadLetter        string `json:"dead_letter,omitempty"`        // queue of the same app
	MaxReceives       int    `json:"max_receives,omitempty"`       // before a message goes there, 1 to 1,000
}

// Topic is a topic of an app, as it is to be.
type Topic struct {
	Name string `json:"name"`
}
