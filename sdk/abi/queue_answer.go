package abi

import "github.com/sett-run/sett/kv/op"

// Field numbers of QueueSent, QueueReceipt, QueueMessages, QueueMessage, QueueSettled and QueueStats.
const (
	listMessages = 1 // of QueueSent and QueueMessages

	sentID        = 1
	sentSequence  = 2
	sentDuplicate = 3

	messageID         = 1
	messageSequence   = 2
	messageAttributes = 3
	messageGroup      = 4
	messageDedup      = 5
	messageSent       = 6
	messageFirst      = 7
	messageReceives   = 8
	messageSource     = 9
	messageReceipt    = 10
	messageVisible    = 11
	messageBody       = 12

	settledDelete  = 1
	settledRelease = 2

	statsMessages = 1
	statsBytes    = 2
	statsVisible  = 3
	statsInFlight = 4
	statsDelayed  = 5
	statsOldest   = 6
)

// AppendQueueSent appends the wire form of what became of messages that were sent to dst and answers the longer slice.
func AppendQueueSent(dst []byte, sent []op.Sent) []byte {
	for i := range sent {
		dst = appendMessage(dst, listMessages, &sent[i], appendSent, 0, nil)
	}
	return dst
}

func appendSent(b []byte, s *op.Sent) []byte {
	b = appendBytes(b, sentID, s.ID)
	b = appendInt(b, sentSequence, s.Sequence)
	return appendFlag(b, sentDuplicate, s.Duplicate)
}

// DecodeQueueSent reads what became of messages that were sent.
func DecodeQueueSent(data []byte) (sent []op.Sent, err error) {
	err = eachField(data, func(t token) error {
		if t.is() != lengthy(listMessages) {
			return nil
		}
		s, err := decodeSent(data[t.from:t.next])
		sent = append(sent, s)
		return err
	})
	return sent, err
}

func decodeSent(data []byte) (s op.Sent, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(sentID):
			s.ID = string(data[t.from:t.next])
		case varint(sentSequence):
			s.Sequence = t.value
		case varint(sentDuplicate):
			s.Duplicate = t.value != 0
		}
		return nil
	})
	return s, err
}

// AppendQueueMessages appends the wire form of messages that were received to dst and answers the longer slice.
func AppendQueueMessages(dst []byte, messages []op.Message) []byte {
	for i := range messages {
		dst = appendMessage(dst, listMessages, &messages[i], appendReceived, messageBody, messages[i].Body)
	}
	return dst
}

func appendReceived(b []byte, m *op.Message) []byte {
	b = appendBytes(b, messageID, m.ID)
	b = appendInt(b, messageSequence, m.Sequence)
	b = appendAttributes(b, messageAttributes, m.Attributes)
	b = appendBytes(b, messageGroup, m.Group)
	b = appendBytes(b, messageDedup, m.Dedup)
	b = appendMoment(b, messageSent, m.Sent)
	b = appendMoment(b, messageFirst, m.First)
	b = appendInt(b, messageReceives, uint64(uint32(max(0, m.Receives))))
	b = appendBytes(b, messageSource, m.Source)
	b = appendBytes(b, messageReceipt, m.Receipt)
	return appendMoment(b, messageVisible, m.Visible)
}

// DecodeQueueMessages reads messages that were received. Texts are copies, bodies and values part of data.
func DecodeQueueMessages(data []byte) (messages []op.Message, err error) {
	err = eachField(data, func(t token) error {
		if t.is() != lengthy(listMessages) {
			return nil
		}
		m, err := decodeReceived(data[t.from:t.next])
		messages = append(messages, m)
		return err
	})
	return messages, err
}

func decodeReceived(data []byte) (m op.Message, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(messageID):
			m.ID = string(data[t.from:t.next])
		case varint(messageSequence):
			m.Sequence = t.value
		case lengthy(messageAttributes):
			a, err := decodeAttribute(data[t.from:t.next])
			m.Attributes = append(m.Attributes, a)
			return err
		case lengthy(messageGroup):
			m.Group = string(data[t.from:t.next])
		case lengthy(messageDedup):
			m.Dedup = string(data[t.from:t.next])
		case varint(messageSent):
			m.Sent = moment(int64(t.value))
		case varint(messageFirst):
			m.First = moment(int64(t.value))
		case varint(messageReceives):
			m.Receives = int(uint32(t.value))
		case lengthy(messageSource):
			m.Source = string(data[t.from:t.next])
		case lengthy(messageReceipt):
			m.Receipt = string(data[t.from:t.next])
		case varint(messageVisible):
			m.Visible = moment(int64(t.value))
		case lengthy(messageBody):
			m.Body = data[t.from:t.next:t.next]
		}
		return nil
	})
	return m, err
}

// AppendQueueSettled appends the wire form of which receipts held to dst and answers the longer slice.
func AppendQueueSettled(dst []byte, s *op.Settled) []byte {
	return appendHeld(appendHeld(dst, settledDelete, s.Delete), settledRelease, s.Release)
}

// appendHeld writes a byte for each receipt.
func appendHeld(b []byte, field int, held []bool) []byte {
	if len(held) == 0 {
		return b
	}
	b = appendUvarint(b, uint64(field)<<3|wireBytes)
	b = appendUvarint(b, uint64(len(held)))
	for _, h := range held {
		if h {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

// DecodeQueueSettled reads which receipts held.
func DecodeQueueSettled(data []byte) (s op.Settled, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(settledDelete):
			s.Delete = decodeHeld(data[t.from:t.next])
		case lengthy(settledRelease):
			s.Release = decodeHeld(data[t.from:t.next])
		}
		return nil
	})
	return s, err
}

func decodeHeld(data []byte) []bool {
	held := make([]bool, len(data))
	for i, b := range data {
		held[i] = b != 0
	}
	return held
}

// AppendQueueStats appends the wire form of what a queue holds to dst and answers the longer slice.
func AppendQueueStats(dst []byte, s *op.QueueStats) []byte {
	b := appendInt(dst, statsMessages, uint64(s.Messages))
	b = appendInt(b, statsBytes, uint64(s.Bytes))
	b = appendInt(b, statsVisible, uint64(s.Visible))
	b = appendInt(b, statsInFlight, uint64(s.InFlight))
	b = appendInt(b, statsDelayed, uint64(s.Delayed))
	return appendMoment(b, statsOldest, s.Oldest)
}

// DecodeQueueStats reads what a queue holds.
func DecodeQueueStats(data []byte) (s op.QueueStats, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case varint(statsMessages):
			s.Messages = int64(t.value)
		case varint(statsBytes):
			s.Bytes = int64(t.value)
		case varint(statsVisible):
			s.Visible = int64(t.value)
		case varint(statsInFlight):
			s.InFlight = int64(t.value)
		case varint(statsDelayed):
			s.Delayed = int64(t.value)
		case varint(statsOldest):
			s.Oldest = moment(int64(t.value))
		}
		return nil
	})
	return s, err
}
