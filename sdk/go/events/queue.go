// Package events holds what handlers of events are given, in the shapes that AWS's have, and what they answer:
//
//	sett.Handle("ship", func(ctx context.Context, batch events.Queue) (events.Failures, error) {
//		return batch.Each(func(m events.Message) error { return ship(ctx, m.Body) })
//	})
//
// The types are read from the same JSON as those of github.com/aws/aws-lambda-go/events, which a function may use as well;
// these are small. Asynchronous invocations, and schedules with an input of their own, give a handler that input, not a
// type of this package.
package events

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Queue is a batch of a queue's messages: the event sqs.
type Queue struct {
	Records []Message `json:"Records"`
}

// Message is a message of a queue.
type Message struct {
	ID         string               `json:"messageId"`
	Receipt    string               `json:"receiptHandle"`
	Body       string               `json:"body"`
	BodyMD5    string               `json:"md5OfBody"`
	System     map[string]string    `json:"attributes"` // what the queue says of it; see the methods
	Attributes map[string]Attribute `json:"messageAttributes"`
	QueueARN   string               `json:"eventSourceARN"` // ends in the queue's name
	Source     string               `json:"eventSource"`    // "aws:sqs"
	Region     string               `json:"awsRegion"`
}

// Attribute is a named value beside a message's body.
type Attribute struct {
	Type   string  `json:"dataType"`              // String, Number or Binary, with any label after a full stop
	Text   *string `json:"stringValue,omitempty"` // of a String or Number
	Binary []byte  `json:"binaryValue,omitempty"`
}

// Queue is the name of the queue that the message is in.
func (m *Message) Queue() string { return lastName(m.QueueARN) }

// Receives is how often the message was received, with this time.
func (m *Message) Receives() int {
	n, _ := strconv.Atoi(m.System["ApproximateReceiveCount"])
	return n
}

// Sent is when the message was sent.
func (m *Message) Sent() time.Time {
	ms, err := strconv.ParseInt(m.System["SentTimestamp"], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Group is the message's group, in a FIFO queue.
func (m *Message) Group() string { return m.System["MessageGroupId"] }

// Text is the text of an attribute, empty when there is none.
func (m *Message) Text(name string) string {
	if a := m.Attributes[name]; a.Text != nil {
		return *a.Text
	}
	return ""
}

// Failures is the answer of a handler that failed on some messages of a batch: they are received again, or go to the
// dead-letter queue; the others are done. It counts where the event says functionResponseType: ReportBatchItemFailures.
// Elsewhere it does not, and a message is retried only if the handler answers an error.
type Failures struct {
	Items []Failure `json:"batchItemFailures"`
}

// Failure names a message that failed.
type Failure struct {
	ID string `json:"itemIdentifier"`
}

// Each runs f on each message of a batch in order, and answers those that it failed on. Each of their errors is logged.
// When f fails on a message of a FIFO queue, those of its group behind it are not tried and count as failed, so that their
// order stays. When it fails on all, so does the batch.
func (q Queue) Each(f func(m Message) error) (Failures, error) {
	failures := Failures{Items: []Failure{}}
	failed := make(map[string]bool)
	var first error
	for i := range q.Records {
		m := &q.Records[i]
		if group := m.Group(); !failed[group] {
			err := f(*m)
			if err == nil {
				continue
			}
			if failed[group] = strings.HasSuffix(m.QueueARN, ".fifo"); first == nil {
				first = err
			}
			logFailure(m, err)
		}
		failures.Items = append(failures.Items, Failure{m.ID})
	}
	if first != nil && len(failures.Items) == len(q.Records) {
		return failures, &allFailed{first}
	}
	return failures, nil
}

// logFailure writes why a message failed into the function's log.
func logFailure(m *Message, err error) {
	type attrs struct {
		Message  string `json:"message"`
		Receives int    `json:"receives"`
		Err      string `json:"err"`
	}
	record, _ := json.Marshal(struct { // text and a number cannot fail
		Msg   string `json:"msg"`
		Attrs attrs  `json:"attrs"`
	}{"message failed", attrs{m.ID, m.Receives(), err.Error()}})
	host.LogWrite(levelWarn, record)
}

const levelWarn = 4 // of log/slog, which would make a module larger

// allFailed is the error of a batch of which every message failed.
type allFailed struct{ first error }

func (e *allFailed) Error() string {
	return "all messages of the batch failed, the first with: " + e.first.Error()
}

// Unwrap answers the error of the first message.
func (e *allFailed) Unwrap() error { return e.first }
