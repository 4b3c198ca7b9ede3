package registry

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of a queue, which are package op's in the units of configurations.
const (
	MaxQueueNameBytes        = op.MaxQueueNameBytes
	MaxVisibilitySeconds     = int(op.MaxVisibility / time.Second)
	DefaultVisibilitySeconds = int(op.DefaultVisibility / time.Second)
	MaxDelaySeconds          = int(op.MaxDelay / time.Second)
	MinRetentionSeconds      = int(op.MinRetention / time.Second)
	MaxRetentionSeconds      = int(op.MaxRetention / time.Second)
	DefaultRetentionSeconds  = int(op.DefaultRetention / time.Second)
	MaxWaitSeconds           = int(op.MaxWait / time.Second)
	MinMessageBytes          = op.MinMaxMessageBytes
	MaxMessageBytes          = op.MaxMessageBytes
	MaxReceives              = op.MaxMaxReceives
	DefaultReceives          = 10
	fifoSuffix               = ".fifo"
)

// Queue is a queue of an app, as it is to be.
type Queue struct {
	Name              string `json:"name"`
	FIFO              bool   `json:"fifo,omitempty"`               // its name ends in .fifo then
	ContentDedup      bool   `json:"content_dedup,omitempty"`      // FIFO: the body's digest is the deduplication id
	VisibilitySeconds int    `json:"visibility_seconds,omitempty"` // 1 to 43,200; 0: 30
	DelaySeconds      int    `json:"delay_seconds,omitempty"`      // 0 to 900
	RetentionSeconds  int    `json:"retention_seconds,omitempty"`  // 60 to 1,209,600; 0: 345,600
	WaitSeconds       int    `json:"wait_seconds,omitempty"`       // of a receive that says none, 0 to 20
	MaxBytes          int    `json:"max_bytes,omitempty"`          // of a message, 1,024 to 262,144; 0: 262,144
	DeadLetter        string `json:"dead_letter,omitempty"`        // queue of the same app
	MaxReceives       int    `json:"max_receives,omitempty"`       // before a message goes there, 1 to 1,000; 0: 10
}

// QueueInfo is a queue as it is.
type QueueInfo struct {
	Queue
	Created time.Time
	Stats   op.QueueStats
}

// Topic is a topic of an app, as it is to be.
type Topic struct {
	Name string `json:"name"`
}

// Complete answers q with its defaults filled in.
func (q Queue) Complete() Queue {
	for _, d := range []struct {
		field *int
		value int
	}{{&q.VisibilitySeconds, DefaultVisibilitySeconds}, {&q.RetentionSeconds, DefaultRetentionSeconds}, {&q.MaxBytes, MaxMessageBytes}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if q.DeadLetter != "" && q.MaxReceives == 0 {
		q.MaxReceives = DefaultReceives
	}
	return q
}

// Validate names every fault of q at once, each coded abi.InvalidInput. Zero values stand for their defaults.
func (q Queue) Validate() error {
	q = q.Complete()
	var faults faults
	if err := CheckQueueName(q.Name); err != nil {
		faults.add("%w", err)
	}
	within := func(what string, n, least, most int) {
		if n < least || n > most {
			faults.add("%s: %d; it is between %d and %d", what, n, least, most)
		}
	}
	within("visibility timeout in seconds", q.VisibilitySeconds, 1, MaxVisibilitySeconds)
	within("delay in seconds", q.DelaySeconds, 0, MaxDelaySeconds)
	within("retention in seconds", q.RetentionSeconds, MinRetentionSeconds, MaxRetentionSeconds)
	within("wait in seconds", q.WaitSeconds, 0, MaxWaitSeconds)
	within("largest message in bytes", q.MaxBytes, MinMessageBytes, MaxMessageBytes)
	if q.FIFO != strings.HasSuffix(q.Name, fifoSuffix) {
		faults.add("name %.80q: a FIFO queue's name ends in %s, no other's does", q.Name, fifoSuffix)
	}
	if q.ContentDedup && !q.FIFO {
		faults.add("deduplication by content: for FIFO queues only")
	}
	switch {
	case q.DeadLetter == "" && q.MaxReceives != 0:
		faults.add("most receives: needs a dead-letter queue")
	case q.DeadLetter == "":
	case q.DeadLetter == q.Name:
		faults.add("dead-letter queue: is the queue itself")
	case q.FIFO != strings.HasSuffix(q.DeadLetter, fifoSuffix):
		faults.add("dead-letter queue %.80q: FIFO like the queue itself, or neither", q.DeadLetter)
	default:
		within("most receives", q.MaxReceives, 1, MaxReceives)
		if err := CheckQueueName(q.DeadLetter); err != nil {
			faults.add("dead-letter queue: %w", err)
		}
	}
	return errors.Join(faults...)
}

// Validate checks the topic's name. The error is coded abi.InvalidInput.
func (t Topic) Validate() error { return CheckTopicName(t.Name) }

// CheckQueueName refuses a name that is not 1 to MaxQueueNameBytes of letters, digits, - and _, which .fifo may
// follow. The error is coded abi.InvalidInput.
func CheckQueueName(name string) error { return checkChannel("queue", name) }

// CheckTopicName is CheckQueueName for topics.
func CheckTopicName(name string) error { return checkChannel("topic", name) }

func checkChannel(kind, name string) error {
	if err := checkWord(kind, strings.TrimSuffix(name, fifoSuffix), MaxQueueNameBytes); err != nil || len(name) > MaxQueueNameBytes {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("%s name %s: a name is 1 to %d letters, digits, - and _; %s may follow",
			kind, quoteShort(name), MaxQueueNameBytes, fifoSuffix))
	}
	return nil
}

// checkWord refuses what is not 1 to most letters, digits, - and _.
func checkWord(kind, name string, most int) error {
	ok := name != "" && len(name) <= most
	for _, c := range []byte(name) {
		ok = ok && (isAlphanumeric(c) || c == '-' || c == '_')
	}
	if !ok {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("%s name %s: a name is 1 to %d letters, digits, - and _",
			kind, quoteShort(name), most))
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
