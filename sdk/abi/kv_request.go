package abi

import "github.com/sett-run/sett/kv/op"

// Field numbers of KvGet.
const (
	getKeys        = 1
	getConsistency = 2
)

// AppendKVGet appends the wire form of a read of keys to dst and answers the longer slice. What the session has seen
// is not in it: the host knows.
func AppendKVGet(dst []byte, keys []string, c op.Consistency) []byte {
	n := 2
	for _, k := range keys {
		n += 6 + len(k)
	}
	b := appendInt(grow(dst, n), getConsistency, uint64(c))
	for _, k := range keys {
		b = appendItem(b, getKeys, k)
	}
	return b
}

// DecodeKVGet reads the wire form of a read of keys. The keys are copies.
func DecodeKVGet(data []byte) (keys []string, c op.Consistency, err error) {
	counts, err := countWithin(MaxKVRequestBytes, data, getKeys, 0)
	if err != nil {
		return nil, 0, err
	}
	if counts[0] > op.MaxGets {
		return nil, 0, overLimit(op.MaxGets, "keys")
	}
	keys = make([]string, 0, counts[0])
	err = eachField(data, func(t token) error {
		switch t.is() {
		case varint(getConsistency):
			c = op.Consistency(small(t.value))
		case lengthy(getKeys):
			keys = append(keys, string(data[t.from:t.next]))
		}
		return nil
	})
	return keys, c, err
}

// Field numbers of KvQuery.
const (
	queryPrefix      = 1
	queryCursor      = 2
	queryLimit       = 3
	queryKeysOnly    = 4
	queryConsistency = 5
)

// AppendKVQuery appends the wire form of q, whose Read.Seen is not in it, to dst and answers the longer slice.
func AppendKVQuery(dst []byte, q *op.Query) []byte {
	b := grow(dst, 32+len(q.Prefix)+len(q.Cursor))
	b = appendBytes(b, queryPrefix, q.Prefix)
	b = appendBytes(b, queryCursor, q.Cursor)
	b = appendInt(b, queryLimit, uint64(uint32(max(0, q.Limit))))
	b = appendFlag(b, queryKeysOnly, q.KeysOnly)
	return appendInt(b, queryConsistency, uint64(q.Read.Consistency))
}

// DecodeKVQuery reads the wire form of a query. Its texts are copies.
func DecodeKVQuery(data []byte) (q op.Query, err error) {
	err = eachWithin(MaxKVRequestBytes, data, func(t token) error {
		switch t.is() {
		case lengthy(queryPrefix):
			q.Prefix = string(data[t.from:t.next])
		case lengthy(queryCursor):
			q.Cursor = string(data[t.from:t.next])
		case varint(queryLimit):
			q.Limit = int(min(uint32(t.value), op.MaxPageKeys))
		case varint(queryKeysOnly):
			q.KeysOnly = t.value != 0
		case varint(queryConsistency):
			q.Read.Consistency = op.Consistency(small(t.value))
		}
		return nil
	})
	return q, err
}

// Field numbers of KvTxn, KvCheck and KvOp.
const (
	txnChecks = 1
	txnOps    = 2

	checkKind     = 1
	checkKey      = 2
	checkRevision = 3
	checkValue    = 4

	opKind     = 1
	opKey      = 2
	opValue    = 3
	opTTL      = 4
	opDelta    = 5
	opMin      = 6
	opMax      = 7
	opBounded  = 8
	opPrevious = 9
)

// AppendKVTxn appends the wire form of t, whose Namespace is not in it, to dst and answers the longer slice. Lives
// are rounded up to whole milliseconds.
func AppendKVTxn(dst []byte, t *op.Txn) []byte {
	n := 0
	for i := range t.Checks {
		n += 32 + len(t.Checks[i].Key) + len(t.Checks[i].Value)
	}
	for i := range t.Ops {
		n += 72 + len(t.Ops[i].Key) + len(t.Ops[i].Value)
	}
	b := grow(dst, n)
	for i := range t.Checks {
		b = appendMessage(b, txnChecks, &t.Checks[i], appendCheck, checkValue, t.Checks[i].Value)
	}
	for i := range t.Ops {
		b = appendMessage(b, txnOps, &t.Ops[i], appendOp, opValue, t.Ops[i].Value)
	}
	return b
}

func appendCheck(b []byte, c *op.Check) []byte {
	b = appendInt(b, checkKind, uint64(c.Kind))
	b = appendBytes(b, checkKey, c.Key)
	return appendInt(b, checkRevision, c.Revision)
}

func appendOp(b []byte, o *op.Op) []byte {
	b = appendInt(b, opKind, uint64(o.Kind))
	b = appendBytes(b, opKey, o.Key)
	b = appendInt(b, opTTL, uint64(milliseconds(o.TTL)))
	b = appendInt(b, opDelta, zigzag(o.Delta))
	b = appendInt(b, opMin, zigzag(o.Min))
	b = appendInt(b, opMax, zigzag(o.Max))
	b = appendFlag(b, opBounded, o.Bounded)
	return appendFlag(b, opPrevious, o.Previous)
}

// DecodeKVTxn reads the wire form of a transaction, which has no Namespace. Keys are copies, values part of data.
func DecodeKVTxn(data []byte) (t op.Txn, err error) {
	counts, err := countWithin(MaxKVRequestBytes, data, txnChecks, txnOps)
	if err != nil {
		return t, err
	}
	if counts[0] > op.MaxChecks {
		return t, overLimit(op.MaxChecks, "checks")
	}
	if counts[1] > op.MaxOps {
		return t, overLimit(op.MaxOps, "operations")
	}
	t.Checks, t.Ops = make([]op.Check, 0, counts[0]), make([]op.Op, 0, counts[1])
	err = eachField(data, func(f token) error {
		switch f.is() {
		case lengthy(txnChecks):
			c, err := decodeCheck(data[f.from:f.next])
			t.Checks = append(t.Checks, c)
			return err
		case lengthy(txnOps):
			o, err := decodeOp(data[f.from:f.next])
			t.Ops = append(t.Ops, o)
			return err
		}
		return nil
	})
	return t, err
}

func decodeCheck(data []byte) (c op.Check, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case varint(checkKind):
			c.Kind = op.CheckKind(small(t.value))
		case lengthy(checkKey):
			c.Key = string(data[t.from:t.next])
		case varint(checkRevision):
			c.Revision = t.value
		case lengthy(checkValue):
			c.Value = data[t.from:t.next:t.next]
		}
		return nil
	})
	return c, err
}

func decodeOp(data []byte) (o op.Op, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case varint(opKind):
			o.Kind = op.Kind(small(t.value))
		case lengthy(opKey):
			o.Key = string(data[t.from:t.next])
		case lengthy(opValue):
			o.Value = data[t.from:t.next:t.next]
		case varint(opTTL):
			o.TTL = duration(int64(t.value))
		case varint(opDelta):
			o.Delta = unzigzag(t.value)
		case varint(opMin):
			o.Min = unzigzag(t.value)
		case varint(opMax):
			o.Max = unzigzag(t.value)
		case varint(opBounded):
			o.Bounded = t.value != 0
		case varint(opPrevious):
			o.Previous = t.value != 0
		}
		return nil
	})
	return o, err
}
