package client

import (
	"encoding/base64"
	"fmt"
	"math"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// KVTxn is a transaction as JSON shows it: all of it happens when every check holds, else nothing.
type KVTxn struct {
	Checks []KVCheck `json:"checks,omitempty"`
	Ops    []KVOp    `json:"ops,omitempty"`
}

// KVCheck is what must hold of a key. Exactly one of Revision, Present and a value is there.
type KVCheck struct {
	Key         string  `json:"key,omitempty"`
	KeyBase64   string  `json:"key_base64,omitempty"`
	Revision    *uint64 `json:"revision,omitempty"` // the key has exactly this one; 0: it is absent
	Present     bool    `json:"present,omitempty"`  // the key is there
	Value       *string `json:"value,omitempty"`    // the key has exactly this value
	ValueBase64 *string `json:"value_base64,omitempty"`
}

// KVOp is one change of a transaction.
type KVOp struct {
	Op          string  `json:"op"` // set, delete, incr, append, touch, delete_prefix
	Key         string  `json:"key,omitempty"`
	KeyBase64   string  `json:"key_base64,omitempty"`
	Value       *string `json:"value,omitempty"` // of set and append
	ValueBase64 *string `json:"value_base64,omitempty"`
	TTLMS       int64   `json:"ttl_ms,omitempty"`   // of set, touch, incr and append; 0: lives until it is deleted
	Delta       *int64  `json:"delta,omitempty"`    // of incr; absent: 1
	Min         *int64  `json:"min,omitempty"`      // of incr: least result
	Max         *int64  `json:"max,omitempty"`      // of incr: greatest result
	Previous    bool    `json:"previous,omitempty"` // of set, delete and append: answer the value there was
}

// KVResult is what a transaction did.
type KVResult struct {
	Revision uint64       `json:"revision"` // every changed key's
	Ops      []KVOpResult `json:"ops"`      // one for each
}

// KVOpResult is what one op did.
type KVOpResult struct {
	Found          bool    `json:"found"`             // the key was there
	Integer        *int64  `json:"integer,omitempty"` // incr: new value; append: new length in bytes; delete_prefix: keys that went
	Previous       *string `json:"previous,omitempty"`
	PreviousBase64 *string `json:"previous_base64,omitempty"`
}

// kindWord is the word for a kind of operation, "" for one that does not exist.
func kindWord(k op.Kind) string {
	switch k {
	case op.Set:
		return "set"
	case op.Delete:
		return "delete"
	case op.Incr:
		return "incr"
	case op.Append:
		return "append"
	case op.Touch:
		return "touch"
	case op.DeletePrefix:
		return "delete_prefix"
	}
	return ""
}

// kindOf is the way back, 0 for a word that is none.
func kindOf(word string) op.Kind {
	for k := op.Set; kindWord(k) != ""; k++ {
		if kindWord(k) == word {
			return k
		}
	}
	return 0
}

// KVTxnOf shows a transaction. Values stand in base64, whatever they are: it is a machine that reads them, and what is
// sent has a limit.
func KVTxnOf(t op.Txn) KVTxn {
	var out KVTxn
	for _, c := range t.Checks {
		k := KVKeyOf(c.Key)
		check := KVCheck{Key: k.Key, KeyBase64: k.KeyBase64}
		switch c.Kind {
		case op.HasValue:
			check.ValueBase64 = encode(c.Value)
		case op.IsPresent:
			check.Present = true
		default:
			check.Revision = &c.Revision
		}
		out.Checks = append(out.Checks, check)
	}
	for _, o := range t.Ops {
		k := KVKeyOf(o.Key)
		shown := KVOp{Op: kindWord(o.Kind), Key: k.Key, KeyBase64: k.KeyBase64, TTLMS: wholeMS(o.TTL), Previous: o.Previous}
		switch o.Kind {
		case op.Set, op.Append:
			shown.ValueBase64 = encode(o.Value)
		case op.Incr:
			shown.Delta = &o.Delta
			if o.Bounded {
				shown.Min, shown.Max = &o.Min, &o.Max
			}
		}
		out.Ops = append(out.Ops, shown)
	}
	return out
}

// wholeMS rounds up, so that a short life does not become an endless one.
func wholeMS(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

func encode(b []byte) *string {
	s := base64.StdEncoding.EncodeToString(b)
	return &s
}

// Txn is the transaction on a namespace in the words of package op, whose limits it may be over. Its error is coded
// abi.InvalidInput and says what is wrong and where.
func (t KVTxn) Txn(namespace string) (op.Txn, error) {
	out := op.Txn{Namespace: namespace}
	for i, c := range t.Checks {
		check, err := c.check(fmt.Sprintf("checks[%d].", i))
		if err != nil {
			return op.Txn{}, err
		}
		out.Checks = append(out.Checks, check)
	}
	for i, o := range t.Ops {
		done, err := o.op(fmt.Sprintf("ops[%d].", i))
		if err != nil {
			return op.Txn{}, err
		}
		out.Ops = append(out.Ops, done)
	}
	return out, nil
}

func (c KVCheck) check(at string) (op.Check, error) {
	key, err := readOneKey(at, KVKey{c.Key, c.KeyBase64})
	if err != nil {
		return op.Check{}, err
	}
	value, err := readBytes(at+"value", c.Value, c.ValueBase64)
	if err != nil {
		return op.Check{}, err
	}
	hasValue := c.Value != nil || c.ValueBase64 != nil
	switch {
	case c.Revision != nil && !c.Present && !hasValue:
		return op.Check{Kind: op.HasRevision, Key: key, Revision: *c.Revision}, nil
	case c.Revision == nil && c.Present && !hasValue:
		return op.Check{Kind: op.IsPresent, Key: key}, nil
	case c.Revision == nil && !c.Present && hasValue:
		return op.Check{Kind: op.HasValue, Key: key, Value: value}, nil
	}
	return op.Check{}, abi.WithCode(abi.InvalidInput, fmt.Errorf("%skey: give one of revision, present and value to check", at))
}

func (o KVOp) op(at string) (op.Op, error) {
	key, err := readOneKey(at, KVKey{o.Key, o.KeyBase64})
	if err != nil {
		return op.Op{}, err
	}
	value, err := readBytes(at+"value", o.Value, o.ValueBase64)
	if err != nil {
		return op.Op{}, err
	}
	out := op.Op{Kind: kindOf(o.Op), Key: key, Value: value, Previous: o.Previous}
	refuse := func(name, why string) (op.Op, error) {
		return op.Op{}, abi.WithCode(abi.InvalidInput, fmt.Errorf("%s%s: %s", at, name, why))
	}
	switch {
	case out.Kind == 0:
		return refuse("op", fmt.Sprintf("%.40q is not one of set, delete, incr, append, touch, delete_prefix", o.Op))
	case out.Kind == op.Set && o.Value == nil && o.ValueBase64 == nil:
		return refuse("value", "missing; an empty one is \"\"")
	case o.TTLMS < 0 || o.TTLMS > op.MaxTTL.Milliseconds():
		return refuse("ttl_ms", fmt.Sprintf("it is between 0 and %d", op.MaxTTL.Milliseconds()))
	case out.Kind != op.Incr && (o.Delta != nil || o.Min != nil || o.Max != nil):
		return refuse("op", o.Op+" has no delta, min or max")
	}
	out.TTL = time.Duration(o.TTLMS) * time.Millisecond
	if out.Kind == op.Incr {
		out.Delta = orElse(o.Delta, 1)
		out.Bounded = o.Min != nil || o.Max != nil
	}
	if out.Bounded {
		out.Min, out.Max = orElse(o.Min, math.MinInt64), orElse(o.Max, math.MaxInt64)
	}
	return out, nil
}

func orElse(n *int64, otherwise int64) int64 {
	if n == nil {
		return otherwise
	}
	return *n
}

// KVResultOf shows what a transaction did.
func KVResultOf(t op.Txn, r op.Result) KVResult {
	out := KVResult{Revision: r.Revision, Ops: make([]KVOpResult, 0, len(r.Ops))}
	for i, o := range r.Ops {
		shown := KVOpResult{Found: o.Found}
		switch t.Ops[i].Kind {
		case op.Incr, op.Append, op.DeletePrefix:
			shown.Integer = &o.Integer
		}
		if t.Ops[i].Previous && o.Found {
			shown.Previous, shown.PreviousBase64 = showBytes(o.Previous)
		}
		out.Ops = append(out.Ops, shown)
	}
	return out
}

// Result is what a transaction did in the words of package op. Its error says what is damaged.
func (r KVResult) Result() (op.Result, error) {
	out := op.Result{Revision: r.Revision}
	for i, o := range r.Ops {
		previous, err := readBytes(fmt.Sprintf("ops[%d].previous", i), o.Previous, o.PreviousBase64)
		if err != nil {
			return op.Result{}, err
		}
		out.Ops = append(out.Ops, op.OpResult{Found: o.Found, Integer: orElse(o.Integer, 0), Previous: previous})
	}
	return out, nil
}
