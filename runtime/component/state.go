package component

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// stateFunctions are wasi:keyvalue's, of its drafts 0.2.0-draft and 0.2.0-draft2, onto the state of the function's app.
// There is one bucket, default, whose keys are those that every function of the app sees.
// Source: github.com/WebAssembly/wasi-keyvalue, wit/store.wit, atomic.wit and batch.wit.
func stateFunctions() []function {
	var list []function
	for _, version := range []string{"@0.2", "@0.2-draft2"} {
		list = append(list, group("wasi:keyvalue/store"+version,
			function{"open", "iii:", true, bucketOpen},
			function{"[method]bucket.get", "iiii:", true, bucketGet},
			function{"[method]bucket.set", "iiiiii:", true, bucketSet},
			function{"[method]bucket.delete", "iiii:", true, bucketDelete},
			function{"[method]bucket.exists", "iiii:", true, bucketExists},
		)...)
		list = append(list, group("wasi:keyvalue/batch"+version,
			function{"get-many", "iiii:", true, getMany},
			function{"set-many", "iiii:", true, setMany},
			function{"delete-many", "iiii:", true, deleteMany},
		)...)
		list = append(list, group("wasi:keyvalue/atomics"+version, function{"increment", "iiili:", true, increment})...)
	}
	return slices.Concat(list, group("wasi:keyvalue/store@0.2",
		function{"[method]bucket.list-keys", "iili:", true, listKeysByNumber},
	), group("wasi:keyvalue/store@0.2-draft2",
		function{"[method]bucket.list-keys", "iiiii:", true, listKeysByText},
	), group("wasi:keyvalue/atomics@0.2-draft2",
		function{"[static]cas.new", "iiii:", true, casNew},
		function{"[method]cas.current", "ii:", true, casCurrent},
		function{"swap", "iiii:", true, casSwap},
	), []function{dropped[*bucket](), dropped[*cas]()})
}

// bucket is the state of an app.
type bucket struct {
	cursors []string // of pages, by the number that the guest knows them by
}

func (*bucket) resource() string { return "bucket" }

func (b *bucket) drop(c *Call) {
	for _, s := range b.cursors {
		c.free(len(s) + fieldBytes)
	}
}

// cas is a key as it was, to be changed only if it still is so.
type cas struct{ item op.Item }

func (*cas) resource() string { return "cas" }
func (k *cas) drop(c *Call)   { c.free(len(k.item.Key) + len(k.item.Value)) }

// compare gives the guest a handle of a key as it is.
func (c *Call) compare(item op.Item, key string) uint32 {
	item.Key = key // an absent one may lack it
	c.hold(len(item.Key) + len(item.Value))
	return c.own(&cas{item}, 0)
}

// bucketName is the name of the one bucket.
const bucketName = "default"

// stateFailed writes the result of a function that failed: an error at payload.
func (c *Call) stateFailed(at, payload uint32, err error) {
	if errors.Is(err, abi.ErrNoStore) {
		c.put8(at+payload, 0)
	} else {
		c.putText(at+payload+4, err.Error())
		c.put8(at+payload, 2)
	}
	c.put8(at, 1)
}

func bucketOpen(c *Call, p []uint64) {
	name, at := c.text(p[0], p[1]), c.at(p[2], 4)
	if name != bucketName && name != "" || c.Store == nil {
		c.stateFailed(at, 4, abi.ErrNoStore)
		return
	}
	c.put8(at, 0)
	c.put32(at+4, c.own(new(bucket), 0))
}

// read reads keys. What is answered must not be more than the guest can be given.
func (c *Call) read(handle uint64, keys ...string) ([]op.Item, error) {
	use[*bucket](c, handle)
	return c.Store.Items(c.ctx, keys)
}

func (c *Call) commit(ops ...op.Op) (op.Result, error) {
	return c.Store.Commit(c.ctx, op.Txn{Ops: ops})
}

func bucketGet(c *Call, p []uint64) {
	items, err := c.read(p[0], c.text(p[1], p[2]))
	at := c.at(p[3], 4)
	if err != nil {
		c.stateFailed(at, 4, err)
		return
	}
	c.putItem(at, &items[0])
}

// putItem writes the result that is a value, or none.
func (c *Call) putItem(at uint32, item *op.Item) {
	c.put8(at, 0)
	if item.Revision == 0 {
		c.put8(at+4, 0)
		return
	}
	c.put8(at+4, 1)
	c.putBytes(at+8, item.Value)
}

func bucketExists(c *Call, p []uint64) {
	items, err := c.read(p[0], c.text(p[1], p[2]))
	at := c.at(p[3], 4)
	if err != nil {
		c.stateFailed(at, 4, err)
		return
	}
	c.put8(at, 0)
	c.put8(at+4, byte(bit(items[0].Revision != 0)))
}

// change does operations on a bucket and writes whether they were done.
func (c *Call) change(handle, ret uint64, ops ...op.Op) {
	use[*bucket](c, handle)
	_, err := c.commit(ops...)
	at := c.at(ret, 4)
	if err != nil {
		c.stateFailed(at, 4, err)
		return
	}
	c.put8(at, 0)
}

func bucketSet(c *Call, p []uint64) {
	c.change(p[0], p[5], op.Op{Kind: op.Set, Key: c.text(p[1], p[2]), Value: c.copyBytes(p[3], p[4])})
}

func bucketDelete(c *Call, p []uint64) {
	c.change(p[0], p[3], op.Op{Kind: op.Delete, Key: c.text(p[1], p[2])})
}

// texts reads a list whose elements have this size and start with a string.
func (c *Call) texts(ptr, n uint64, size uint32) (texts []string, rest [][]byte) {
	for list := c.elements(ptr, n, size, 4); len(list) > 0; list = list[size:] {
		texts = append(texts, c.text(uint64(le32(list)), uint64(le32(list[4:]))))
		rest = append(rest, list[8:size])
	}
	return texts, rest
}

func setMany(c *Call, p []uint64) {
	keys, values := c.texts(p[1], p[2], 16)
	ops := make([]op.Op, len(keys))
	for i, v := range values {
		ops[i] = op.Op{Kind: op.Set, Key: keys[i], Value: c.copyBytes(uint64(le32(v)), uint64(le32(v[4:])))}
	}
	c.change(p[0], p[3], ops...)
}

func deleteMany(c *Call, p []uint64) {
	keys, _ := c.texts(p[1], p[2], 8)
	ops := make([]op.Op, len(keys))
	for i, k := range keys {
		ops[i] = op.Op{Kind: op.Delete, Key: k}
	}
	c.change(p[0], p[3], ops...)
}

func getMany(c *Call, p []uint64) {
	keys, _ := c.texts(p[1], p[2], 8)
	items, err := c.read(p[0], keys...)
	at := c.at(p[3], 4)
	if err != nil {
		c.stateFailed(at, 4, err)
		return
	}
	list := c.allocate(4, uint32(20*len(items)))
	for i := range items {
		to := list + uint32(20*i)
		c.put8(to, byte(bit(items[i].Revision != 0)))
		if items[i].Revision != 0 {
			c.putText(to+4, keys[i])
			c.putBytes(to+12, items[i].Value)
		}
	}
	c.put8(at, 0)
	c.put32(at+4, list)
	c.put32(at+8, uint32(len(items)))
}

func increment(c *Call, p []uint64) {
	use[*bucket](c, p[0])
	key, delta := c.text(p[1], p[2]), int64(p[3])
	result, err := c.commit(op.Op{Kind: op.Incr, Key: key, Delta: delta})
	at := c.at(p[4], 8)
	if err != nil {
		c.stateFailed(at, 8, err)
		return
	}
	c.put8(at, 0)
	c.put64(at+8, uint64(result.Ops[0].Integer))
}

// page reads a page of keys.
func (c *Call) page(cursor string) (keys []string, next string, err error) {
	page, err := c.Store.Page(c.ctx, op.Query{Cursor: cursor, KeysOnly: true})
	for i := range page.Items {
		keys = append(keys, page.Items[i].Key)
	}
	return keys, page.Cursor, err
}

// listKeysByNumber lists keys; cursors are numbers, which mean something to this handle alone.
func listKeysByNumber(c *Call, p []uint64) {
	b, cursor := use[*bucket](c, p[0]), ""
	var err error
	if api.DecodeU32(p[1]) == 1 {
		if n := p[2]; n < uint64(len(b.cursors)) {
			cursor = b.cursors[n]
		} else {
			err = fmt.Errorf("cursor %d is unknown", n)
		}
	}
	var keys []string
	var next string
	if err == nil {
		keys, next, err = c.page(cursor)
	}
	at := c.at(p[3], 8)
	if err != nil {
		c.stateFailed(at, 8, err)
		return
	}
	c.putTexts(at+8, keys)
	c.put8(at, 0)
	c.put8(at+16, byte(bit(next != "")))
	if next != "" {
		c.hold(len(next) + fieldBytes)
		c.put64(at+24, uint64(len(b.cursors)))
		b.cursors = append(b.cursors, next)
	}
}

// listKeysByText lists keys; cursors are the store's.
func listKeysByText(c *Call, p []uint64) {
	use[*bucket](c, p[0])
	cursor := ""
	if api.DecodeU32(p[1]) == 1 {
		cursor = c.text(p[2], p[3])
	}
	keys, next, err := c.page(cursor)
	at := c.at(p[4], 4)
	if err != nil {
		c.stateFailed(at, 4, err)
		return
	}
	c.putTexts(at+4, keys)
	c.put8(at, 0)
	c.put8(at+12, byte(bit(next != "")))
	if next != "" {
		c.putText(at+16, next)
	}
}

func casNew(c *Call, p []uint64) {
	key := c.text(p[1], p[2])
	items, err := c.read(p[0], key)
	at := c.at(p[3], 4)
	if err != nil {
		c.stateFailed(at, 4, err)
		return
	}
	c.put8(at, 0)
	c.put32(at+4, c.compare(items[0], key))
}

func casCurrent(c *Call, p []uint64) {
	k := use[*cas](c, p[0])
	c.putItem(c.at(p[1], 4), &k.item)
}

// casSwap sets a key if nothing has changed it; else the guest gets it as it is now.
func casSwap(c *Call, p []uint64) {
	k := take[*cas](c, p[0])
	k.drop(c)
	value := c.copyBytes(p[1], p[2])
	_, err := c.Store.Commit(c.ctx, op.Txn{
		Checks: []op.Check{{Kind: op.HasRevision, Key: k.item.Key, Revision: k.item.Revision}},
		Ops:    []op.Op{{Kind: op.Set, Key: k.item.Key, Value: value}},
	})
	at := c.at(p[3], 4)
	switch {
	case err == nil:
		c.put8(at, 0)
		return
	case errors.Is(err, op.ErrConflict):
		var items []op.Item
		if items, err = c.Store.Items(c.ctx, []string{k.item.Key}); err == nil {
			c.put8(at, 1)
			c.put8(at+4, 1)
			c.put32(at+8, c.compare(items[0], k.item.Key))
			return
		}
	}
	c.stateFailed(at+4, 4, err)
	c.put8(at, 1)
	c.put8(at+4, 0)
}
