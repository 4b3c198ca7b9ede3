package redis

import (
	"math"
	"slices"

	"github.com/sett-run/sett/kv/op"
)

// keyOf takes an argument as a key.
func keyOf(arg []byte) (string, error) {
	switch {
	case len(arg) == 0:
		return "", errEmptyKey
	case len(arg) > op.MaxKeyBytes:
		return "", errKeySize
	}
	return string(arg), nil
}

func keysOf(args [][]byte) ([]string, error) {
	keys := make([]string, len(args))
	for i, a := range args {
		var err error
		if keys[i], err = keyOf(a); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// keyValue takes two arguments as a key and its value.
func keyValue(key, value []byte) (op.Op, error) {
	if len(value) > op.MaxValueBytes {
		return op.Op{}, errStringSize
	}
	k, err := keyOf(key)
	return op.Op{Kind: op.Set, Key: k, Value: value}, err
}

func answerOK(w *writer, _ []op.OpResult)         { w.ok() }
func answerOne(w *writer, _ []op.OpResult)        { w.integer(1) }
func answerZero(w *writer, _ []op.OpResult)       { w.integer(0) }
func answerNull(w *writer, _ []op.OpResult)       { w.null() }
func answerInteger(w *writer, r []op.OpResult)    { w.integer(r[0].Integer) }
func answerFound(w *writer, r []op.OpResult)      { w.truth(r[0].Found) }
func answerPrevious(w *writer, r []op.OpResult)   { w.previous(r[0]) }
func answerFoundCount(w *writer, r []op.OpResult) { w.integer(countFound(r)) }

func countFound(results []op.OpResult) (n int64) {
	for i := range results {
		if results[i].Found {
			n++
		}
	}
	return n
}

// lookAt is a plan that only reads.
func lookAt(args [][]byte, answer func(w *writer, items []op.Item)) (plan, error) {
	keys, err := keysOf(args)
	return plan{keys: keys, decide: func(items []op.Item) step {
		return step{answer: func(w *writer, _ []op.OpResult) { answer(w, items) }}
	}}, err
}

func planGet(args [][]byte) (plan, error) {
	return lookAt(args[1:], func(w *writer, items []op.Item) { w.value(items[0]) })
}

func planMGet(args [][]byte) (plan, error) {
	return lookAt(args[1:], func(w *writer, items []op.Item) {
		w.array(len(items))
		for i := range items {
			w.value(items[i])
		}
	})
}

func planExists(args [][]byte) (plan, error) {
	p, err := lookAt(args[1:], func(w *writer, items []op.Item) {
		n := int64(0)
		for i := range items {
			if items[i].Revision != 0 {
				n++
			}
		}
		w.integer(n)
	})
	p.light = true
	return p, err
}

func planStrlen(args [][]byte) (plan, error) {
	return lookAt(args[1:], func(w *writer, items []op.Item) { w.integer(int64(len(items[0].Value))) })
}

func planType(args [][]byte) (plan, error) {
	return lookAt(args[1:], func(w *writer, items []op.Item) {
		if items[0].Revision == 0 {
			w.status("none")
			return
		}
		w.status("string")
	})
}

// planSet has options: NX XX GET KEEPTTL EX PX EXAT PXAT.
func planSet(args [][]byte) (plan, error) {
	set, err := keyValue(args[1], args[2])
	if err != nil {
		return plan{}, err
	}
	o, err := parseSetOptions(args[3:])
	if err != nil {
		return plan{}, err
	}
	x, err := o.expiry.parse("set")
	if err != nil {
		return plan{}, err
	}
	set.TTL, set.Previous = x.ttl, o.get
	if x.past {
		set.Kind, set.Value = op.Delete, nil
	}
	answer := answerOK
	if o.get {
		answer = answerPrevious
	}
	s := step{ops: []op.Op{set}, answer: answer, refused: (*writer).null}
	switch {
	case o.keepTTL || o.nx && o.get:
		return plan{keys: []string{set.Key}, decide: func(items []op.Item) step { return o.decide(s, items[0]) }}, nil
	case o.nx:
		s.checks = []op.Check{{Key: set.Key}}
	case o.xx:
		s.checks = []op.Check{{Kind: op.IsPresent, Key: set.Key}}
	}
	return plan{step: s}, nil
}

// setOptions are those of SET.
type setOptions struct {
	nx, xx, get, keepTTL bool
	expiry               expiryOption
}

func parseSetOptions(args [][]byte) (o setOptions, err error) {
	for len(args) > 0 {
		switch a := args[0]; {
		case is(a, "nx") && !o.xx:
			o.nx = true
		case is(a, "xx") && !o.nx:
			o.xx = true
		case is(a, "get"):
			o.get = true
		case is(a, "keepttl") && !o.expiry.given():
			o.keepTTL = true
		case !o.keepTTL && o.expiry.take(args):
			args = args[1:]
		default:
			return o, errSyntax
		}
		args = args[1:]
	}
	return o, nil
}

// decide makes s fit what is there, for the options whose meaning depends on it.
func (o *setOptions) decide(s step, i op.Item) step {
	found := i.Revision != 0
	if o.nx && found || o.xx && !found {
		answer := answerNull
		if o.get {
			answer = func(w *writer, _ []op.OpResult) { w.value(i) }
		}
		return step{answer: answer}
	}
	if o.keepTTL {
		s.ops = slices.Clone(s.ops)
		s.ops[0].TTL = remaining(i)
	}
	return s
}

func planSetNX(args [][]byte) (plan, error) {
	set, err := keyValue(args[1], args[2])
	return plan{step: step{ops: []op.Op{set}, checks: []op.Check{{Key: set.Key}}, answer: answerOne,
		refused: func(w *writer) { w.integer(0) }}}, err
}

func planGetSet(args [][]byte) (plan, error) {
	set, err := keyValue(args[1], args[2])
	set.Previous = true
	return plan{step: step{ops: []op.Op{set}, answer: answerPrevious}}, err
}

func planGetDel(args [][]byte) (plan, error) {
	key, err := keyOf(args[1])
	return plan{step: step{ops: []op.Op{{Kind: op.Delete, Key: key, Previous: true}}, answer: answerPrevious}}, err
}

func planMSet(args [][]byte) (plan, error) {
	ops, err := pairsOf("mset", args[1:])
	return plan{step: step{ops: ops, answer: answerOK}}, err
}

func planMSetNX(args [][]byte) (plan, error) {
	ops, err := pairsOf("msetnx", args[1:])
	s := step{ops: ops, answer: answerOne, refused: func(w *writer) { w.integer(0) }}
	for i := range ops {
		s.checks = append(s.checks, op.Check{Key: ops[i].Key})
	}
	return plan{step: s}, err
}

func pairsOf(command string, args [][]byte) ([]op.Op, error) {
	if len(args)%2 != 0 {
		return nil, wrongArity(command)
	}
	ops := make([]op.Op, len(args)/2)
	for i := range ops {
		var err error
		if ops[i], err = keyValue(args[2*i], args[2*i+1]); err != nil {
			return nil, err
		}
	}
	return ops, nil
}

func planAppend(args [][]byte) (plan, error) {
	o, err := keyValue(args[1], args[2])
	o.Kind = op.Append
	return plan{step: step{ops: []op.Op{o}, answer: answerInteger}}, err
}

func planDel(args [][]byte) (plan, error) {
	keys, err := keysOf(args[1:])
	ops := make([]op.Op, len(keys))
	for i, k := range keys {
		ops[i] = op.Op{Kind: op.Delete, Key: k}
	}
	return plan{step: step{ops: ops, divisible: true, answer: answerFoundCount}}, err
}

func planIncr(args [][]byte) (plan, error) { return add(args[1], 1) }
func planDecr(args [][]byte) (plan, error) { return add(args[1], -1) }

func planIncrBy(args [][]byte) (plan, error) {
	n, err := parseInteger(args[2])
	if err != nil {
		return plan{}, err
	}
	return add(args[1], n)
}

func planDecrBy(args [][]byte) (plan, error) {
	n, err := parseInteger(args[2])
	switch {
	case err != nil:
		return plan{}, err
	case n == math.MinInt64:
		return plan{}, errDecrOverflow
	}
	return add(args[1], -n)
}

func add(key []byte, delta int64) (plan, error) {
	k, err := keyOf(key)
	return plan{step: step{ops: []op.Op{{Kind: op.Incr, Key: k, Delta: delta}}, answer: answerInteger}}, err
}

// parseInteger reads an argument as strictly as the store reads values.
func parseInteger(arg []byte) (int64, error) {
	n, err := op.ParseInteger(arg)
	if err != nil {
		return 0, errInteger
	}
	return n, nil
}
