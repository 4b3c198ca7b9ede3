package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sett-run/sett/kv/op"
)

// Failure says why a command changed nothing. The numbers go over the network and into the state, and never change.
type Failure uint8

// Failures. Each is one of package op's errors on the other side of the network, too.
const (
	None        Failure = 0
	Invalid     Failure = 1
	TooLarge    Failure = 2
	NotInteger  Failure = 3
	Conflict    Failure = 4
	Range       Failure = 5
	OverQuota   Failure = 6
	Unavailable Failure = 7 // the entry did too much already, or the feature level is too low; try again, as a new request
	NoQueue     Failure = 8
	InFlight    Failure = 9
)

const maxTextBytes = 1 << 10 // of Outcome.Text; the rest is cut off

// Outcome is what became of a command.
type Outcome struct {
	Revision uint64 // of the command, whether or not it changed something
	Ops      []op.OpResult
	Failure  Failure
	Text     string // of the failure
}

// Result answers o in the store's words: errors.Is finds the error of package op that o.Failure stands for.
func (o Outcome) Result() (op.Result, error) {
	if o.Failure == None {
		return op.Result{Revision: o.Revision, Ops: o.Ops}, nil
	}
	return op.Result{}, &failed{text: o.Text, err: o.Failure.err()}
}

// failed is the error of an outcome. Its text already says what err says.
type failed struct {
	text string
	err  error
}

func (f *failed) Unwrap() error { return f.err }

func (f *failed) Error() string {
	if f.text == "" {
		return f.err.Error()
	}
	return f.text
}

func (f Failure) err() error {
	switch f {
	case Invalid:
		return op.ErrInvalid
	case TooLarge:
		return op.ErrTooLarge
	case NotInteger:
		return op.ErrNotInteger
	case Conflict:
		return op.ErrConflict
	case Range:
		return op.ErrRange
	case OverQuota:
		return op.ErrQuota
	case Unavailable:
		return op.ErrUnavailable
	case NoQueue:
		return op.ErrNoQueue
	case InFlight:
		return op.ErrInFlight
	}
	return fmt.Errorf("unknown failure %d, from a newer Sett", f)
}

// refusal is an error that fails a command, rather than the application of the log.
type refusal struct{ error }

// Unwrap answers the error of package op.
func (r refusal) Unwrap() error { return r.error }

// refuse makes a refusal of an error of package op; nil stays nil.
func refuse(err error) error {
	if err == nil {
		return nil
	}
	return refusal{err}
}

// outcome answers that of a refused command.
func (r refusal) outcome(revision uint64) Outcome {
	o := Outcome{Revision: revision, Failure: Invalid, Text: r.Error()}
	o.Text = o.Text[:min(len(o.Text), maxTextBytes)]
	for f := Invalid; f <= InFlight; f++ {
		if errors.Is(r.error, f.err()) {
			o.Failure = f
		}
	}
	return o
}

// Flags of an encoded op.OpResult.
const (
	wasFound     = 1
	gaveInteger  = 2
	gavePrevious = 4
)

// Append appends o as it goes over the network and into the state.
func (o Outcome) Append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, byte(o.Failure)), o.Revision)
	b = appendText(b, o.Text)
	b = binary.AppendUvarint(b, uint64(len(o.Ops)))
	for _, r := range o.Ops {
		b = append(b, resultFlags(r))
		if r.Integer != 0 {
			b = binary.AppendVarint(b, r.Integer)
		}
		if r.Previous != nil {
			b = appendText(b, r.Previous)
		}
	}
	return b
}

// DecodeOutcome reads what Append wrote. Previous values are parts of b.
func DecodeOutcome(b []byte) (o Outcome, err error) {
	f := fields{rest: b}
	o.Failure = Failure(f.byte())
	o.Revision = f.uvarint()
	text := f.text()
	o.Text = string(text[:min(len(text), maxTextBytes)])
	if n := f.count(op.MaxOps); n > 0 {
		o.Ops = make([]op.OpResult, n)
	}
	for i := range o.Ops {
		o.Ops[i] = f.result()
	}
	if !f.whole() || len(text) > maxTextBytes {
		return Outcome{}, errors.New("malformed outcome")
	}
	return o, nil
}

func (f *fields) result() (r op.OpResult) {
	flags := f.byte()
	r.Found = flags&wasFound != 0
	if flags&gaveInteger != 0 {
		r.Integer = f.varint()
	}
	if flags&gavePrevious != 0 {
		r.Previous = f.text()
	}
	if flags != resultFlags(r) {
		f.fail()
	}
	return r
}

func resultFlags(r op.OpResult) (flags byte) {
	if r.Found {
		flags |= wasFound
	}
	if r.Integer != 0 {
		flags |= gaveInteger
	}
	if r.Previous != nil {
		flags |= gavePrevious
	}
	return flags
}
