package fsm

import (
	"bytes"
	"slices"
)

// table holds the records under one prefix that an entry came upon, over those in the view.
type table struct {
	prefix  string
	records []*record // ascending by key
}

// record is a key and value of the state while an entry is at work.
type record struct {
	key     []byte
	value   []byte
	present bool
	stored  bool // in the view
	dirty   bool
}

// undo is a record before a change.
type undo struct {
	record *record
	was    record
}

// records are the tables of an entry, and what its command in progress did to them.
type records struct {
	view    View
	tables  map[string]*table
	order   []*table
	journal []undo
	bytes   int // that the command writes, at most
}

const recordOverhead = 32 // of a key and its value in the storage

func newRecords(v View) *records { return &records{view: v, tables: make(map[string]*table)} }

func (r *records) table(prefix []byte) *table {
	if t := r.tables[string(prefix)]; t != nil {
		return t
	}
	t := &table{prefix: string(prefix)}
	r.tables[t.prefix] = t
	r.order = append(r.order, t)
	return t
}

// find answers where a key is, or would be.
func (t *table) find(key []byte) (int, bool) {
	if n := len(t.records); n == 0 || bytes.Compare(t.records[n-1].key, key) < 0 {
		return n, false // as a rule keys ascend
	}
	return slices.BinarySearchFunc(t.records, key, func(r *record, key []byte) int { return bytes.Compare(r.key, key) })
}

// get answers a record's value, nil when it is absent. The caller does not change it.
func (r *records) get(t *table, key []byte) ([]byte, error) {
	i, known := t.find(key)
	if !known {
		value, found, err := r.view.Get(key)
		if err != nil {
			return nil, err
		}
		if found && value == nil {
			value = []byte{}
		}
		t.records = slices.Insert(t.records, i, &record{key: key, value: value, present: found, stored: found})
	}
	rec := t.records[i]
	if rec.present && rec.value == nil { // its deletion was undone
		value, _, err := r.view.Get(key)
		if err != nil {
			return nil, err
		}
		rec.value = value
	}
	return rec.value, nil
}

// put gives a record a value that is not nil. One that nothing asked for is not in the view.
func (r *records) put(t *table, key, value []byte) {
	r.change(t, key, record{value: value, present: true})
	r.bytes += recordOverhead + len(key) + len(value)
}

// delete takes a record away. One that nothing asked for is in the view.
func (r *records) delete(t *table, key []byte) {
	r.change(t, key, record{})
	r.bytes += recordOverhead + len(key)
}

func (r *records) change(t *table, key []byte, to record) {
	i, known := t.find(key)
	if !known {
		t.records = slices.Insert(t.records, i, &record{key: key, stored: !to.present, present: !to.present})
	}
	rec := t.records[i]
	r.journal = append(r.journal, undo{rec, *rec})
	rec.value, rec.present, rec.dirty = to.value, to.present, true
}

// scan visits the records of a table that are not below from, ascending, until visit answers false. What visit is
// given is valid until it returns. It changes nothing.
func (r *records) scan(t *table, from []byte, visit func(key, value []byte) (more bool)) error {
	i, _ := t.find(from)
	more := true
	err := r.view.Scan([]byte(t.prefix), from, func(k, v []byte) bool {
		for ; more && i < len(t.records) && bytes.Compare(t.records[i].key, k) < 0; i++ {
			if rec := t.records[i]; rec.present {
				more = visit(rec.key, rec.value)
			}
		}
		if !more {
			return false
		}
		if i < len(t.records) && bytes.Equal(t.records[i].key, k) {
			if rec := t.records[i]; rec.present {
				if rec.value != nil {
					v = rec.value
				}
				more = visit(k, v)
			}
			i++
			return more
		}
		more = visit(k, v)
		return more
	})
	for ; err == nil && more && i < len(t.records); i++ {
		if rec := t.records[i]; rec.present {
			more = visit(rec.key, rec.value)
		}
	}
	return err
}

// begin is before a command, rollBack undoes what it did.
func (r *records) begin() { r.journal, r.bytes = r.journal[:0], 0 }

func (r *records) rollBack() {
	for _, u := range slices.Backward(r.journal) {
		*u.record = u.was
	}
	r.begin()
}

// flush writes what the entry left.
func (r *records) flush(write func(Write)) {
	for _, t := range r.order {
		for _, rec := range t.records {
			switch {
			case !rec.dirty:
			case rec.present:
				write(Write{Key: rec.key, Value: rec.value})
			case rec.stored:
				write(Write{Key: rec.key, Delete: true})
			}
		}
	}
}
