package abi

import (
	"time"

	"github.com/sett-run/sett/kv/op"
)

// QueueSend asks to send messages to a queue, or to publish them to a topic.
type QueueSend struct {
	To       string // a queue's name or a topic's
	Messages []op.Outgoing
}

// QueueReceive asks for messages of a queue.
type QueueReceive struct {
	Queue      string
	Max        int           // 0: 1
	Visibility time.Duration // 0: the queue's
	Wait       time.Duration // for a first message; 0: none, whatever the queue's
}

// QueueSettle says what becomes of messages of a queue.
type QueueSettle struct {
	Queue string
	op.Settlement
}

// Field numbers of QueueSend, QueueOutgoing and QueueAttribute.
const (
	sendTo       = 1
	sendMessages = 2

	outgoingAttributes = 1
	outgoingGroup      = 2
	outgoingDedup      = 3
	outgoingDelay      = 4
	outgoingBody       = 5

	attributeName  = 1
	attributeType  = 2
	attributeValue = 3
)

// AppendQueueSend appends the wire form of s to dst and answers the longer slice. Delays are rounded up to whole
// milliseconds.
func AppendQueueSend(dst []byte, s *QueueSend) []byte {
	n := 8 + len(s.To)
	for i := range s.Messages {
		m := &s.Messages[i]
		n += 32 + len(m.Body) + len(m.Group) + len(m.Dedup)
		for j := range m.Attributes {
			a := &m.Attributes[j]
			n += 20 + len(a.Name) + len(a.Type) + len(a.Value)
		}
	}
	b := appendBytes(grow(dst, n), sendTo, s.To)
	for i := range s.Messages {
		b = appendMessage(b, sendMessages, &s.Messages[i], appendOutgoing, outgoingBody, s.Messages[i].Body)
	}
	return b
}

func appendOutgoing(b []byte, m *op.Outgoing) []byte {
	b = appendAttributes(b, outgoingAttributes, m.Attributes)
	b = appendBytes(b, outgoingGroup, m.Group)
	b = appendBytes(b, outgoingDedup, m.Dedup)
	return appendInt(b, outgoingDelay, zigzag(milliseconds(m.Delay)))
}

func appendAttributes(b []byte, field int, attributes []op.Attribute) []byte {
	for i := range attributes {
		b = appendMessage(b, field, &attributes[i], appendAttribute, attributeValue, attributes[i].Value)
	}
	return b
}

func appendAttribute(b []byte, a *op.Attribute) []byte {
	return appendBytes(appendBytes(b, attributeName, a.Name), attributeType, a.Type)
}

// DecodeQueueSend reads the wire form of messages to be sent, and holds it to the limits of their numbers. Texts are
// copies, bodies and values part of data.
func DecodeQueueSend(data []byte) (s QueueSend, err error) {
	counts, err := countWithin(MaxQueueRequestBytes, data, sendMessages, 0)
	switch {
	case err != nil:
		return s, err
	case counts[0] > op.MaxSend:
		return s, overLimit(op.MaxSend, "messages")
	}
	s.Messages = make([]op.Outgoing, 0, counts[0])
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(sendTo):
			s.To = string(data[t.from:t.next])
		case lengthy(sendMessages):
			m, err := decodeOutgoing(data[t.from:t.next])
			s.Messages = append(s.Messages, m)
			return err
		}
		return nil
	})
	return s, err
}

func decodeOutgoing(data []byte) (m op.Outgoing, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(outgoingAttributes):
			if len(m.Attributes) == op.MaxAttributes {
				return overLimit(op.MaxAttributes, "attributes")
			}
			a, err := decodeAttribute(data[t.from:t.next])
			m.Attributes = append(m.Attributes, a)
			return err
		case lengthy(outgoingGroup):
			m.Group = string(data[t.from:t.next])
		case lengthy(outgoingDedup):
			m.Dedup = string(data[t.from:t.next])
		case varint(outgoingDelay):
			m.Delay = delay(unzigzag(t.value))
		case lengthy(outgoingBody):
			m.Body = data[t.from:t.next:t.next]
		}
		return nil
	})
	return m, err
}

// delay reads a delay, of which -1 is op.NoDelay.
func delay(milliseconds int64) time.Duration {
	if milliseconds == -1 {
		return op.NoDelay
	}
	return duration(milliseconds)
}

func decodeAttribute(data []byte) (a op.Attribute, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(attributeName):
			a.Name = string(data[t.from:t.next])
		case lengthy(attributeType):
			a.Type = string(data[t.from:t.next])
		case lengthy(attributeValue):
			a.Value = data[t.from:t.next:t.next]
		}
		return nil
	})
	return a, err
}

// Field numbers of QueueReceive.
const (
	receiveQueue      = 1
	receiveMax        = 2
	receiveVisibility = 3
	receiveWait       = 4
)

// AppendQueueReceive appends the wire form of r to dst and answers the longer slice. Times are rounded up to whole
// milliseconds.
func AppendQueueReceive(dst []byte, r *QueueReceive) []byte {
	b := appendBytes(grow(dst, 32+len(r.Queue)), receiveQueue, r.Queue)
	b = appendInt(b, receiveMax, uint64(uint32(max(0, r.Max))))
	b = appendInt(b, receiveVisibility, uint64(milliseconds(r.Visibility)))
	return appendInt(b, receiveWait, uint64(milliseconds(r.Wait)))
}

// DecodeQueueReceive reads the wire form of a receive.
func DecodeQueueReceive(data []byte) (r QueueReceive, err error) {
	err = eachWithin(MaxQueueRequestBytes, data, func(t token) error {
		switch t.is() {
		case lengthy(receiveQueue):
			r.Queue = string(data[t.from:t.next])
		case varint(receiveMax):
			r.Max = int(uint32(t.value))
		case varint(receiveVisibility):
			r.Visibility = duration(int64(t.value))
		case varint(receiveWait):
			r.Wait = duration(int64(t.value))
		}
		return nil
	})
	return r, err
}

// Field numbers of QueueSettle and QueueRelease.
const (
	settleQueue   = 1
	settleDelete  = 2
	settleRelease = 3

	releaseReceipt = 1
	releaseDelay   = 2
)

// AppendQueueSettle appends the wire form of s to dst and answers the longer slice. Delays are rounded up to whole
// milliseconds.
func AppendQueueSettle(dst []byte, s *QueueSettle) []byte {
	n := 8 + len(s.Queue)
	for _, r := range s.Delete {
		n += 6 + len(r)
	}
	for i := range s.Release {
		n += 24 + len(s.Release[i].Receipt)
	}
	b := appendBytes(grow(dst, n), settleQueue, s.Queue)
	for _, r := range s.Delete {
		b = appendItem(b, settleDelete, r)
	}
	for i := range s.Release {
		b = appendMessage(b, settleRelease, &s.Release[i], appendRelease, 0, nil)
	}
	return b
}

func appendRelease(b []byte, r *op.Release) []byte {
	b = appendBytes(b, releaseReceipt, r.Receipt)
	return appendInt(b, releaseDelay, uint64(milliseconds(r.Delay)))
}

// DecodeQueueSettle reads the wire form of a settlement, and holds it to the limit of receipts.
func DecodeQueueSettle(data []byte) (s QueueSettle, err error) {
	counts, err := countWithin(MaxQueueRequestBytes, data, settleDelete, settleRelease)
	switch {
	case err != nil:
		return s, err
	case counts[0]+counts[1] > op.MaxReceive:
		return s, overLimit(op.MaxReceive, "receipts")
	}
	s.Delete, s.Release = make([]string, 0, counts[0]), make([]op.Release, 0, counts[1])
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(settleQueue):
			s.Queue = string(data[t.from:t.next])
		case lengthy(settleDelete):
			s.Delete = append(s.Delete, string(data[t.from:t.next]))
		case lengthy(settleRelease):
			r, err := decodeRelease(data[t.from:t.next])
			s.Release = append(s.Release, r)
			return err
		}
		return nil
	})
	return s, err
}

func decodeRelease(data []byte) (r op.Release, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(releaseReceipt):
			r.Receipt = string(data[t.from:t.next])
		case varint(releaseDelay):
			r.Delay = duration(int64(t.value))
		}
		return nil
	})
	return r, err
}

const nameQueue = 1 // the field of QueueName

// AppendQueueName appends the wire form of the request of queue_stats to dst and answers the longer slice.
func AppendQueueName(dst []byte, queue string) []byte {
	return appendBytes(grow(dst, 8+len(queue)), nameQueue, queue)
}

// DecodeQueueName reads which queue is asked about.
func DecodeQueueName(data []byte) (queue string, err error) {
	err = eachWithin(MaxQueueRequestBytes, data, func(t token) error {
		if t.is() == lengthy(nameQueue) {
			queue = string(data[t.from:t.next])
		}
		return nil
	})
	return queue, err
}
