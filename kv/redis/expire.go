package redis

import (
	"math"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// expiryOption is how a command says when a key expires: the unit's name and a number. The zero value is none.
type expiryOption struct {
	unit  expiryUnit
	value []byte
}

// expiryUnit is what the number counts. It is divided by thousands to milliseconds, from now or from 1970.
type expiryUnit uint8

const (
	never      expiryUnit = iota
	inSeconds             // EX, EXPIRE, SETEX
	inMillis              // PX, PEXPIRE, PSETEX
	atSecond              // EXAT, EXPIREAT
	atMilli               // PXAT, PEXPIREAT
	maxSeconds = math.MaxInt64 / 1000
)

func (o *expiryOption) given() bool { return o.unit != never }

// take takes the option at the beginning of args and its number, when it is one of EX PX EXAT PXAT and the first.
func (o *expiryOption) take(args [][]byte) bool {
	if o.given() || len(args) < 2 {
		return false
	}
	switch a := args[0]; {
	case is(a, "ex"):
		o.unit = inSeconds
	case is(a, "px"):
		o.unit = inMillis
	case is(a, "exat"):
		o.unit = atSecond
	case is(a, "pxat"):
		o.unit = atMilli
	default:
		return false
	}
	o.value = args[1]
	return true
}

// expiry is when a key expires, as an op says it.
type expiry struct {
	ttl  time.Duration // 0: never
	past bool          // it would have expired already
}

// parse reads the number for SET and its like, which do not take 0 or less.
func (o *expiryOption) parse(command string) (expiry, error) {
	if !o.given() {
		return expiry{}, nil
	}
	n, err := parseInteger(o.value)
	switch {
	case err != nil:
		return expiry{}, err
	case n <= 0:
		return expiry{}, invalidExpire(command)
	}
	return o.at(command, n)
}

// at makes an expiry of the number. One beyond op.MaxTTL is refused as one that overflows.
func (o *expiryOption) at(command string, n int64) (expiry, error) {
	if o.unit == inSeconds || o.unit == atSecond {
		if n > maxSeconds || n < -maxSeconds {
			return expiry{}, invalidExpire(command)
		}
		n *= 1000
	}
	if o.unit == atSecond || o.unit == atMilli {
		n = max(n, 0) - time.Now().UnixMilli()
	}
	switch {
	case n > op.MaxTTL.Milliseconds():
		return expiry{}, invalidExpire(command)
	case n <= 0:
		return expiry{past: true}, nil
	}
	return expiry{ttl: time.Duration(n) * time.Millisecond}, nil
}

// remaining is the TTL with which an item lives on as long as it would have; 0: it lives until it is deleted.
func remaining(i op.Item) time.Duration {
	if i.Expires.IsZero() {
		return 0
	}
	return max(time.Until(i.Expires), op.MinTTL)
}

func planSetEx(args [][]byte) (plan, error)  { return setFor("setex", inSeconds, args) }
func planPSetEx(args [][]byte) (plan, error) { return setFor("psetex", inMillis, args) }

func setFor(command string, unit expiryUnit, args [][]byte) (plan, error) {
	set, err := keyValue(args[1], args[3])
	if err != nil {
		return plan{}, err
	}
	o := expiryOption{unit, args[2]}
	x, err := o.parse(command)
	set.TTL = x.ttl
	return plan{step: step{ops: []op.Op{set}, answer: answerOK}}, err
}

// touch is the op that makes a key expire at x.
func touch(key string, x expiry) op.Op {
	if x.past {
		return op.Op{Kind: op.Delete, Key: key}
	}
	return op.Op{Kind: op.Touch, Key: key, TTL: x.ttl}
}

func planGetEx(args [][]byte) (plan, error) {
	key, err := keyOf(args[1])
	if err != nil {
		return plan{}, err
	}
	var o expiryOption
	persist := len(args) == 3 && is(args[2], "persist")
	if len(args) > 2 && !persist && (!o.take(args[2:]) || len(args) != 4) {
		return plan{}, errSyntax
	}
	x, invalid := o.parse("getex")
	return plan{keys: []string{key}, decide: func(items []op.Item) step {
		found, expires := items[0].Revision != 0, !items[0].Expires.IsZero()
		s := step{answer: func(w *writer, _ []op.OpResult) { w.value(items[0]) }}
		switch {
		case found && invalid != nil: // Redis looks at the time only then
			s.answer = func(w *writer, _ []op.OpResult) { w.error(invalid) }
		case found && (o.given() || persist && expires):
			s.ops = []op.Op{touch(key, x)}
		}
		return s
	}}, nil
}

func planExpire(args [][]byte) (plan, error)    { return expire("expire", inSeconds, args) }
func planPExpire(args [][]byte) (plan, error)   { return expire("pexpire", inMillis, args) }
func planExpireAt(args [][]byte) (plan, error)  { return expire("expireat", atSecond, args) }
func planPExpireAt(args [][]byte) (plan, error) { return expire("pexpireat", atMilli, args) }

// expire is EXPIRE and its like, with the options NX XX GT LT.
func expire(command string, unit expiryUnit, args [][]byte) (plan, error) {
	when, err := parseConditions(args[3:])
	if err != nil {
		return plan{}, err
	}
	n, err := parseInteger(args[2])
	if err != nil {
		return plan{}, err
	}
	o := expiryOption{unit: unit}
	x, err := o.at(command, n)
	if err != nil {
		return plan{}, err
	}
	key, err := keyOf(args[1])
	s := step{ops: []op.Op{touch(key, x)}, answer: answerFound}
	if when == (conditions{}) {
		return plan{step: s}, err
	}
	return plan{keys: []string{key}, decide: func(items []op.Item) step {
		if !when.hold(items[0], x) {
			return step{answer: answerZero}
		}
		return s
	}}, err
}

// conditions are when EXPIRE acts: the key has no expiry, has one, has a sooner one, has a later one.
type conditions struct{ nx, xx, gt, lt bool }

func parseConditions(args [][]byte) (c conditions, err error) {
	for _, a := range args {
		switch {
		case is(a, "nx"):
			c.nx = true
		case is(a, "xx"):
			c.xx = true
		case is(a, "gt"):
			c.gt = true
		case is(a, "lt"):
			c.lt = true
		default:
			return c, replyError("ERR Unsupported option " + string(a))
		}
	}
	switch {
	case c.nx && (c.xx || c.gt || c.lt):
		return c, errExpireXX
	case c.gt && c.lt:
		return c, errExpireGTLT
	}
	return c, nil
}

// hold says whether an item meets the conditions for a new expiry. No expiry is later than any.
func (c conditions) hold(i op.Item, x expiry) bool {
	expires := !i.Expires.IsZero()
	left := time.Until(i.Expires)
	switch {
	case i.Revision == 0, c.nx && expires, c.xx && !expires:
		return false
	case c.gt:
		return expires && x.ttl > left
	case c.lt:
		return !expires || x.ttl < left
	}
	return true
}

func planPersist(args [][]byte) (plan, error) {
	key, err := keyOf(args[1])
	return plan{keys: []string{key}, decide: func(items []op.Item) step {
		if items[0].Expires.IsZero() {
			return step{answer: answerZero}
		}
		return step{ops: []op.Op{{Kind: op.Touch, Key: key}}, answer: answerFound}
	}}, err
}

func planTTL(args [][]byte) (plan, error) {
	return tellExpiry(args, func(at time.Time) int64 { return (untilMilli(at) + 500) / 1000 })
}

func planPTTL(args [][]byte) (plan, error) { return tellExpiry(args, untilMilli) }

func planExpireTime(args [][]byte) (plan, error) {
	return tellExpiry(args, func(at time.Time) int64 { return (at.UnixMilli() + 500) / 1000 })
}

func planPExpireTime(args [][]byte) (plan, error) { return tellExpiry(args, time.Time.UnixMilli) }

func untilMilli(at time.Time) int64 { return max(time.Until(at).Milliseconds(), 0) }

// tellExpiry answers a number about a key's expiry, -1 when it has none and -2 when there is no key.
func tellExpiry(args [][]byte, number func(time.Time) int64) (plan, error) {
	return lookAt(args[1:], func(w *writer, items []op.Item) {
		switch i := items[0]; {
		case i.Revision == 0:
			w.integer(-2)
		case i.Expires.IsZero():
			w.integer(-1)
		default:
			w.integer(number(i.Expires))
		}
	})
}
