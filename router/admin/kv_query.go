package admin

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// keyQuery reads a request's query, one word a method; err is the first fault.
type keyQuery struct {
	values url.Values
	err    error
}

// parseKeyQuery refuses a query that is malformed or has keys it should not have.
func parseKeyQuery(r *http.Request, known ...string) (*keyQuery, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("query: %w", err))
	}
	return &keyQuery{values: values}, checkKeys(values, known...)
}

// refuse notes a fault, unless there is one already.
func (q *keyQuery) refuse(err error) {
	if q.err == nil {
		q.err = err
	}
}

func (q *keyQuery) invalid(format string, args ...any) {
	q.refuse(abi.WithCode(abi.InvalidInput, fmt.Errorf(format, args...)))
}

func (q *keyQuery) key() string {
	if !q.values.Has("key") {
		q.refuse(abi.WithCode(abi.InvalidInput, errors.New("query key: missing")))
	} else {
		q.refuse(op.ValidateKey(q.values.Get("key")))
	}
	return q.values.Get("key")
}

func (q *keyQuery) prefix() string {
	q.refuse(op.ValidatePrefix(q.values.Get("prefix")))
	return q.values.Get("prefix")
}

// ttl is 0 when none is given.
func (q *keyQuery) ttl() time.Duration {
	text := q.values.Get("ttl")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < op.MinTTL || d > op.MaxTTL {
		q.invalid("ttl %.40q: it is a duration such as 90s or 24h, between %v and %v", text, op.MinTTL, op.MaxTTL)
	}
	return d
}

func (q *keyQuery) integer(name string, otherwise int64) int64 {
	text := q.values.Get(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		q.invalid("%s %.40q: it is a whole number of 64 bits", name, text)
	}
	return n
}

// bounds reads those of an incr.
func (q *keyQuery) bounds(o *op.Op) {
	if q.values.Get("min") == "" && q.values.Get("max") == "" {
		return
	}
	o.Bounded, o.Min, o.Max = true, q.integer("min", math.MinInt64), q.integer("max", math.MaxInt64)
	if o.Min > o.Max {
		q.invalid("min %d: above max %d", o.Min, o.Max)
	}
}

// revision reads a revision from text; empty is 0.
func (q *keyQuery) revision(name, text string) uint64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		q.invalid("%s %.40q: it is a revision, a whole number", name, text)
	}
	return n
}

func (q *keyQuery) limit() int {
	text := q.values.Get("limit")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > op.MaxPageKeys {
		q.invalid("limit %.40q: it is between 1 and %d", text, op.MaxPageKeys)
	}
	return n
}

func (q *keyQuery) flag(name string) bool {
	text := q.values.Get(name)
	if text != "" && text != "true" && text != "false" {
		q.invalid("%s %.40q: it is true or false", name, text)
	}
	return text == "true"
}

// read says what a read may see: the consistency of the query, and what the session has seen.
func (q *keyQuery) read(r *http.Request) op.Read {
	c, err := client.ParseConsistency(q.values.Get("consistency"))
	q.refuse(err)
	return op.Read{Consistency: c, Seen: q.revision(client.RevisionHeader, r.Header.Get(client.RevisionHeader))}
}
