package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"syscall"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// statusError answers with a status that its code alone would not have: 412, 415, 408.
type statusError struct {
	status int
	error
}

func (e statusError) Unwrap() error { return e.error }

// withStatus gives a code and a status.
func withStatus(status int, code abi.Code, err error) error {
	return statusError{status, abi.WithCode(code, err)}
}

// invocationError says which invocation failed.
type invocationError struct {
	invocation string
	error
}

func (e invocationError) Unwrap() error { return e.error }

// codeOf answers err's code, also for errors of the store, the system and net/http.
func codeOf(err error) abi.Code {
	var coded *abi.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return abi.TooLarge
	case errors.Is(err, os.ErrDeadlineExceeded): // a read deadline of this package
		return abi.Timeout
	case errors.As(err, &coded) && coded.Code != abi.Internal: // else below: whose context ended is no fault of ours
		return coded.Code
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return abi.NoSpace
	}
	if code := storeCode(err); code != "" {
		return code
	}
	switch {
	case errors.Is(err, context.Canceled):
		return abi.Unavailable
	case errors.Is(err, context.DeadlineExceeded):
		return abi.Timeout
	}
	return abi.Internal
}

// storeCode answers the code of an error of package op, "" for another.
func storeCode(err error) abi.Code {
	switch client.ReasonOf(err) {
	case client.InvalidOperation, client.NotInteger, client.Compacted:
		return abi.InvalidInput
	case client.OverLimit:
		return abi.TooLarge
	case client.KeyNotFound, client.QueueNotFound, client.BucketNotFound, client.ObjectNotFound:
		return abi.NotFound
	case client.CheckFailed, client.OutOfBounds, client.BucketExists, client.BucketNotEmpty, client.ConditionFailed:
		return abi.Conflict
	case client.OverQuota:
		return abi.NoSpace
	case client.TooManyInFlight:
		return abi.TooManyRequests
	case client.NoLeader, client.OutcomeUnknown:
		return abi.Unavailable
	}
	if errors.Is(err, op.ErrClosed) {
		return abi.Unavailable
	}
	return ""
}

// problemOf is err as the wire shows it. What is not coded is our bug: an admin sees its words, others do not.
func problemOf(err error, who caller) client.Problem {
	code := codeOf(err)
	p := client.Problem{Status: code.HTTPStatus(), Code: code, Detail: err.Error(), Reason: client.ReasonOf(err)}
	if p.Reason == client.Compacted {
		p.Status = http.StatusGone
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.Status, p.Detail = http.StatusRequestTimeout, "the request's body came too slowly"
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		p.Detail = "the request's body is over the limit of " + strconv.FormatInt(large.Limit, 10) + " bytes"
	}
	var status statusError
	if errors.As(err, &status) {
		p.Status = status.status
	}
	var failed invocationError
	if errors.As(err, &failed) {
		p.Invocation = failed.invocation
	}
	if code == abi.Internal && !who.admin {
		p.Detail = "internal error; the node's log says more"
	}
	p.Title = http.StatusText(p.Status)
	return p
}

func writeProblem(w http.ResponseWriter, p client.Problem) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Del("ETag")
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="sett"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers only
	}
	w.Write(append(text, '\n')) // the client may have left
}

// done answers that what was asked for has happened, if err is nil.
func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// answer writes a JSON response.
func answer(w http.ResponseWriter, status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n')) // the client may have left
	return nil
}
