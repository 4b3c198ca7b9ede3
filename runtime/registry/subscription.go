package registry

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Limits of subscriptions.
const (
	MaxSubscriptions = 1000 // of a topic
	maxURLBytes      = 2048
)

// Subscription is who gets what is published to a topic.
type Subscription struct {
	Topic string `json:"topic"`
	Name  string `json:"name"` // unique in the topic
	// To is queue:NAME, which gets the messages as they were published, or an http or https URL, to which they are posted.
	// function:NAME is a function's, whose deployment made the subscription.
	To          string          `json:"to"`
	Filter      json.RawMessage `json:"filter,omitempty"`       // a policy as SNS has it; empty: all messages
	FilterScope string          `json:"filter_scope,omitempty"` // FilterAttributes when empty, or FilterBody
	DeadLetter  string          `json:"dead_letter,omitempty"`  // queue for what could not be delivered
}

// Validate names every fault of s at once, each coded abi.InvalidInput; package router/trigger reads the filter. Only
// deployments subscribe functions.
func (s Subscription) Validate() error {
	var faults faults
	if err := checkWord("subscription", s.Name, MaxNameBytes); err != nil {
		faults.add("%w", err)
	}
	source := TopicSource{Topic: s.Topic, Filter: s.Filter, FilterScope: s.FilterScope, DeadLetter: s.DeadLetter}
	source.validate(&faults)
	queue, toQueue := strings.CutPrefix(s.To, DestinationQueue+":")
	switch {
	case toQueue:
		if err := CheckQueueName(queue); err != nil {
			faults.add("%w", err)
		}
		if strings.HasSuffix(queue, fifoSuffix) {
			faults.add("to %.80q: a FIFO queue; topics have no order", s.To)
		}
		if s.DeadLetter != "" {
			faults.add("dead letters: a queue takes every message, and has dead letters of its own")
		}
	case len(s.To) > maxURLBytes || !isText(s.To) || !isPostURL(s.To):
		faults.add("to %.80q: it is queue:NAME or a URL such as https://api.example.com/hook, of %d bytes at most", s.To, maxURLBytes)
	}
	return errors.Join(faults...)
}

// isPostURL reports whether something can be posted there.
func isPostURL(to string) bool {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return false
	}
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "80"), 10, 16)
	return err == nil && port > 0
}
