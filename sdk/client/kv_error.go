package client

import (
	"errors"

	"github.com/sett-run/sett/kv/op"
)

// Reason says more exactly than a code what went wrong in the store: one of the words below, "" when the code is all
// there is to say. Reasons are stable, as codes are.
type Reason string

const (
	InvalidOperation Reason = "invalid_operation"
	OverLimit        Reason = "over_limit" // of the store: a key, a value, a transaction
	NotInteger       Reason = "not_integer"

	KeyNotFound Reason = "key_not_found"
	CheckFailed Reason = "check_failed"  // of a transaction, or of If-Match and If-None-Match
	OutOfBounds Reason = "out_of_bounds" // of incr
	OverQuota   Reason = "over_quota"
	Compacted   Reason = "compacted" // a cursor, or a watch's revision, is too old: begin anew

	QueueNotFound   Reason = "queue_not_found" // a topic's queue, too
	TooManyInFlight Reason = "too_many_in_flight"

	BucketNotFound  Reason = "bucket_not_found"
	ObjectNotFound  Reason = "object_not_found"
	BucketExists    Reason = "bucket_exists"
	BucketNotEmpty  Reason = "bucket_not_empty"
	ConditionFailed Reason = "condition_failed" // of If-Match and If-None-Match of an object

	NoLeader       Reason = "no_leader"       // nothing was changed
	OutcomeUnknown Reason = "outcome_unknown" // the change may yet happen, once
)

// ReasonOf answers the reason of an error of package op, "" when it has none.
func ReasonOf(err error) Reason {
	for _, r := range []Reason{InvalidOperation, OverLimit, NotInteger, KeyNotFound, CheckFailed, OutOfBounds, OverQuota, Compacted,
		QueueNotFound, TooManyInFlight, ConditionFailed, BucketNotFound, ObjectNotFound, BucketExists, BucketNotEmpty, NoLeader, OutcomeUnknown} {
		if errors.Is(err, r.err()) {
			return r
		}
	}
	return ""
}

// err is the error of package op that has a reason, nil for a word that is none.
func (r Reason) err() error {
	switch r {
	case InvalidOperation:
		return op.ErrInvalid
	case OverLimit:
		return op.ErrTooLarge
	case NotInteger:
		return op.ErrNotInteger
	case KeyNotFound:
		return op.ErrNotFound
	case CheckFailed:
		return op.ErrConflict
	case OutOfBounds:
		return op.ErrRange
	case OverQuota:
		return op.ErrQuota
	case Compacted:
		return op.ErrCompacted
	case QueueNotFound:
		return op.ErrNoQueue
	case TooManyInFlight:
		return op.ErrInFlight
	case BucketNotFound:
		return op.ErrNoBucket
	case ObjectNotFound:
		return op.ErrNoObject
	case BucketExists:
		return op.ErrBucketExists
	case BucketNotEmpty:
		return op.ErrNotEmpty
	case ConditionFailed:
		return op.ErrPrecondition
	case NoLeader:
		return op.ErrUnavailable
	case OutcomeUnknown:
		return op.ErrUnknown
	}
	return nil
}

// worded is the error of a problem: its words are the node's, and errors.Is finds what caused it.
type worded struct {
	words string
	cause error
}

func (w worded) Error() string { return w.words }
func (w worded) Unwrap() error { return w.cause }

// asError makes an Error of what a node answered.
func (p Problem) asError(status int) *Error {
	e := newError(p.Code, status, worded{p.Detail, p.Reason.err()})
	e.Invocation, e.Reason = p.Invocation, p.Reason
	return e
}
