package abi

import "github.com/sett-run/sett/kv/op"

// Field numbers of KvItem, KvItems and KvPage.
const (
	itemKey      = 1
	itemValue    = 2
	itemRevision = 3
	itemExpires  = 4
	itemSize     = 5

	itemsItems = 1

	pageItems    = 1
	pageCursor   = 2
	pageRevision = 3
)

// AppendKVItems appends the wire form of what was read of keys, without the keys, to dst and answers the longer
// slice. When dst has room for it, nothing is allocated.
func AppendKVItems(dst []byte, items []op.Item) []byte {
	for i := range items {
		dst = appendMessage(dst, itemsItems, &items[i], appendKVItem, itemValue, items[i].Value)
	}
	return dst
}

// appendKVItem writes an item without key and value.
func appendKVItem(b []byte, i *op.Item) []byte {
	return appendMoment(appendInt(b, itemRevision, i.Revision), itemExpires, i.Expires)
}

// DecodeKVItems reads what was read of keys; there are as many items as keys, in their order. Values are part of
// data.
func DecodeKVItems(data []byte, keys []string) ([]op.Item, error) {
	items := make([]op.Item, 0, len(keys))
	err := eachField(data, func(t token) error {
		if t.is() != lengthy(itemsItems) {
			return nil
		}
		if len(items) == len(keys) {
			return malformed()
		}
		l, err := decodeListed(data[t.from:t.next])
		l.Key = keys[len(items)]
		items = append(items, l.Item)
		return err
	})
	if err == nil && len(items) != len(keys) {
		err = malformed()
	}
	return items, err
}

// AppendKVPage appends the wire form of p to dst and answers the longer slice. When dst has room for it, nothing is
// allocated.
func AppendKVPage(dst []byte, p *op.Page) []byte {
	b := appendInt(dst, pageRevision, p.Revision)
	b = appendBytes(b, pageCursor, p.Cursor)
	for i := range p.Items {
		b = appendMessage(b, pageItems, &p.Items[i], appendListed, itemValue, p.Items[i].Value)
	}
	return b
}

// DecodeKVPage reads the wire form of a page. Texts are copies, values part of data.
func DecodeKVPage(data []byte) (p op.Page, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(pageItems):
			l, err := decodeListed(data[t.from:t.next])
			p.Items = append(p.Items, l)
			return err
		case lengthy(pageCursor):
			p.Cursor = string(data[t.from:t.next])
		case varint(pageRevision):
			p.Revision = t.value
		}
		return nil
	})
	return p, err
}

func appendListed(b []byte, l *op.Listed) []byte {
	b = appendKVItem(appendBytes(b, itemKey, l.Key), &l.Item)
	return appendInt(b, itemSize, uint64(uint32(l.Size)))
}

func decodeListed(data []byte) (l op.Listed, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(itemKey):
			l.Key = string(data[t.from:t.next])
		case lengthy(itemValue):
			l.Value = data[t.from:t.next:t.next]
		case varint(itemRevision):
			l.Revision = t.value
		case varint(itemExpires):
			l.Expires = moment(int64(t.value))
		case varint(itemSize):
			l.Size = int(uint32(t.value))
		}
		return nil
	})
	return l, err
}

// Field numbers of KvResult and KvOpResult.
const (
	resultRevision = 1
	resultOps      = 2

	opResultFound    = 1
	opResultInteger  = 2
	opResultPrevious = 3
)

// AppendKVResult appends the wire form of r to dst and answers the longer slice. When dst has room for it, nothing
// is allocated.
func AppendKVResult(dst []byte, r *op.Result) []byte {
	b := appendInt(dst, resultRevision, r.Revision)
	for i := range r.Ops {
		b = appendMessage(b, resultOps, &r.Ops[i], appendOpResult, opResultPrevious, r.Ops[i].Previous)
	}
	return b
}

func appendOpResult(b []byte, r *op.OpResult) []byte {
	b = appendFlag(b, opResultFound, r.Found)
	return appendInt(b, opResultInteger, zigzag(r.Integer))
}

// DecodeKVResult reads the wire form of what a transaction did. Values are part of data.
func DecodeKVResult(data []byte) (r op.Result, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case varint(resultRevision):
			r.Revision = t.value
		case lengthy(resultOps):
			o, err := decodeOpResult(data[t.from:t.next])
			r.Ops = append(r.Ops, o)
			return err
		}
		return nil
	})
	return r, err
}

func decodeOpResult(data []byte) (r op.OpResult, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case varint(opResultFound):
			r.Found = t.value != 0
		case varint(opResultInteger):
			r.Integer = unzigzag(t.value)
		case lengthy(opResultPrevious):
			r.Previous = data[t.from:t.next:t.next]
		}
		return nil
	})
	return r, err
}
