package redis

import (
	"strconv"

	"github.com/tidwall/redcon"

	"github.com/sett-run/sett/kv/op"
)

// writer holds replies until they are sent.
type writer struct {
	b      []byte
	resp3  bool
	failed bool // an error was written since it was last set to false
}

func (w *writer) status(s string)   { w.b = redcon.AppendString(w.b, s) }
func (w *writer) ok()               { w.b = redcon.AppendOK(w.b) }
func (w *writer) integer(n int64)   { w.b = redcon.AppendInt(w.b, n) }
func (w *writer) bulk(value []byte) { w.b = redcon.AppendBulk(w.b, value) }
func (w *writer) text(s string)     { w.b = redcon.AppendBulkString(w.b, s) }
func (w *writer) array(n int)       { w.b = redcon.AppendArray(w.b, n) }

// fail writes an error, whose first word is its kind.
func (w *writer) fail(err replyError) {
	w.failed = true
	w.b = redcon.AppendError(w.b, string(err))
}

// error writes an error about arguments.
func (w *writer) error(err error) {
	told, _ := describe(err)
	w.fail(told)
}

// null writes that there is no value.
func (w *writer) null() {
	if w.resp3 {
		w.b = append(w.b, "_\r\n"...)
		return
	}
	w.b = redcon.AppendNull(w.b)
}

// nullArray writes that there is no list.
func (w *writer) nullArray() {
	if w.resp3 {
		w.null()
		return
	}
	w.b = append(w.b, "*-1\r\n"...)
}

// pairs begins a map: n times a name and a value follow.
func (w *writer) pairs(n int) {
	if !w.resp3 {
		w.array(2 * n)
		return
	}
	w.header('%', n)
}

// set begins a set of n elements.
func (w *writer) set(n int) {
	if !w.resp3 {
		w.array(n)
		return
	}
	w.header('~', n)
}

func (w *writer) header(kind byte, n int) {
	w.b = strconv.AppendInt(append(w.b, kind), int64(n), 10)
	w.b = append(w.b, "\r\n"...)
}

// verbatim writes text that people read.
func (w *writer) verbatim(s string) {
	if !w.resp3 {
		w.text(s)
		return
	}
	w.header('=', len("txt:")+len(s))
	w.b = append(append(append(w.b, "txt:"...), s...), "\r\n"...)
}

// value writes an item's value, or that it is absent.
func (w *writer) value(i op.Item) {
	if i.Revision == 0 {
		w.null()
		return
	}
	w.bulk(i.Value)
}

// previous writes the value a key had.
func (w *writer) previous(r op.OpResult) {
	if !r.Found {
		w.null()
		return
	}
	w.bulk(r.Previous)
}

// truth writes 1 or 0.
func (w *writer) truth(yes bool) {
	if yes {
		w.integer(1)
		return
	}
	w.integer(0)
}
