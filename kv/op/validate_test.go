package op

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestTxnValidate(t *testing.T) {
	long := strings.Repeat("k", MaxKeyBytes+1)
	half := make([]byte, MaxValueBytes)
	ops := func(o ...Op) Txn { return Txn{Namespace: "a", Ops: o} }
	checks := func(c ...Check) Txn { return Txn{Namespace: "a", Checks: c} }
	for _, c := range []struct {
		name string
		txn  Txn
		want error
	}{
		{"nothing", Txn{Namespace: "a"}, nil},
		{"system", Txn{Namespace: System, Ops: []Op{{Kind: Set, Key: "k"}}}, nil},
		{"no namespace", Txn{}, ErrInvalid},
		{"capital", Txn{Namespace: "A"}, ErrInvalid},
		{"zero byte", Txn{Namespace: "a\x00"}, ErrInvalid},
		{"long namespace", Txn{Namespace: strings.Repeat("a", MaxNamespaceBytes+1)}, ErrInvalid},
		{"longest namespace", Txn{Namespace: strings.Repeat("a", MaxNamespaceBytes)}, nil},
		{"every check", checks(Check{Key: "k", Revision: 7}, Check{Key: "k", Kind: HasValue, Value: []byte("v")}, Check{Key: "k", Kind: IsPresent}), nil},
		{"empty checked key", checks(Check{}), ErrInvalid},
		{"long checked key", checks(Check{Key: long}), ErrTooLarge},
		{"unknown check", checks(Check{Key: "k", Kind: 3}), ErrInvalid},
		{"value of a revision", checks(Check{Key: "k", Value: []byte("v")}), ErrInvalid},
		{"revision of a value", checks(Check{Key: "k", Kind: HasValue, Revision: 1}), ErrInvalid},
		{"big checked value", checks(Check{Key: "k", Kind: HasValue, Value: make([]byte, MaxValueBytes+1)}), ErrTooLarge},
		{"many checks", checks(make([]Check, MaxChecks+1)...), ErrTooLarge},
		{"every op", ops(Op{Kind: Set, Key: "k", Value: []byte("v"), TTL: MinTTL, Previous: true}, Op{Kind: Delete, Key: "k", Previous: true},
			Op{Kind: Incr, Key: "k", Delta: -1, Min: -1, Max: -1, Bounded: true, TTL: MaxTTL}, Op{Kind: Append, Key: "k", Value: []byte("v"), Previous: true},
			Op{Kind: Touch, Key: "k"}, Op{Kind: DeletePrefix}), nil},
		{"no kind", ops(Op{Key: "k"}), ErrInvalid},
		{"unknown kind", ops(Op{Kind: DeletePrefix + 1, Key: "k"}), ErrInvalid},
		{"empty key", ops(Op{Kind: Set}), ErrInvalid},
		{"long key", ops(Op{Kind: Set, Key: long}), ErrTooLarge},
		{"long prefix", ops(Op{Kind: DeletePrefix, Key: long}), ErrTooLarge},
		{"value of delete", ops(Op{Kind: Delete, Key: "k", Value: []byte("v")}), ErrInvalid},
		{"ttl of delete", ops(Op{Kind: Delete, Key: "k", TTL: time.Hour}), ErrInvalid},
		{"delta of set", ops(Op{Kind: Set, Key: "k", Delta: 1}), ErrInvalid},
		{"bounds of touch", ops(Op{Kind: Touch, Key: "k", Bounded: true}), ErrInvalid},
		{"bounds without Bounded", ops(Op{Kind: Incr, Key: "k", Max: 1}), ErrInvalid},
		{"previous of incr", ops(Op{Kind: Incr, Key: "k", Previous: true}), ErrInvalid},
		{"crossed bounds", ops(Op{Kind: Incr, Key: "k", Min: 2, Max: 1, Bounded: true}), ErrInvalid},
		{"short ttl", ops(Op{Kind: Set, Key: "k", TTL: MinTTL - 1}), ErrInvalid},
		{"negative ttl", ops(Op{Kind: Set, Key: "k", TTL: -time.Hour}), ErrInvalid},
		{"long ttl", ops(Op{Kind: Touch, Key: "k", TTL: MaxTTL + 1}), ErrInvalid},
		{"big value", ops(Op{Kind: Set, Key: "k", Value: make([]byte, MaxValueBytes+1)}), ErrTooLarge},
		{"many ops", ops(make([]Op, MaxOps+1)...), ErrTooLarge},
		{"big transaction", ops(Op{Kind: Set, Key: "k", Value: half}, Op{Kind: Append, Key: "k", Value: half}), ErrTooLarge},
		{"big with its checks", Txn{Namespace: "a", Checks: []Check{{Key: "k", Kind: HasValue, Value: half}},
			Ops: []Op{{Kind: Set, Key: "k", Value: half}}}, ErrTooLarge},
	} {
		err := c.txn.Validate()
		if !errors.Is(err, c.want) {
			t.Errorf("%s: Validate = %v, want %v", c.name, err, c.want)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%s: the error has %d bytes", c.name, len(err.Error()))
		}
	}
}

func TestQueryValidate(t *testing.T) {
	for _, c := range []struct {
		query Query
		want  error
	}{
		{Query{}, nil},
		{Query{Limit: MaxPageKeys + 1, Read: Read{Consistency: Strong}}, nil},
		{Query{Limit: -1}, ErrInvalid},
		{Query{Prefix: strings.Repeat("p", MaxKeyBytes+1)}, ErrTooLarge},
		{Query{Cursor: strings.Repeat("c", MaxCursorBytes+1)}, ErrTooLarge},
		{Query{Read: Read{Consistency: Strong + 1}}, ErrInvalid},
	} {
		if err := c.query.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%+v: Validate = %v, want %v", c.query, err, c.want)
		}
	}
	for limit, want := range map[int]int{0: MaxPageKeys, 7: 7, MaxPageKeys + 1: MaxPageKeys} {
		if got := (Query{Limit: limit}).Keys(); got != want {
			t.Errorf("Keys with limit %d = %d, want %d", limit, got, want)
		}
	}
}

func TestParseInteger(t *testing.T) {
	for _, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		if got, err := ParseInteger(FormatInteger(n)); got != n || err != nil {
			t.Errorf("ParseInteger(FormatInteger(%d)) = %d, %v", n, got, err)
		}
	}
	for _, text := range []string{"", "+1", "01", "-0", " 1", "1 ", "1.0", "0x1", "1_000", "9223372036854775808", "a"} {
		if n, err := ParseInteger([]byte(text)); !errors.Is(err, ErrNotInteger) {
			t.Errorf("ParseInteger(%q) = %d, %v, want %v", text, n, err, ErrNotInteger)
		}
	}
}

func TestSum(t *testing.T) {
	for _, c := range []struct {
		n    int64
		o    Op
		want int64
		err  error
	}{
		{1, Op{Delta: 2}, 3, nil},
		{math.MaxInt64, Op{}, math.MaxInt64, nil},
		{math.MaxInt64, Op{Delta: 1}, 0, ErrRange},
		{math.MinInt64, Op{Delta: -1}, 0, ErrRange},
		{-1, Op{Delta: math.MinInt64}, 0, ErrRange},
		{0, Op{Delta: math.MinInt64}, math.MinInt64, nil},
		{4, Op{Delta: 1, Min: 0, Max: 5, Bounded: true}, 5, nil},
		{5, Op{Delta: 1, Min: 0, Max: 5, Bounded: true}, 0, ErrRange},
		{0, Op{Delta: -1, Min: 0, Max: 5, Bounded: true}, 0, ErrRange},
	} {
		if got, err := c.o.Sum(c.n); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("Sum(%d) of %+v = %d, %v, want %d, %v", c.n, c.o, got, err, c.want, c.err)
		}
	}
}

func TestQuotaRefuses(t *testing.T) {
	for _, c := range []struct {
		quota         Quota
		before, after Usage
		want          error
	}{
		{Quota{}, Usage{}, Usage{Keys: 9, Bytes: 9}, nil},
		{Quota{Keys: 1}, Usage{}, Usage{Keys: 1, Bytes: 9}, nil},
		{Quota{Keys: 1}, Usage{Keys: 1}, Usage{Keys: 2}, ErrQuota},
		{Quota{Bytes: 8}, Usage{Bytes: 8}, Usage{Bytes: 9}, ErrQuota},
		{Quota{Keys: 1, Bytes: 1}, Usage{Keys: 9, Bytes: 9}, Usage{Keys: 8, Bytes: 9}, nil},
		{Quota{Keys: 1, Bytes: 1}, Usage{Keys: 9, Bytes: 9}, Usage{Keys: 8, Bytes: 10}, ErrQuota},
	} {
		if err := c.quota.Refuses(c.before, c.after); !errors.Is(err, c.want) {
			t.Errorf("%+v.Refuses(%+v, %+v) = %v, want %v", c.quota, c.before, c.after, err, c.want)
		}
	}
	if err := (Quota{Keys: -1}).Validate(); !errors.Is(err, ErrInvalid) {
		t.Errorf("Validate of a negative quota = %v, want %v", err, ErrInvalid)
	}
}

func ExampleFormatInteger() {
	fmt.Printf("%s\n", FormatInteger(-42))
	// Output: -42
}
