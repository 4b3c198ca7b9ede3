package peer

import (
	"strings"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// effects are op.Effects as they travel: keys and bodies may be any bytes, which CBOR's texts may not.
type effects struct {
	Txns    [][]byte `cbor:"1,keyasint,omitempty"` // KvTxn, the checks and ops in order
	Sends   [][]byte `cbor:"2,keyasint,omitempty"` // QueueSend, whose To says queue: or topic: before the name
	Objects [][]byte `cbor:"3,keyasint,omitempty"` // as Txns, of objects
}

const (
	toQueue = "queue:"
	toTopic = "topic:"
)

func packEffects(e *op.Effects) *effects {
	if e == nil {
		return nil
	}
	packed := &effects{Txns: packTxns(e.Checks, e.Ops), Objects: packTxns(e.Objects.Checks, e.Objects.Ops)}
	for _, s := range e.Sends {
		send := abi.QueueSend{To: toQueue + s.Queue, Messages: s.Messages}
		if s.Topic != "" {
			send.To = toTopic + s.Topic
		}
		packed.Sends = append(packed.Sends, abi.AppendQueueSend(nil, &send))
	}
	return packed
}

func packTxns(checks []op.Check, ops []op.Op) (packed [][]byte) {
	for len(checks)+len(ops) > 0 {
		part := op.Txn{Checks: checks[:min(len(checks), op.MaxChecks)], Ops: ops[:min(len(ops), op.MaxOps)]}
		checks, ops = checks[len(part.Checks):], ops[len(part.Ops):]
		packed = append(packed, abi.AppendKVTxn(nil, &part))
	}
	return packed
}

func unpackTxns(packed [][]byte) (c op.ObjectEffects, err error) {
	for _, b := range packed {
		t, err := abi.DecodeKVTxn(b)
		if err != nil {
			return c, err
		}
		c.Checks, c.Ops = append(c.Checks, t.Checks...), append(c.Ops, t.Ops...)
	}
	return c, nil
}

func (p *effects) unpack() (*op.Effects, error) {
	if p == nil {
		return nil, nil
	}
	own, err := unpackTxns(p.Txns)
	if err != nil {
		return nil, err
	}
	e := &op.Effects{Checks: own.Checks, Ops: own.Ops}
	if e.Objects, err = unpackTxns(p.Objects); err != nil {
		return nil, err
	}
	for _, b := range p.Sends {
		send, err := abi.DecodeQueueSend(b)
		if err != nil {
			return nil, err
		}
		s := op.Sending{Messages: send.Messages}
		topic, isTopic := strings.CutPrefix(send.To, toTopic)
		queue, isQueue := strings.CutPrefix(send.To, toQueue)
		switch {
		case isTopic:
			s.Topic = topic
		case isQueue:
			s.Queue = queue
		default:
			return nil, errMalformed
		}
		e.Sends = append(e.Sends, s)
	}
	return e, nil
}
