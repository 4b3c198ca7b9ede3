package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// The state, all of it. Namespaces hold no zero byte, keys hold any bytes; times are nanoseconds since 1970 and 0
// means never; indices and times in keys are 8 bytes, big endian, other numbers varints.
//
//	d <namespace> 0x00 <key>           revision, expiry, value: the data
//	e <expiry> <namespace> 0x00 <key>  size of the value: for each key that expires, so that a Tick finds it
//	u <namespace>                      keys, bytes and both quotas: what it holds, with keys that have expired; and 1,
//	                                   when its changes have the value before
//	c <namespace> 0x00 <index>         the changes of an entry, for watches
//	h <index>                          leader time, newest revision, namespaces: of an entry that changed something
//	r <namespace> 0x00 <request>       outcome of a request that is done
//	q <index>                          leader time, namespaces and requests: of an entry that did some
//	m applied                          progress
//	n, k, w                            queues: see queue_layout.go
const (
	dataKind     = 'd'
	expiryKind   = 'e'
	usageKind    = 'u'
	changesKind  = 'c'
	historyKind  = 'h'
	requestKind  = 'r'
	requestsKind = 'q'
)

const progressKey = "mapplied"

// spaceKey is a key of a kind that belongs to a namespace.
func spaceKey(kind byte, namespace, rest string) []byte {
	b := make([]byte, 0, 2+len(namespace)+len(rest))
	b = append(b, kind)
	b = append(b, namespace...)
	b = append(b, 0)
	return append(b, rest...)
}

func dataKey(namespace, key string) []byte { return spaceKey(dataKind, namespace, key) }

func usageKey(namespace string) []byte { return append([]byte{usageKind}, namespace...) }

func requestKey(namespace string, r Request) []byte {
	return spaceKey(requestKind, namespace, string(r[:]))
}

func expiryKey(expires int64, namespace, key string) []byte {
	b := make([]byte, 0, 10+len(namespace)+len(key))
	b = binary.BigEndian.AppendUint64(append(b, expiryKind), uint64(expires))
	b = append(append(b, namespace...), 0)
	return append(b, key...)
}

func changesKey(namespace string, index uint64) []byte {
	b := make([]byte, 0, 2+len(namespace)+8)
	b = append(append(append(b, changesKind), namespace...), 0)
	return binary.BigEndian.AppendUint64(b, index)
}

func indexKey(kind byte, index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, index)
}

// indexOf answers the index that a key ends in.
func indexOf(k []byte) uint64 {
	if len(k) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(k[len(k)-8:])
}

// state is what a data key holds.
type state struct {
	present  bool
	revision uint64
	expires  int64
	size     int    // of value
	value    []byte // nil, whatever its size, for a key that was only found to be deleted
}

// live says whether reads and commands see the key at now.
func (s state) live(now int64) bool { return s.present && (s.expires == 0 || s.expires > now) }

func (s state) append(b []byte) []byte {
	return append(appendTime(binary.AppendUvarint(b, s.revision), s.expires), s.value...)
}

var errDamaged = errors.New("the state is damaged or from a newer Sett")

// decodeState answers what a data key holds; its value is a part of b.
func decodeState(b []byte) (state, error) {
	f := fields{rest: b}
	s := state{present: true, revision: f.uvarint(), expires: f.natural()}
	if f.bad || s.revision == 0 {
		return state{}, fmt.Errorf("data: %w", errDamaged)
	}
	s.value, s.size = f.rest, len(f.rest)
	return s, nil
}

// item answers s in the store's words; the value is not copied.
func (s state) item(key string) op.Item {
	return op.Item{Key: key, Value: s.value, Revision: s.revision, Expires: timeOf(s.expires)}
}

func timeOf(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// Flags of a change.
const (
	isDeleted  = 1 << iota
	isExpiring // and is not deleted: the time follows
	hasExisted // the key was there before. This and what follows are of feature level 3
	hasExpired // it is deleted because its time had come
	hasBefore  // revision and value before follow

	allFlags = 1<<iota - 1
)

// appendChange appends a cell's change to those of the entry. Flags are those that the cell does not tell.
func (c *cell) appendChange(b []byte, revision uint64, flags byte) []byte {
	switch {
	case !c.now.present:
		flags |= isDeleted
	case c.now.expires != 0:
		flags |= isExpiring
	}
	b = append(binary.AppendUvarint(b, revision%MaxCommands), flags)
	if flags&isExpiring != 0 {
		b = appendTime(b, c.now.expires)
	}
	b = appendText(b, c.key)
	if flags&isDeleted == 0 {
		b = appendText(b, c.now.value)
	}
	if flags&hasBefore != 0 {
		b = appendText(binary.AppendUvarint(b, c.before.revision), c.before.value)
	}
	return b
}

// change reads one of the changes of an entry; its values are parts of what f reads.
func (f *fields) change(index uint64) (c op.Change) {
	position := int(min(f.uvarint(), MaxCommands-1))
	c.Revision = Revision(index, position)
	flags := f.byte()
	c.Deleted, c.Existed, c.Expired = flags&isDeleted != 0, flags&hasExisted != 0, flags&hasExpired != 0
	if flags&isExpiring != 0 {
		c.Expires = timeOf(f.natural())
	}
	c.Key = string(f.text())
	if !c.Deleted {
		c.Value = f.text()
	}
	if flags&hasBefore != 0 {
		c.PreviousRevision, c.Previous = f.uvarint(), f.text()
	}
	if flags > allFlags || c.Deleted && flags&isExpiring != 0 || c.Expired && !c.Deleted {
		f.fail()
	}
	return c
}

func appendUsage(b []byte, u op.Usage, keeps bool) []byte {
	for _, n := range []int64{u.Keys, u.Bytes, u.Quota.Keys, u.Quota.Bytes} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if keeps {
		b = append(b, 1)
	}
	return b
}

func decodeUsage(b []byte) (u op.Usage, keeps bool, err error) {
	f := fields{rest: b}
	u = op.Usage{Keys: f.natural(), Bytes: f.natural()}
	u.Quota = op.Quota{Keys: f.natural(), Bytes: f.natural()}
	if keeps = len(f.rest) > 0; keeps && f.byte() != 1 {
		f.fail()
	}
	if !f.whole() {
		return op.Usage{}, false, fmt.Errorf("usage: %w", errDamaged)
	}
	return u, keeps, nil
}

func readUsage(v View, namespace string) (u op.Usage, keeps bool, err error) {
	b, found, err := v.Get(usageKey(namespace))
	if err != nil || !found {
		return op.Usage{}, false, err
	}
	return decodeUsage(b)
}
