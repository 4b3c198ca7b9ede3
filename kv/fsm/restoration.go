package fsm

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sett-run/sett/kv/op"
)

// Restoration makes, record by record, the state of a backup that of a new store: data, expiries, quotas and the
// feature level as they are, without what Drop names and without memory of the past. What entries did before is
// forgotten: watches of old revisions answer op.ErrCompacted, requests are not recognised. So nothing that is dropped
// stays in the log of changes.
//
// Records are passed in ascending order of their keys, all of them, once.
type Restoration struct {
	Drop []string // prefixes of keys in op.System; "" is all of them

	dropped op.Usage // of op.System
}

// Record answers the value that a record of the backup has in the new store, or keep false. An error is ErrTooNew or
// says that the state is damaged.
func (r *Restoration) Record(key, value []byte) (became []byte, keep bool, err error) {
	if len(key) == 0 {
		return nil, false, fmt.Errorf("restore: empty key: %w", errDamaged)
	}
	switch key[0] {
	case headKind, queueKind, alarmKind:
		return value, true, nil
	case dataKind:
		return r.data(key, value)
	case expiryKind:
		return value, !r.drops(key[min(len(key), 9):]), nil
	case usageKind:
		return r.usage(key, value)
	case progressKey[0]:
		return r.progress(key, value)
	case changesKind, historyKind, requestKind, requestsKind:
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("restore: record of kind %q: %w", key[0], errDamaged)
}

// drops says whether a namespace, zero byte and key are among those that go.
func (r *Restoration) drops(spaced []byte) bool {
	namespace, key, _ := bytes.Cut(spaced, []byte{0})
	if string(namespace) != op.System {
		return false
	}
	for _, prefix := range r.Drop {
		if strings.HasPrefix(string(key), prefix) {
			return true
		}
	}
	return false
}

func (r *Restoration) data(key, value []byte) ([]byte, bool, error) {
	if !r.drops(key[1:]) {
		return value, true, nil
	}
	s, err := decodeState(value)
	if err != nil {
		return nil, false, fmt.Errorf("restore: %w", err)
	}
	_, name, _ := bytes.Cut(key[1:], []byte{0})
	r.dropped.Keys++
	r.dropped.Bytes += int64(len(name) + s.size)
	return nil, false, nil
}

// usage comes after all data.
func (r *Restoration) usage(key, value []byte) ([]byte, bool, error) {
	if string(key[1:]) != op.System {
		return value, true, nil
	}
	u, keeps, err := decodeUsage(value)
	if err != nil {
		return nil, false, fmt.Errorf("restore: %w", err)
	}
	u.Keys -= r.dropped.Keys
	u.Bytes -= r.dropped.Bytes
	if u.Keys < 0 || u.Bytes < 0 {
		return nil, false, fmt.Errorf("restore: usage: %w", errDamaged)
	}
	return appendUsage(nil, u, keeps), u != op.Usage{} || keeps, nil
}

func (r *Restoration) progress(key, value []byte) ([]byte, bool, error) {
	if string(key) != progressKey {
		return nil, false, fmt.Errorf("restore: record %.20q: %w", key, errDamaged)
	}
	p, err := decodeProgress(value)
	if err != nil {
		return nil, false, fmt.Errorf("restore: %w", err)
	}
	if p.level > Level {
		return nil, false, fmt.Errorf("restore: level %d: %w", p.level, ErrTooNew)
	}
	p.compacted = LastRevision(p.index)
	p.history, p.requests = mark{}, mark{}
	return p.append(nil), true, nil
}
