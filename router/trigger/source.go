package trigger

import (
	"context"
	"time"
)

// Message is one that was received from a Source. It belongs to the receiver.
type Message struct {
	ID         string
	Receipt    string // settles it
	Body       []byte
	Attributes []Attribute
	Group      string // of a FIFO queue
	Dedup      string
	Sequence   uint64
	Sent       time.Time
	First      time.Time // when it was first received
	Receives   int       // how often it was, with this time
	Source     string    // of a dead letter: the queue it comes from
}

// Attribute is a named value beside a message's body.
type Attribute struct {
	Name  string
	Type  string // String, Number or Binary, with any label after a full stop
	Value []byte
}

// Receive asks a Source for messages.
type Receive struct {
	Max        int
	Wait       time.Duration // for the first of them
	Visibility time.Duration // until they come again, unless they are settled
}

// Settlement is what becomes of messages that were received.
type Settlement struct {
	Ack  []string // receipts of messages that are done
	Nack []Nack
}

// Nack has a message come again. Its receipt holds until then, so that it can be settled, or its time be changed.
type Nack struct {
	Receipt string
	Delay   time.Duration // 0: at once
}

// Source is a queue. Its methods may be called concurrently.
type Source interface {
	// Receive answers at most r.Max messages, as soon as there is one; none when r.Wait is over.
	Receive(ctx context.Context, r Receive) ([]Message, error)
	// Settle does all that s says in one step. A receipt that does not hold any more is left alone.
	Settle(ctx context.Context, s Settlement) error
}
