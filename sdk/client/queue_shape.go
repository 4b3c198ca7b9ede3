package client

import (
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// QueueInfo is a queue as JSON shows it: its settings, defaults filled in, and what it holds.
type QueueInfo struct {
	registry.Queue
	Created time.Time  `json:"created"`
	Stats   QueueStats `json:"stats"`
}

// QueueStats is what a queue holds.
type QueueStats struct {
	Messages int64     `json:"messages"`
	Bytes    int64     `json:"bytes"`
	Visible  int64     `json:"visible"`         // can be received
	InFlight int64     `json:"in_flight"`       // were received, and are not settled
	Delayed  int64     `json:"delayed"`         // cannot be received yet
	Oldest   time.Time `json:"oldest,omitzero"` // absent: there is none
	Arrived  int64     `json:"arrived"`         // that have ever come into the queue
}

// QueuePage is the response that lists queues by name.
type QueuePage struct {
	Queues []QueueInfo `json:"queues"`
	Cursor string      `json:"cursor"` // for the next page; empty: there is none
}

// MessageAttribute is a named value beside a message's body. What is not UTF-8 stands in base64.
type MessageAttribute struct {
	Name        string  `json:"name"`
	Type        string  `json:"type,omitempty"` // String when absent; Number, Binary; a label may follow, as in Number.int
	Value       *string `json:"value,omitempty"`
	ValueBase64 *string `json:"value_base64,omitempty"`
}

// OutgoingMessage is a message to be sent. Exactly one of Body and BodyBase64 is there.
type OutgoingMessage struct {
	Body       *string            `json:"body,omitempty"`
	BodyBase64 *string            `json:"body_base64,omitempty"`
	Attributes []MessageAttribute `json:"attributes,omitempty"`
	Group      string             `json:"group,omitempty"`    // of a FIFO queue, which asks for it
	Dedup      string             `json:"dedup,omitempty"`    // deduplication id, of a FIFO queue
	DelayMS    *int64             `json:"delay_ms,omitempty"` // absent: the queue's
}

// SendRequest sends messages, all or none. It publishes them, too.
type SendRequest struct {
	Messages []OutgoingMessage `json:"messages"`
}

// SentMessage is what became of an OutgoingMessage.
type SentMessage struct {
	ID        string `json:"id"`
	Sequence  uint64 `json:"sequence"`
	Duplicate bool   `json:"duplicate,omitempty"` // the id and sequence are those of a message sent before
}

// SendResponse has what became of each message, in the order of the request.
type SendResponse struct {
	Messages []SentMessage `json:"messages"`
}

// ReceiveRequest asks for messages.
type ReceiveRequest struct {
	Max          int    `json:"max,omitempty"`           // messages, 1 to op.MaxReceive; 0: 1
	VisibilityMS int64  `json:"visibility_ms,omitempty"` // after which those not settled come again; 0: the queue's
	WaitMS       *int64 `json:"wait_ms,omitempty"`       // for a first message; absent: the queue's
}

// ReceivedMessage is a message that was received.
type ReceivedMessage struct {
	ID            string             `json:"id"`
	Sequence      uint64             `json:"sequence"`
	Body          *string            `json:"body,omitempty"` // one of the two is there
	BodyBase64    *string            `json:"body_base64,omitempty"`
	Attributes    []MessageAttribute `json:"attributes,omitempty"`
	Group         string             `json:"group,omitempty"`
	Dedup         string             `json:"dedup,omitempty"`
	SentAt        time.Time          `json:"sent_at"`
	FirstReceived time.Time          `json:"first_received_at"` // from this queue
	Receives      int                `json:"receives"`          // from this queue, with this time
	Source        string             `json:"source,omitempty"`  // in a dead-letter queue: the queue it comes from
	Receipt       string             `json:"receipt"`           // settles it, until it is received again
	VisibleAt     time.Time          `json:"visible_at"`        // when it can be received again
}

// ReceiveResponse is what was received.
type ReceiveResponse struct {
	Messages []ReceivedMessage `json:"messages"`
}

// MessageRelease has a message received again after a delay.
type MessageRelease struct {
	Receipt string `json:"receipt"`
	DelayMS int64  `json:"delay_ms,omitempty"`
}

// SettleRequest says what becomes of messages that were received.
type SettleRequest struct {
	Delete  []string         `json:"delete,omitempty"` // receipts
	Release []MessageRelease `json:"release,omitempty"`
}

// SettleResponse says of each receipt whether it held, in the order of the request.
type SettleResponse struct {
	Delete  []bool `json:"delete"`
	Release []bool `json:"release"`
}

// PurgeResponse tells how many messages a purge deleted.
type PurgeResponse struct {
	Messages int64 `json:"messages"`
}

// RedriveRequest says what of a dead-letter queue moves where.
type RedriveRequest struct {
	To  string `json:"to,omitempty"`  // queue; empty: for each message the queue it came from
	Max int    `json:"max,omitempty"` // messages at most; 0: all that are visible
}

// RedriveResponse tells how many messages moved.
type RedriveResponse struct {
	Moved int64 `json:"moved"`
}

// QueueInfoOf shows a queue.
func QueueInfoOf(q registry.QueueInfo) QueueInfo {
	s := q.Stats
	return QueueInfo{q.Queue, q.Created, QueueStats{s.Messages, s.Bytes, s.Visible, s.InFlight, s.Delayed, s.Oldest, s.Arrived}}
}

// Info is the queue in the words of package registry.
func (q QueueInfo) Info() registry.QueueInfo {
	return registry.QueueInfo{Queue: q.Queue, Created: q.Created, Stats: op.QueueStats(q.Stats)}
}

// sendRequestOf asks for messages to be sent.
func sendRequestOf(messages []op.Outgoing) SendRequest {
	r := SendRequest{Messages: make([]OutgoingMessage, 0, len(messages))}
	for _, m := range messages {
		out := OutgoingMessage{Attributes: showAttributes(m.Attributes), Group: m.Group, Dedup: m.Dedup, DelayMS: showWait(m.Delay)}
		out.Body, out.BodyBase64 = showBytes(m.Body)
		r.Messages = append(r.Messages, out)
	}
	return r
}

// Outgoing answers the messages in the words of package op. Its error, coded abi.InvalidInput or abi.TooLarge, says which
// is wrong; what only a queue knows is not checked.
func (r SendRequest) Outgoing() ([]op.Outgoing, error) {
	if n := len(r.Messages); n == 0 {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("messages: at least one is needed"))
	} else if n > op.MaxSend {
		return nil, abi.WithCode(abi.TooLarge, fmt.Errorf("messages: %d; at most %d are sent at once", n, op.MaxSend))
	}
	messages := make([]op.Outgoing, len(r.Messages))
	for i, m := range r.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		out := op.Outgoing{Group: m.Group, Dedup: m.Dedup}
		var err error
		if out.Body, err = readBytes(at+".body", m.Body, m.BodyBase64); err != nil {
			return nil, err
		}
		if out.Attributes, err = readAttributes(at, m.Attributes); err != nil {
			return nil, err
		}
		if out.Delay, err = readWait(at+".delay_ms", m.DelayMS, op.MaxDelay); err != nil {
			return nil, err
		}
		if err := out.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		messages[i] = out
	}
	return messages, nil
}

// SendResponseOf shows what became of messages.
func SendResponseOf(sent []op.Sent) SendResponse {
	r := SendResponse{Messages: make([]SentMessage, len(sent))}
	for i, s := range sent {
		r.Messages[i] = SentMessage(s)
	}
	return r
}

// receiveRequestOf asks for messages.
func receiveRequestOf(r op.Receive) ReceiveRequest {
	return ReceiveRequest{Max: r.Max, VisibilityMS: milliseconds(r.Visibility), WaitMS: showWait(r.Wait)}
}

// Receive answers the request in the words of package op. Its error is coded abi.InvalidInput.
func (r ReceiveRequest) Receive() (op.Receive, error) {
	if r.Max < 0 || r.Max > op.MaxReceive {
		return op.Receive{}, abi.WithCode(abi.InvalidInput, fmt.Errorf("max: %d; it is between 1 and %d", r.Max, op.MaxReceive))
	}
	visibility, err := readMilliseconds("visibility_ms", r.VisibilityMS, op.MaxVisibility)
	if err != nil {
		return op.Receive{}, err
	}
	wait, err := readWait("wait_ms", r.WaitMS, op.MaxWait)
	return op.Receive{Max: r.Max, Visibility: visibility, Wait: wait}, err
}

// ReceivedMessageOf shows a message.
func ReceivedMessageOf(m op.Message) ReceivedMessage {
	out := ReceivedMessage{ID: m.ID, Sequence: m.Sequence, Attributes: showAttributes(m.Attributes), Group: m.Group, Dedup: m.Dedup,
		SentAt: m.Sent, FirstReceived: m.First, Receives: m.Receives, Source: m.Source, Receipt: m.Receipt, VisibleAt: m.Visible}
	out.Body, out.BodyBase64 = showBytes(m.Body)
	return out
}

// Message is the message in the words of package op. Its error says what is damaged.
func (m ReceivedMessage) Message() (op.Message, error) {
	body, err := readBytes("body", m.Body, m.BodyBase64)
	if err != nil {
		return op.Message{}, err
	}
	attributes, err := readAttributes("message", m.Attributes)
	return op.Message{ID: m.ID, Sequence: m.Sequence, Body: body, Attributes: attributes, Group: m.Group, Dedup: m.Dedup,
		Sent: m.SentAt, First: m.FirstReceived, Receives: m.Receives, Source: m.Source, Receipt: m.Receipt, Visible: m.VisibleAt}, err
}

// settleRequestOf says what becomes of messages.
func settleRequestOf(s op.Settlement) SettleRequest {
	r := SettleRequest{Delete: s.Delete}
	for _, release := range s.Release {
		r.Release = append(r.Release, MessageRelease{release.Receipt, milliseconds(release.Delay)})
	}
	return r
}

// Settlement answers the request in the words of package op. Its error is coded abi.InvalidInput or abi.TooLarge.
func (r SettleRequest) Settlement() (op.Settlement, error) {
	if n := len(r.Delete) + len(r.Release); n > op.MaxReceive {
		return op.Settlement{}, abi.WithCode(abi.TooLarge, fmt.Errorf("%d receipts; at most %d are settled at once", n, op.MaxReceive))
	}
	s := op.Settlement{Delete: r.Delete}
	for i, release := range r.Release {
		delay, err := readMilliseconds(fmt.Sprintf("release[%d].delay_ms", i), release.DelayMS, op.MaxVisibility)
		if err != nil {
			return op.Settlement{}, err
		}
		s.Release = append(s.Release, op.Release{Receipt: release.Receipt, Delay: delay})
	}
	return s, nil
}

func showAttributes(attributes []op.Attribute) []MessageAttribute {
	var out []MessageAttribute
	for _, a := range attributes {
		shown := MessageAttribute{Name: a.Name, Type: a.Type}
		shown.Value, shown.ValueBase64 = showBytes(a.Value)
		out = append(out, shown)
	}
	return out
}

// readAttributes is the way back. At leads an error.
func readAttributes(at string, attributes []MessageAttribute) ([]op.Attribute, error) {
	var out []op.Attribute
	for i, a := range attributes {
		value, err := readBytes(fmt.Sprintf("%s.attributes[%d].value", at, i), a.Value, a.ValueBase64)
		if err != nil {
			return nil, err
		}
		if a.Type == "" {
			a.Type = "String"
		}
		out = append(out, op.Attribute{Name: a.Name, Type: a.Type, Value: value})
	}
	return out, nil
}

// milliseconds rounds up, so that a short time does not become none, and a short life no endless one.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// showWait shows a time of package op's of which 0 is the queue's and a negative one none.
func showWait(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	ms := max(0, milliseconds(d))
	return &ms
}

// readWait is the way back.
func readWait(name string, ms *int64, most time.Duration) (time.Duration, error) {
	switch {
	case ms == nil:
		return 0, nil
	case *ms == 0:
		return op.NoWait, nil // op.NoDelay, too
	}
	return readMilliseconds(name, *ms, most)
}

func readMilliseconds(name string, ms int64, most time.Duration) (time.Duration, error) {
	if ms < 0 || ms > most.Milliseconds() {
		return 0, abi.WithCode(abi.InvalidInput, fmt.Errorf("%s: %d; it is between 0 and %d", name, ms, most.Milliseconds()))
	}
	return time.Duration(ms) * time.Millisecond, nil
}
