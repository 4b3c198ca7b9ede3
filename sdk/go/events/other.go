package events

import (
	"encoding/json"
	"strings"
	"time"
)

// Topic is a message that was published to a topic: the event sns. It has one record.
type Topic struct {
	Records []TopicRecord `json:"Records"`
}

// TopicRecord is a message with the subscription that it came by.
type TopicRecord struct {
	Version         string       `json:"EventVersion"`
	SubscriptionARN string       `json:"EventSubscriptionArn"`
	Source          string       `json:"EventSource"` // "aws:sns"
	Notification    Notification `json:"Sns"`
}

// Notification is a message that was published.
type Notification struct {
	ID         string                    `json:"MessageId"`
	TopicARN   string                    `json:"TopicArn"` // ends in the topic's name
	Subject    string                    `json:"Subject"`
	Message    string                    `json:"Message"` // its body
	Time       time.Time                 `json:"Timestamp"`
	Attributes map[string]TopicAttribute `json:"MessageAttributes"`
}

// TopicAttribute is a named value beside a message's body.
type TopicAttribute struct {
	Type  string `json:"Type"`
	Value string `json:"Value"` // of a Binary: in base64
}

// Topic is the name of the topic that the message was published to.
func (n *Notification) Topic() string { return lastName(n.TopicARN) }

// Schedule is a tick of a schedule that has no input of its own, which has the shape of Bus.
type Schedule struct {
	Version   string          `json:"version"`
	ID        string          `json:"id"`
	Type      string          `json:"detail-type"` // "Scheduled Event"
	Source    string          `json:"source"`      // "aws.events"
	Account   string          `json:"account"`
	Time      time.Time       `json:"time"` // that the tick was due at
	Region    string          `json:"region"`
	Resources []string        `json:"resources"` // the schedule
	Detail    json.RawMessage `json:"detail"`
}

// Bus is an event on the app's bus: the event eventBridge, unless its input says otherwise.
type Bus struct {
	Version   string          `json:"version"`
	ID        string          `json:"id"`
	Type      string          `json:"detail-type"`
	Source    string          `json:"source"` // who put it; sett.deployment and sett.delivery are the platform
	Account   string          `json:"account"`
	Time      time.Time       `json:"time"` // when it happened
	Region    string          `json:"region"`
	Resources []string        `json:"resources"`
	Replay    string          `json:"replay-name"` // the archive it was put again from; empty: it was not
	Detail    json.RawMessage `json:"detail"`
}

// Decode decodes the detail into v.
func (b *Bus) Decode(v any) error { return json.Unmarshal(b.Detail, v) }

// Outcome is what a destination is sent when an asynchronous invocation has succeeded, or failed for the last time.
type Outcome struct {
	Version         string           `json:"version"`
	Time            time.Time        `json:"timestamp"`
	Request         OutcomeRequest   `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	Response        *OutcomeResponse `json:"responseContext"` // nil: the function never ran
	ResponsePayload json.RawMessage  `json:"responsePayload"` // of a failure: its errorMessage and errorType
}

// OutcomeRequest says which invocation it was.
type OutcomeRequest struct {
	ID          string `json:"requestId"`
	FunctionARN string `json:"functionArn"`            // ends in the function's name and its alias or version
	Condition   string `json:"condition"`              // Success, RetriesExhausted, EventAgeExceeded, ...
	Invokes     int    `json:"approximateInvokeCount"` // attempts
}

// OutcomeResponse says how its last attempt ended.
type OutcomeResponse struct {
	Status  int    `json:"statusCode"`
	Version string `json:"executedVersion"`
	Error   string `json:"functionError"` // empty: it succeeded
}

// lastName is what an ARN ends in.
func lastName(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }
