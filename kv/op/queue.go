package op

import (
	"errors"
	"time"
)

// Limits of queues: those of SQS, but that more messages are sent, received and settled at once.
const (
	MaxMessageBytes       = 256 << 10 // body and attributes of a message, and what Queue.MaxBytes is at most
	MinMaxMessageBytes    = 1 << 10   // what Queue.MaxBytes is at least
	MaxAttributes         = 10        // attributes of a message
	MaxAttributeNameBytes = 256       // an attribute's name, and its type
	MaxGroupBytes         = 128       // a message group's id, and a deduplication id
	MaxQueueNameBytes     = 80        // a queue's or topic's name, ".fifo" included
	MaxInnerNameBytes     = 512       // the name of a queue of the platform's, such as a topic's subscription

	MaxSend         = 1000    // messages sent at once, with MaxTxnBytes together
	MaxReceive      = 10000   // messages received or settled at once
	MaxReceiveBytes = 6 << 20 // bodies and attributes received at once; one message always fits
	MaxInFlight     = 120000  // messages of a queue that are received and not settled; of a FIFO queue, too
	MaxQueuePage    = 1000    // queues in a page
	MaxPeek         = 100     // messages looked at at once

	DefaultVisibility = 30 * time.Second
	MaxVisibility     = 12 * time.Hour   // from the receive on, prolongations included
	MaxDelay          = 15 * time.Minute // of a message sent, or released
	DefaultRetention  = 4 * 24 * time.Hour
	MinRetention      = time.Minute
	MaxRetention      = 14 * 24 * time.Hour
	MaxWait           = 20 * time.Second // of a receive
	MaxMaxReceives    = 1000             // receives before a message is dead
	DedupWindow       = 5 * time.Minute  // within which a message with the deduplication id of another is that one
)

// Errors of queues.
var (
	ErrNoQueue  = errors.New("queue not found")
	ErrInFlight = errors.New("the queue has 120,000 messages in flight, settle some first")
)

// Attribute is a named value beside a message's body.
type Attribute struct {
	Name  string // letters, digits, - _ and .
	Type  string // String, Number or Binary, with any label after a full stop
	Value []byte // text of a String, decimal text of a Number
}

// Outgoing is a message to be sent.
type Outgoing struct {
	Body       []byte // 1 byte at least
	Attributes []Attribute
	Group      string        // of a FIFO queue, which asks for it: messages of a group come in order
	Dedup      string        // of a FIFO queue: within DedupWindow a second message of the same id is not taken
	Delay      time.Duration // until it can be received, at most MaxDelay; 0: the queue's; NoDelay: none
}

// NoDelay is the Delay of a message that can be received at once, whatever the queue's. FIFO queues take 0 only.
const NoDelay time.Duration = -1

// Sent is what became of an Outgoing.
type Sent struct {
	ID        string // ULID
	Sequence  uint64 // grows along the queue
	Duplicate bool   // ID and Sequence are those of a message that was sent before
}

// Message is a message that was received. Its slices belong to the caller.
type Message struct {
	ID         string // ULID; stays the same when the message moves to another queue
	Sequence   uint64 // in its queue
	Body       []byte
	Attributes []Attribute
	Group      string
	Dedup      string
	Sent       time.Time // kept when it moves to a dead-letter queue
	First      time.Time // when it was first received from this queue
	Receives   int       // how often it was received from this queue, with this time
	Source     string    // in a dead-letter queue: the queue it comes from
	Receipt    string    // settles it, until it is received again
	Visible    time.Time // when it can be received again
}

// QueueStats is what a queue holds. Counts are as exact as the moment they are read at, but messages that are over
// their retention count until they are swept away, about a second later.
type QueueStats struct {
	Messages int64 // all of them
	Bytes    int64
	Visible  int64 // can be received; of a FIFO queue, those whose group is in flight, too
	InFlight int64
	Delayed  int64
	Oldest   time.Time // when the oldest came into this queue; zero: there is none
	Arrived  int64     // that have ever come into it; 0 where it is not told
}

// Receive says how messages are received.
type Receive struct {
	Max        int           // messages, at most MaxReceive; 0: 1
	Visibility time.Duration // after which those that are not settled come again, at most MaxVisibility; 0: the queue's
	Wait       time.Duration // for a first message, at most MaxWait; 0: the queue's; NoWait: none
}

// NoWait is the Wait of a receive that answers at once, whatever the queue's.
const NoWait time.Duration = -1

// Settlement is what becomes of messages that were received.
type Settlement struct {
	Delete  []string // receipts of messages that are done
	Release []Release
}

// Release has a message received again after a delay.
type Release struct {
	Receipt string
	Delay   time.Duration // 0: at once; at most MaxVisibility, and not later than that after its receive
}

// Settled says of each receipt of a Settlement whether it held. One that did not is of a message that was settled, has
// been received again, or whose queue was purged: nothing became of that.
type Settled struct {
	Delete  []bool
	Release []bool
}

// QueueQuery asks for queues by name.
type QueueQuery struct {
	Prefix string
	After  string // the last name of the page before
	Limit  int    // queues in the page; 0 and more than MaxQueuePage mean MaxQueuePage
	Inner  bool   // the platform's own queues, whose names have slashes, instead of the app's
}

// Redrive says what of a dead-letter queue moves where.
type Redrive struct {
	To  string // queue; empty: for each message the queue it came from
	Max int    // messages at most; 0: all that are visible
}

// Forwarding is a received message and the queues that get a copy of it.
type Forwarding struct {
	Message Message
	To      []string // names of queues; those that are not there are left out. None: the message is only deleted
}
