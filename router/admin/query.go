package admin

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// query reads a request's query, one word a method; err is the first fault.
type query struct {
	values url.Values
	err    error
}

// parseQuery refuses a query that is malformed, or has keys that are unknown or come twice.
func parseQuery(r *http.Request, known ...string) (*query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("query: %w", err))
	}
	for key, list := range values {
		if !slices.Contains(known, key) {
			return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("query %.80q: unknown key%s", key, suggest(key, known)))
		}
		if len(list) > 1 {
			return nil, abi.WithCode(abi.InvalidInput, errors.New("query "+key+": given twice"))
		}
	}
	return &query{values: values}, nil
}

func (q *query) text(name string) string { return q.values.Get(name) }

// refuse notes a fault, unless there is one already.
func (q *query) refuse(err error) {
	if q.err == nil {
		q.err = err
	}
}

func (q *query) invalid(format string, args ...any) {
	q.refuse(abi.WithCode(abi.InvalidInput, fmt.Errorf(format, args...)))
}

func (q *query) key() string {
	if !q.values.Has("key") {
		q.refuse(abi.WithCode(abi.InvalidInput, errors.New("query key: missing")))
	} else {
		q.refuse(op.ValidateKey(q.text("key")))
	}
	return q.text("key")
}

func (q *query) prefix() string {
	q.refuse(op.ValidatePrefix(q.text("prefix")))
	return q.text("prefix")
}

// name is that of an app or a function, as kind says; "" when none is given.
func (q *query) name(kind string) string {
	name := q.text(kind)
	if name != "" {
		q.refuse(registry.CheckName(kind, name))
	}
	return name
}

// ttl is 0 when none is given.
func (q *query) ttl() time.Duration {
	text := q.text("ttl")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < op.MinTTL || d > op.MaxTTL {
		q.invalid("ttl %.40q: it is a duration such as 90s or 24h, between %v and %v", text, op.MinTTL, op.MaxTTL)
	}
	return d
}

func (q *query) integer(name string, otherwise int64) int64 {
	text := q.text(name)
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
func (q *query) bounds(o *op.Op) {
	if q.text("min") == "" && q.text("max") == "" {
		return
	}
	o.Bounded, o.Min, o.Max = true, q.integer("min", math.MinInt64), q.integer("max", math.MaxInt64)
	if o.Min > o.Max {
		q.invalid("min %d: above max %d", o.Min, o.Max)
	}
}

// revision reads a revision from text; empty is 0.
func (q *query) revision(name, text string) uint64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		q.invalid("%s %.40q: it is a revision, a whole number", name, text)
	}
	return n
}

func (q *query) limit(otherwise, most int) int {
	text := q.text("limit")
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		q.invalid("limit %.40q: it is between 1 and %d", text, most)
	}
	return n
}

func (q *query) flag(name string) bool {
	text := q.text(name)
	if text != "" && text != "true" && text != "false" {
		q.invalid("%s %.40q: it is true or false", name, text)
	}
	return text == "true"
}

// read says what a read may see: the consistency of the query, and what the session has seen.
func (q *query) read(r *http.Request) op.Read {
	c, err := client.ParseConsistency(q.text("consistency"))
	q.refuse(err)
	return op.Read{Consistency: c, Seen: q.revision(client.RevisionHeader, r.Header.Get(client.RevisionHeader))}
}
