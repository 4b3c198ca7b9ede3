package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// The state, all of it. Namespaces hold no zero byte, keys hold any bytes; times are nanoseconds since 1970 and 0
// means never; fixed numbers are big endian, the others varints.
//
//	d <namespace> 0x00 <key>                          revision, expiry, value: the data
//	e <expiry, 8 bytes> <namespace> 0x00 <key>        size of the value: for each key that expires, so that Tick finds it
//	c <namespace> 0x00 <revision, 8 bytes> <n, 4 bytes>  the n-th change of a transaction, for watches
//	u <namespace>                                     keys, bytes and both quotas: what it holds, for expired keys too
//	r <namespace> 0x00 <request, 16 bytes>            leader time, outcome: of a request that is done
//	m applied                                         progress
const (
	dataKind    = 'd'
	expiryKind  = 'e'
	changeKind  = 'c'
	usageKind   = 'u'
	requestKind = 'r'
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

// changeKey is the n-th change's of a revision.
func changeKey(namespace string, revision uint64, n int) []byte {
	b := make([]byte, 0, 2+len(namespace)+12)
	b = append(append(append(b, changeKind), namespace...), 0)
	b = binary.BigEndian.AppendUint64(b, revision)
	return binary.BigEndian.AppendUint32(b, uint32(n))
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
	b = binary.AppendUvarint(b, s.revision)
	b = binary.AppendUvarint(b, uint64(s.expires))
	return append(b, s.value...)
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
	isDeleted  = 1
	isExpiring = 2
)

func appendChange(b []byte, key string, s state) []byte {
	switch {
	case !s.present:
		return appendText(append(b, isDeleted), key)
	case s.expires != 0:
		b = binary.AppendUvarint(append(b, isExpiring), uint64(s.expires))
	default:
		b = append(b, 0)
	}
	return append(appendText(b, key), s.value...)
}

// decodeChange reads a change of a revision; its value is a part of b.
func decodeChange(revision uint64, b []byte) (op.Change, error) {
	f := fields{rest: b}
	flags := f.byte()
	c := op.Change{Revision: revision, Deleted: flags == isDeleted}
	if flags == isExpiring {
		c.Expires = timeOf(f.natural())
	}
	c.Key = string(f.text())
	if f.bad || flags > isExpiring || c.Deleted && len(f.rest) > 0 {
		return op.Change{}, fmt.Errorf("change: %w", errDamaged)
	}
	if !c.Deleted {
		c.Value = f.rest
	}
	return c, nil
}

func appendUsage(b []byte, u op.Usage) []byte {
	for _, n := range []int64{u.Keys, u.Bytes, u.Quota.Keys, u.Quota.Bytes} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

func decodeUsage(b []byte) (op.Usage, error) {
	f := fields{rest: b}
	u := op.Usage{Keys: f.natural(), Bytes: f.natural()}
	u.Quota = op.Quota{Keys: f.natural(), Bytes: f.natural()}
	if !f.whole() {
		return op.Usage{}, fmt.Errorf("usage: %w", errDamaged)
	}
	return u, nil
}

func readUsage(v View, namespace string) (op.Usage, error) {
	b, found, err := v.Get(usageKey(namespace))
	if err != nil || !found {
		return op.Usage{}, err
	}
	return decodeUsage(b)
}
