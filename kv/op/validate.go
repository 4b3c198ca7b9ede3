package op

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Validate holds t to the limits of this package and to what its kinds of operation can have. Its error wraps
// ErrInvalid or ErrTooLarge and names the first fault. What passes can still fail by what is in the store.
func (t Txn) Validate() error {
	if err := ValidateNamespace(t.Namespace); err != nil {
		return err
	}
	if len(t.Checks) > MaxChecks {
		return fmt.Errorf("%d checks, at most %d are allowed: %w", len(t.Checks), MaxChecks, ErrTooLarge)
	}
	if len(t.Ops) > MaxOps {
		return fmt.Errorf("%d operations, at most %d are allowed: %w", len(t.Ops), MaxOps, ErrTooLarge)
	}
	size := 0
	for _, c := range t.Checks {
		if err := c.validate(); err != nil {
			return err
		}
		size += len(c.Key) + len(c.Value)
	}
	for _, o := range t.Ops {
		if err := o.validate(); err != nil {
			return err
		}
		size += len(o.Key) + len(o.Value)
	}
	if size > MaxTxnBytes {
		return fmt.Errorf("transaction has %d bytes, at most %d are allowed: %w", size, MaxTxnBytes, ErrTooLarge)
	}
	return nil
}

func (c Check) validate() error {
	if err := ValidateKey(c.Key); err != nil {
		return err
	}
	switch {
	case c.Kind > IsPresent:
		return fmt.Errorf("%.80q: unknown kind of check %d: %w", c.Key, c.Kind, ErrInvalid)
	case c.Kind != HasValue && len(c.Value) > 0:
		return fmt.Errorf("%.80q: a check of kind %d has no value: %w", c.Key, c.Kind, ErrInvalid)
	case c.Kind != HasRevision && c.Revision != 0:
		return fmt.Errorf("%.80q: a check of kind %d has no revision: %w", c.Key, c.Kind, ErrInvalid)
	}
	return validateValue(c.Key, c.Value)
}

func (o Op) validate() error {
	check := ValidateKey
	if o.Kind == DeletePrefix {
		check = ValidatePrefix
	}
	if err := check(o.Key); err != nil {
		return err
	}
	if o.Kind < Set || o.Kind > DeletePrefix {
		return fmt.Errorf("%.80q: unknown kind of operation %d: %w", o.Key, o.Kind, ErrInvalid)
	}
	if extra := o.extra(); extra != "" {
		return fmt.Errorf("%.80q: an operation of kind %d has no %s: %w", o.Key, o.Kind, extra, ErrInvalid)
	}
	if o.Bounded && o.Min > o.Max {
		return fmt.Errorf("%.80q: the least result %d is above the greatest, %d: %w", o.Key, o.Min, o.Max, ErrInvalid)
	}
	if o.TTL != 0 && (o.TTL < MinTTL || o.TTL > MaxTTL) {
		return fmt.Errorf("%.80q: TTL %v is not 0 and not within %v and %v: %w", o.Key, o.TTL, MinTTL, MaxTTL, ErrInvalid)
	}
	return validateValue(o.Key, o.Value)
}

// extra names a field that is set and that an operation of o's kind does not have.
func (o Op) extra() string {
	switch {
	case len(o.Value) > 0 && o.Kind != Set && o.Kind != Append:
		return "value"
	case o.TTL != 0 && (o.Kind == Delete || o.Kind == DeletePrefix):
		return "TTL"
	case (o.Delta != 0 || o.Bounded) && o.Kind != Incr:
		return "delta and no bounds"
	case !o.Bounded && (o.Min != 0 || o.Max != 0):
		return "bounds"
	case o.Previous && o.Kind != Set && o.Kind != Delete && o.Kind != Append:
		return "previous value"
	}
	return ""
}

// ValidateNamespace accepts System, what ValidateApp accepts, and the namespaces of such apps' objects. Else it answers
// ErrInvalid.
func ValidateNamespace(namespace string) error {
	if namespace == System {
		return nil
	}
	return ValidateApp(strings.TrimSuffix(namespace, objectsSuffix))
}

// ValidateApp accepts what an app may be called: 1 to MaxNamespaceBytes of a-z, 0-9 and -. Else it answers ErrInvalid.
func ValidateApp(namespace string) error {
	ok := namespace != "" && len(namespace) <= MaxNamespaceBytes
	for _, c := range []byte(namespace) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("namespace %.80q is not a name of a-z, 0-9 and -: %w", namespace, ErrInvalid)
	}
	return nil
}

// ValidateKey answers ErrInvalid for the empty key and ErrTooLarge for one over MaxKeyBytes. Keys hold any bytes.
func ValidateKey(key string) error {
	if key == "" {
		return fmt.Errorf("empty key: %w", ErrInvalid)
	}
	return ValidatePrefix(key)
}

// ValidatePrefix answers ErrTooLarge for what is too long to be a key's beginning.
func ValidatePrefix(prefix string) error {
	if len(prefix) > MaxKeyBytes {
		return fmt.Errorf("key %.40q... has %d bytes, at most %d are allowed: %w", prefix, len(prefix), MaxKeyBytes, ErrTooLarge)
	}
	return nil
}

// ValidateKeys holds the keys of one GetMany to the limits.
func ValidateKeys(keys []string) error {
	if len(keys) > MaxGets {
		return fmt.Errorf("%d keys, at most %d are allowed: %w", len(keys), MaxGets, ErrTooLarge)
	}
	for _, k := range keys {
		if err := ValidateKey(k); err != nil {
			return err
		}
	}
	return nil
}

func validateValue(key string, value []byte) error {
	if len(value) > MaxValueBytes {
		return fmt.Errorf("%.80q: value has %d bytes, at most %d are allowed: %w", key, len(value), MaxValueBytes, ErrTooLarge)
	}
	return nil
}

// Validate answers ErrTooLarge or ErrInvalid for what cannot be asked. The cursor's content is looked at by whoever
// made it.
func (q Query) Validate() error {
	if err := ValidatePrefix(q.Prefix); err != nil {
		return err
	}
	if err := ValidatePrefix(q.From); err != nil {
		return err
	}
	if len(q.Cursor) > MaxCursorBytes {
		return fmt.Errorf("cursor has %d bytes, at most %d are allowed: %w", len(q.Cursor), MaxCursorBytes, ErrTooLarge)
	}
	if q.Limit < 0 {
		return fmt.Errorf("limit %d is negative: %w", q.Limit, ErrInvalid)
	}
	return q.Read.Validate()
}

// Keys is how many keys a page holds at most.
func (q Query) Keys() int {
	if q.Limit == 0 {
		return MaxPageKeys
	}
	return min(q.Limit, MaxPageKeys)
}

// Validate answers ErrInvalid for a consistency that does not exist.
func (r Read) Validate() error {
	if r.Consistency > Strong {
		return fmt.Errorf("unknown consistency %d: %w", r.Consistency, ErrInvalid)
	}
	return nil
}

// Validate answers ErrInvalid for a negative limit.
func (q Quota) Validate() error {
	if q.Keys < 0 || q.Bytes < 0 {
		return fmt.Errorf("quota of %d keys and %d bytes is negative: %w", q.Keys, q.Bytes, ErrInvalid)
	}
	return nil
}

// Refuses says why a namespace may not grow from before to after; nil: it may, or does not grow.
func (q Quota) Refuses(before, after Usage) error {
	if q.Keys != 0 && after.Keys > q.Keys && after.Keys > before.Keys {
		return fmt.Errorf("%d keys, at most %d are allowed: %w", after.Keys, q.Keys, ErrQuota)
	}
	if q.Bytes != 0 && after.Bytes > q.Bytes && after.Bytes > before.Bytes {
		return fmt.Errorf("%d bytes, at most %d are allowed: %w", after.Bytes, q.Bytes, ErrQuota)
	}
	return nil
}

// ParseInteger reads a value that Incr can change: a decimal integer of 64 bits as FormatInteger writes it, without
// plus sign, leading zero or space. Else it answers ErrNotInteger.
func ParseInteger(value []byte) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || string(FormatInteger(n)) != string(value) {
		return 0, fmt.Errorf("%.40q: %w", value, ErrNotInteger)
	}
	return n, nil
}

// FormatInteger is the value of a key that counts n.
func FormatInteger(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// Sum answers what Incr makes of n, or ErrRange.
func (o Op) Sum(n int64) (int64, error) {
	if o.Delta > 0 && n > math.MaxInt64-o.Delta || o.Delta < 0 && n < math.MinInt64-o.Delta {
		return 0, fmt.Errorf("%d + %d is not an integer of 64 bits: %w", n, o.Delta, ErrRange)
	}
	sum := n + o.Delta
	if o.Bounded && (sum < o.Min || sum > o.Max) {
		return 0, fmt.Errorf("%d is not within %d and %d: %w", sum, o.Min, o.Max, ErrRange)
	}
	return sum, nil
}

// Expired says whether a key is gone at now.
func (i Item) Expired(now time.Time) bool { return !i.Expires.IsZero() && !i.Expires.After(now) }
