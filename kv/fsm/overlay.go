package fsm

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/sett-run/sett/kv/op"
)

// space is a namespace while an entry is at work: its view, and over it the cells that were read or changed.
type space struct {
	name   string
	stored op.Usage // in the view
	usage  op.Usage // now
	kept   bool     // in the view: changes have the value before
	keeps  bool     // now
	cells  map[string]*cell
	dirty  []*cell // those that a command changed, in the order it happened first

	changes []byte // of the entry
}

// cell is a key while an entry is at work.
type cell struct {
	space  *space
	key    string
	stored state // in the view
	now    state
	before state  // now, before the command that touched it last
	touch  uint64 // revision of that command; 0: none
	dirty  bool   // it is in space.dirty
	hollow bool   // stored was not read whole: without a value, or a revision. Only deletes make such cells
}

// image is how many bytes the value before takes in the last command's change of c; 0 when it is not kept.
func (c *cell) image() int {
	if !c.space.keeps || !c.before.present || c.before.revision == 0 || len(c.before.value) != c.before.size {
		return 0
	}
	return 2*binary.MaxVarintLen64 + c.before.size
}

// space answers a namespace's.
func (b *batch) space(namespace string) (*space, error) {
	if s := b.spaces[namespace]; s != nil {
		return s, nil
	}
	u, keeps, err := readUsage(b.view, namespace)
	if err != nil {
		return nil, fmt.Errorf("read usage: %w", err)
	}
	s := &space{name: namespace, stored: u, usage: u, kept: keeps, keeps: keeps, cells: make(map[string]*cell)}
	b.spaces[namespace] = s
	b.order = append(b.order, s)
	return s, nil
}

// cell answers a key's.
func (b *batch) cell(s *space, key string) (*cell, error) {
	if c := s.cells[key]; c != nil {
		return c, nil
	}
	c := &cell{space: s, key: key}
	raw, found, err := b.view.Get(dataKey(s.name, key))
	if err == nil && found {
		c.stored, err = decodeState(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("read %.80q: %w", key, err)
	}
	c.now = c.stored
	s.cells[key] = c
	return c, nil
}

// draft is a command at work on cells.
type draft struct {
	batch    *batch
	revision uint64
	touched  []*cell
	written  int  // bytes of keys and values that were written, and of keys that were deleted
	previous int  // bytes of previous values that are answered
	deleted  int  // keys that went by DeletePrefix
	read     int  // bytes of values that were read only to be kept in changes
	expires  bool // it deletes what has expired
}

// put gives a cell a state.
func (d *draft) put(c *cell, s state) {
	if c.touch != d.revision {
		c.touch, c.before = d.revision, c.now
		d.touched = append(d.touched, c)
	}
	c.now = s
	d.written += len(c.key) + s.size
}

// set gives a cell a value.
func (d *draft) set(c *cell, value []byte, expires int64) {
	d.put(c, state{present: true, revision: d.revision, expires: expires, size: len(value), value: value})
}

// rollBack undoes everything. Cells that are not whole are forgotten, since later commands may want to read them.
func (d *draft) rollBack() {
	for _, c := range d.touched {
		c.now = c.before
		if c.hollow {
			delete(c.space.cells, c.key)
		}
	}
}

// commit makes what d did part of the batch, or refuses all of it.
func (d *draft) commit(answered int) error {
	b := d.batch
	size, images := answered, 0
	for _, c := range d.touched {
		size += c.writeBytes()
		images += c.image()
	}
	// What does not fit even alone goes without values before: so a command that works does, whether they are kept or not.
	withImages := size+images <= maxChangeBytes
	if withImages {
		size += images
	}
	if b.bytes+size > maxChangeBytes {
		return refuse(fmt.Errorf("its log entry does too much already: %w", op.ErrUnavailable))
	}
	b.bytes += size
	slices.SortFunc(d.touched, func(x, y *cell) int {
		return cmp.Or(strings.Compare(x.space.name, y.space.name), strings.Compare(x.key, y.key))
	})
	for _, c := range d.touched {
		c.hollow = false
		if !c.before.present && !c.now.present {
			continue
		}
		c.space.usage = c.count(c.space.usage)
		b.change(c, d.revision, d.flags(c, withImages))
		if !c.dirty {
			c.dirty = true
			c.space.dirty = append(c.space.dirty, c)
		}
	}
	return nil
}

// flags answers what a cell's change says of what was there before: nothing below the feature level that has it.
func (d *draft) flags(c *cell, withImages bool) (flags byte) {
	if d.batch.progress.level < KeepPrevious.level() {
		return 0
	}
	if c.before.present {
		flags |= hasExisted
	}
	if d.expires {
		flags |= hasExpired
	}
	if withImages && c.image() > 0 {
		flags |= hasBefore
	}
	return flags
}

// count answers u after what the last command did to c.
func (c *cell) count(u op.Usage) op.Usage {
	if c.before.present {
		u.Keys--
		u.Bytes -= int64(len(c.key) + c.before.size)
	}
	if c.now.present {
		u.Keys++
		u.Bytes += int64(len(c.key) + c.now.size)
	}
	return u
}

// writeBytes is at least what the writes of the last command's change of c have: data, change, and expiry before and
// after.
func (c *cell) writeBytes() int {
	const headers = 32 // of a key and its value
	size := 2 * (headers + len(c.space.name) + len(c.key) + c.now.size)
	for _, s := range []state{c.before, c.now} {
		if s.expires != 0 {
			size += headers + len(c.space.name) + len(c.key)
		}
	}
	return size
}

// flush writes what the entry left in the cells.
func (b *batch) flush() {
	for _, s := range b.order {
		for _, c := range s.dirty {
			b.flushCell(c)
		}
		switch {
		case s.usage == s.stored && s.keeps == s.kept:
		case s.usage == op.Usage{} && !s.keeps:
			b.write(Write{Key: usageKey(s.name), Delete: true})
		default:
			b.write(Write{Key: usageKey(s.name), Value: appendUsage(nil, s.usage, s.keeps)})
		}
	}
}

func (b *batch) flushCell(c *cell) {
	now, stored := c.now, c.stored
	switch {
	case now.present:
		value := now.append(make([]byte, 0, 20+now.size))
		b.write(Write{Key: dataKey(c.space.name, c.key), Value: value})
	case stored.present:
		b.write(Write{Key: dataKey(c.space.name, c.key), Delete: true})
	}
	if now.expires == stored.expires && now.size == stored.size {
		return
	}
	if stored.expires != 0 && stored.expires != now.expires {
		b.write(Write{Key: expiryKey(stored.expires, c.space.name, c.key), Delete: true})
	}
	if now.expires != 0 {
		b.write(Write{Key: expiryKey(now.expires, c.space.name, c.key), Value: binary.AppendUvarint(nil, uint64(now.size))})
	}
}
