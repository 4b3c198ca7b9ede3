package fsm

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// StepKind says what a QueueStep does. The numbers are in the replicated log and never change.
type StepKind uint8

// Kinds of step. Put, Drop and Purge are alone in their command.
const (
	PutQueue    StepKind = 1  // Queue is there from now on, with Settings
	DropQueue   StepKind = 2  // Queue goes, with its messages
	PurgeQueue  StepKind = 3  // the messages of Queue go
	Send        StepKind = 4  // Queue gets Messages
	Receive     StepKind = 5  // up to Limit messages that are visible are taken, for Visibility; 0: the queue's
	DeleteTaken StepKind = 6  // the messages of Receipts go
	DelayTaken  StepKind = 7  // those of Receipts can be received again after their Delay
	Forward     StepKind = 8  // those of Receipts go, once each of the queues they are To has a copy
	Redrive     StepKind = 9  // up to Limit visible messages go to the first of To; none: to the queue they came from
	Replace     StepKind = 10 // the message of the only receipt goes and Messages come; nothing happens when it does not hold
)

// QueueSettings is how a queue is.
type QueueSettings struct {
	FIFO         bool // never changes
	ContentDedup bool
	Visibility   time.Duration
	Delay        time.Duration
	Retention    time.Duration
	Wait         time.Duration // of a receive that says none; the machine does nothing with it
	MaxBytes     int
	DeadLetter   string // queue of the same namespace; while it is not there nothing is dead
	MaxReceives  int    // 0: any number
}

// Receipt names one receive of one message.
type Receipt struct {
	Queue    uint64 // number of the queue
	Lease    uint64
	Sequence uint64
	Delay    time.Duration // of DelayTaken, at most op.MaxVisibility
	To       []int         // of Forward: positions in the step's To
	Keep     bool          // of Forward: the message stays, since more copies follow
}

// QueueStep is one change of a queue.
type QueueStep struct {
	Kind       StepKind
	Queue      string
	Settings   QueueSettings
	Messages   []op.Outgoing
	Limit      int
	Visibility time.Duration
	Receipts   []Receipt
	To         []string
}

// Limits of steps.
const (
	MaxSteps     = 128     // steps in a command
	MaxForwardTo = 1000    // queues that one Forward has copies for
	MaxMoveBytes = 2 << 20 // copies that a Forward makes, and what a Redrive or dead letters of a Receive move; one always fits
)

// Validate holds a queue's settings to the limits of SQS.
func (s QueueSettings) Validate() error {
	for _, d := range []struct {
		name             string
		value, low, high time.Duration
	}{
		{"visibility", s.Visibility, 0, op.MaxVisibility}, {"delay", s.Delay, 0, op.MaxDelay},
		{"retention", s.Retention, op.MinRetention, op.MaxRetention}, {"wait", s.Wait, 0, op.MaxWait},
	} {
		if d.value < d.low || d.value > d.high {
			return fmt.Errorf("%s %v is not within %v and %v: %w", d.name, d.value, d.low, d.high, op.ErrInvalid)
		}
	}
	switch {
	case s.MaxBytes < op.MinMaxMessageBytes || s.MaxBytes > op.MaxMessageBytes:
		return fmt.Errorf("messages of up to %d bytes, it is %d to %d: %w", s.MaxBytes, op.MinMaxMessageBytes, op.MaxMessageBytes, op.ErrInvalid)
	case s.MaxReceives < 0 || s.MaxReceives > op.MaxMaxReceives:
		return fmt.Errorf("%d receives before a message is dead, at most %d are allowed: %w", s.MaxReceives, op.MaxMaxReceives, op.ErrInvalid)
	case (s.DeadLetter == "") != (s.MaxReceives == 0):
		return fmt.Errorf("a dead-letter queue and the receives before a message goes there come together: %w", op.ErrInvalid)
	case s.ContentDedup && !s.FIFO:
		return fmt.Errorf("only a FIFO queue deduplicates by content: %w", op.ErrInvalid)
	case s.DeadLetter != "":
		return op.ValidateInnerName(s.DeadLetter)
	}
	return nil
}

func validateSteps(steps []QueueStep) error {
	if len(steps) == 0 || len(steps) > MaxSteps {
		return fmt.Errorf("%d steps, 1 to %d are allowed: %w", len(steps), MaxSteps, op.ErrInvalid)
	}
	size, messages, receipts := 0, 0, 0
	for _, s := range steps {
		if s.Kind <= PurgeQueue && len(steps) > 1 {
			return fmt.Errorf("a step of kind %d is not alone: %w", s.Kind, op.ErrInvalid)
		}
		if err := s.validate(); err != nil {
			return err
		}
		for _, m := range s.Messages {
			size += m.Bytes()
		}
		messages += len(s.Messages)
		receipts += len(s.Receipts)
	}
	switch {
	case messages > op.MaxSend:
		return fmt.Errorf("%d messages, at most %d are sent at once: %w", messages, op.MaxSend, op.ErrTooLarge)
	case receipts > op.MaxReceive:
		return fmt.Errorf("%d receipts, at most %d are settled at once: %w", receipts, op.MaxReceive, op.ErrTooLarge)
	case size > op.MaxTxnBytes:
		return fmt.Errorf("messages of %d bytes, at most %d are sent at once: %w", size, op.MaxTxnBytes, op.ErrTooLarge)
	}
	return nil
}

func (s QueueStep) validate() error {
	if err := op.ValidateInnerName(s.Queue); err != nil {
		return err
	}
	for _, m := range s.Messages {
		if err := m.Validate(); err != nil {
			return err
		}
	}
	for _, name := range s.To {
		if err := op.ValidateInnerName(name); err != nil {
			return err
		}
		if strings.HasSuffix(name, ".fifo") != strings.HasSuffix(s.Queue, ".fifo") {
			return fmt.Errorf("messages of queue %s cannot go to queue %s, one of which is FIFO: %w", s.Queue, name, op.ErrInvalid)
		}
	}
	bad := ""
	switch s.Kind {
	case PutQueue:
		if s.Settings.FIFO != strings.HasSuffix(s.Queue, ".fifo") {
			return fmt.Errorf("queue %s: the names of FIFO queues, and only theirs, end in .fifo: %w", s.Queue, op.ErrInvalid)
		}
		if s.Settings.DeadLetter == s.Queue {
			return fmt.Errorf("queue %s is its own dead-letter queue: %w", s.Queue, op.ErrInvalid)
		}
		if d := s.Settings.DeadLetter; d != "" && s.Settings.FIFO != strings.HasSuffix(d, ".fifo") {
			return fmt.Errorf("queue %s: the dead-letter queue of a FIFO queue, and only its, is a FIFO queue: %w", s.Queue, op.ErrInvalid)
		}
		return s.Settings.Validate()
	case DropQueue, PurgeQueue:
	case Send:
		if len(s.Messages) == 0 {
			bad = "no messages"
		}
	case Receive, Redrive:
		if s.Limit < 1 || s.Limit > op.MaxReceive {
			bad = fmt.Sprintf("%d messages, 1 to %d are allowed", s.Limit, op.MaxReceive)
		}
		if s.Visibility < 0 || s.Visibility > op.MaxVisibility {
			bad = fmt.Sprintf("visibility %v is not within 0 and %v", s.Visibility, op.MaxVisibility)
		}
	case DeleteTaken, DelayTaken, Forward:
		bad = s.badReceipts()
	case Replace:
		if len(s.Receipts) != 1 || len(s.Messages) == 0 {
			bad = fmt.Sprintf("%d messages instead of those of %d receipts, not of 1", len(s.Messages), len(s.Receipts))
		}
	default:
		bad = fmt.Sprintf("unknown kind of step %d", s.Kind)
	}
	if bad != "" {
		return fmt.Errorf("queue %s: %s: %w", s.Queue, bad, op.ErrInvalid)
	}
	return nil
}

func (s QueueStep) badReceipts() string {
	if len(s.To) > MaxForwardTo {
		return fmt.Sprintf("%d queues, at most %d are allowed", len(s.To), MaxForwardTo)
	}
	for _, r := range s.Receipts {
		if r.Delay < 0 || r.Delay > op.MaxVisibility {
			return fmt.Sprintf("delay %v is not within 0 and %v", r.Delay, op.MaxVisibility)
		}
		for _, to := range r.To {
			if to < 0 || to >= len(s.To) {
				return fmt.Sprintf("there is no queue %d to forward to", to)
			}
		}
	}
	if len(s.Receipts) == 0 {
		return "no receipts"
	}
	return ""
}

func appendStep(b []byte, s QueueStep) []byte {
	b = appendText(append(b, byte(s.Kind)), s.Queue)
	switch s.Kind {
	case PutQueue:
		b = s.Settings.append(b)
	case Send:
		b = appendMessages(b, s.Messages)
	case Replace:
		b = appendMessages(appendReceipts(b, s), s.Messages)
	case Receive:
		b = binary.AppendUvarint(b, uint64(s.Limit))
		b = binary.AppendUvarint(b, uint64(s.Visibility))
	case Redrive:
		b = appendTexts(binary.AppendUvarint(b, uint64(s.Limit)), s.To)
	case DeleteTaken, DelayTaken, Forward:
		b = appendReceipts(appendTexts(b, s.To), s)
	}
	return b
}

func appendReceipts(b []byte, s QueueStep) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.Receipts)))
	for _, r := range s.Receipts {
		b = r.append(b, s.Kind)
	}
	return b
}

func (f *fields) receipts(kind StepKind) []Receipt {
	receipts := make([]Receipt, f.count(op.MaxReceive))
	for i := range receipts {
		receipts[i] = f.receipt(kind)
	}
	return receipts
}

func appendMessages(b []byte, messages []op.Outgoing) []byte {
	b = binary.AppendUvarint(b, uint64(len(messages)))
	size := 0
	for _, m := range messages {
		size += contentBytes(m)
	}
	b = slices.Grow(b, size)
	for _, m := range messages {
		b = appendOutgoing(b, m)
	}
	return b
}

func (f *fields) messages() []op.Outgoing {
	messages := make([]op.Outgoing, f.count(op.MaxSend))
	for i := range messages {
		messages[i] = f.outgoing()
	}
	return messages
}

func (f *fields) step() (s QueueStep) {
	s.Kind = StepKind(f.byte())
	s.Queue = string(f.text())
	switch s.Kind {
	case PutQueue:
		s.Settings = f.settings()
	case DropQueue, PurgeQueue:
	case Send:
		s.Messages = f.messages()
	case Replace:
		s.Receipts = f.receipts(s.Kind)
		s.Messages = f.messages()
	case Receive:
		s.Limit, s.Visibility = f.limit(), time.Duration(f.natural())
	case Redrive:
		s.Limit, s.To = f.limit(), f.texts(1)
	case DeleteTaken, DelayTaken, Forward:
		s.To = f.texts(MaxForwardTo)
		s.Receipts = f.receipts(s.Kind)
	default:
		f.fail()
	}
	return s
}

// limit reads a number of messages.
func (f *fields) limit() int {
	n := f.natural()
	if n > op.MaxReceive {
		f.fail()
		return 0
	}
	return int(n)
}

func appendTexts(b []byte, texts []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(texts)))
	for _, t := range texts {
		b = appendText(b, t)
	}
	return b
}

func (f *fields) texts(limit int) []string {
	n := f.count(limit)
	if n == 0 {
		return nil
	}
	texts := make([]string, n)
	for i := range texts {
		texts[i] = string(f.text())
	}
	return texts
}

func (r Receipt) append(b []byte, kind StepKind) []byte {
	b = binary.AppendUvarint(b, r.Queue)
	b = binary.AppendUvarint(b, r.Lease)
	b = binary.AppendUvarint(b, r.Sequence)
	switch kind {
	case DelayTaken:
		b = binary.AppendUvarint(b, uint64(r.Delay))
	case Forward:
		b = append(b, bit(r.Keep))
		b = binary.AppendUvarint(b, uint64(len(r.To)))
		for _, to := range r.To {
			b = binary.AppendUvarint(b, uint64(to))
		}
	}
	return b
}

func (f *fields) receipt(kind StepKind) (r Receipt) {
	r = Receipt{Queue: f.uvarint(), Lease: f.uvarint(), Sequence: f.uvarint()}
	switch kind {
	case DelayTaken:
		r.Delay = time.Duration(f.natural())
	case Forward:
		r.Keep = f.bit()
		if n := f.count(MaxForwardTo); n > 0 {
			r.To = make([]int, n)
		}
		for i := range r.To {
			r.To[i] = int(f.natural())
		}
	}
	return r
}

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func (f *fields) bit() bool {
	b := f.byte()
	if b > 1 {
		f.fail()
	}
	return b == 1
}

func (s QueueSettings) append(b []byte) []byte {
	b = append(b, bit(s.FIFO), bit(s.ContentDedup))
	for _, n := range []int64{int64(s.Visibility), int64(s.Delay), int64(s.Retention), int64(s.Wait), int64(s.MaxBytes), int64(s.MaxReceives)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return appendText(b, s.DeadLetter)
}

func (f *fields) settings() (s QueueSettings) {
	s.FIFO, s.ContentDedup = f.bit(), f.bit()
	s.Visibility, s.Delay = time.Duration(f.natural()), time.Duration(f.natural())
	s.Retention, s.Wait = time.Duration(f.natural()), time.Duration(f.natural())
	s.MaxBytes, s.MaxReceives = int(f.natural()), int(f.natural())
	s.DeadLetter = string(f.text())
	return s
}

// appendOutgoing appends a message: its delay, then what a message stays.
func appendOutgoing(b []byte, m op.Outgoing) []byte {
	return appendContent(binary.AppendUvarint(b, uint64(m.Delay+1)), m) // op.NoDelay is -1
}

func (f *fields) outgoing() op.Outgoing {
	delay := time.Duration(f.natural()) - 1
	m := f.content()
	m.Delay = delay
	return m
}

// contentBytes is what appendOutgoing appends as a rule.
func contentBytes(m op.Outgoing) int {
	const lengths = 16 // and the delay
	return m.Bytes() + len(m.Group) + len(m.Dedup) + lengths + 8*len(m.Attributes)
}

// appendContent appends a message without its delay.
func appendContent(b []byte, m op.Outgoing) []byte {
	b = appendText(appendText(b, m.Group), m.Dedup)
	b = binary.AppendUvarint(b, uint64(len(m.Attributes)))
	for _, a := range m.Attributes {
		b = appendText(appendText(appendText(b, a.Name), a.Type), a.Value)
	}
	return appendText(b, m.Body)
}

func (f *fields) content() (m op.Outgoing) {
	m.Group, m.Dedup = string(f.text()), string(f.text())
	if n := f.count(op.MaxAttributes); n > 0 {
		m.Attributes = make([]op.Attribute, n)
	}
	for i := range m.Attributes {
		m.Attributes[i] = op.Attribute{Name: string(f.text()), Type: string(f.text()), Value: f.text()}
	}
	m.Body = f.text()
	return m
}
