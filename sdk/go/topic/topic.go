// Package topic publishes messages to the topics of the function's app:
//
//	id, err := topic.Publish(ctx, "orders", topic.Message{Subject: "order placed", Body: body})
//
// Each subscription whose filter lets it through gets it on its own: functions, queues and HTTP endpoints, with retries
// and dead letters of their own. A message that was published is on the disks of a majority of the nodes.
//
// What is said of package queue holds here too. A topic without subscriptions takes messages and forgets them.
package topic

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Limits. What is over one is refused with ErrTooLarge.
const (
	MaxMessageBytes = op.MaxMessageBytes // a message's body, subject and attributes
	MaxAttributes   = op.MaxAttributes   // of a message; its subject is one
	MaxPublish      = op.MaxSend         // messages of PublishAll
	MaxPublishBytes = op.MaxTxnBytes     // which hold this together
)

// Errors before anything was done.
var (
	ErrInvalid     = op.ErrInvalid     // no message, an empty one, a name
	ErrTooLarge    = op.ErrTooLarge    // over one of the limits
	ErrNotFound    = op.ErrNoQueue     // the app has no such topic
	ErrQuota       = op.ErrQuota       // the app holds all that it may
	ErrUnavailable = op.ErrUnavailable // try again
	ErrTooMany     = abi.ErrQueueCalls // the invocation has made all the calls it may
	ErrUnsupported = abi.ErrNoQueues   // there are no topics here
)

// Errors after which it may have happened. A call that ran into its context's deadline is context.DeadlineExceeded, too.
var (
	ErrUnknown = op.ErrUnknown      // it may have happened or yet happen, once
	ErrFailed  = abi.ErrQueueFailed // the node's fault; its log says why
)

// SubjectAttribute is the attribute that a message's subject travels as.
const SubjectAttribute = "sett-subject"

// Message is a message to be published. Its Body is all that must be given.
type Message struct {
	Subject    string // of an e-mail, say
	Body       []byte
	Attributes []Attribute // which filters look at
}

// Attribute is a named value beside a message's body.
type Attribute = op.Attribute

// Sent is what became of a Message.
type Sent = op.Sent

// Text is an attribute of type String.
func Text(name, value string) Attribute {
	return Attribute{Name: name, Type: "String", Value: []byte(value)}
}

// Publish publishes a message and answers its id.
func Publish(ctx context.Context, topic string, m Message) (id string, err error) {
	sent, err := PublishAll(ctx, topic, m)
	if err != nil || len(sent) == 0 {
		return "", err
	}
	return sent[0].ID, nil
}

// PublishJSON is Publish of v, encoded as JSON, with attributes.
func PublishJSON(ctx context.Context, topic string, v any, attributes ...Attribute) (id string, err error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", wrap("encode message", topic, err)
	}
	return Publish(ctx, topic, Message{Body: body, Attributes: attributes})
}

// PublishAll publishes messages, all of them or none, and answers what became of each.
func PublishAll(ctx context.Context, topic string, messages ...Message) ([]Sent, error) {
	s := abi.QueueSend{To: topic, Messages: make([]op.Outgoing, len(messages))}
	for i, m := range messages {
		s.Messages[i] = op.Outgoing{Body: m.Body, Attributes: m.Attributes}
		if m.Subject != "" {
			with := make([]Attribute, 0, len(m.Attributes)+1)
			s.Messages[i].Attributes = append(append(with, m.Attributes...), Text(SubjectAttribute, m.Subject))
		}
	}
	sent, err := host.TopicPublish(ctx, &s)
	return sent, wrap("publish", topic, err)
}

// failure is an error of this package: what it says, and what it is.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.err }

func wrap(verb, topic string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{"topic " + topic + ": " + verb + ": " + strings.TrimPrefix(err.Error(), verb+": "), err}
}
