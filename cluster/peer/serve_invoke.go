package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

const (
	// statusNotHere answers ErrNotHere. Source: RFC 9110, 15.5.20.
	statusNotHere = http.StatusMisdirectedRequest
	messageType   = "application/vnd.sett.message" // content type of an answer to an invocation
)

var errBusy = errors.New("the node's forwarded invocations are at their limit")

// invoke runs a forwarded invocation here.
func (s *Server) invoke(w http.ResponseWriter, r *http.Request) {
	result, err := s.run(w, r, nil)
	message, err := s.encode(result, err)
	h := w.Header()
	h.Set("Content-Type", messageType)
	h.Set("Content-Length", strconv.Itoa(len(message)))
	switch {
	case errors.Is(err, ErrNotHere):
		w.WriteHeader(statusNotHere)
	case err != nil:
		w.WriteHeader(abi.CodeOf(err).HTTPStatus())
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // only in tests there is none
	w.Write(message)                                                                  // the caller may have left
}

// encode makes the message that answers an invocation, and answers the error that stands in it.
func (s *Server) encode(result *abi.Result, err error) ([]byte, error) {
	message, encodeErr := encodeResult(result, err)
	if encodeErr == nil && int64(len(message)) > s.config.MaxMessageBytes {
		encodeErr = abi.WithCode(abi.FunctionFailed, fmt.Errorf("the reply is over the limit of %d bytes between nodes", s.config.MaxMessageBytes))
	}
	if encodeErr == nil {
		return message, err
	}
	if message, err = encodeResult(nil, encodeErr); err != nil {
		panic(err) // texts and numbers only
	}
	return message, encodeErr
}

// answerTimeout is how long a caller may take to read an answer.
const answerTimeout = time.Minute

// run reads the invocation, and has it run if there is room. Its client is to, nil for one that takes no pieces.
func (s *Server) run(w http.ResponseWriter, r *http.Request, to *away) (*abi.Result, error) {
	if s.draining.Load() {
		return nil, fmt.Errorf("the node is leaving: %w", ErrNotHere)
	}
	defer s.running.Add(-1)
	if s.running.Add(1) > s.config.MaxInvocations {
		return nil, abi.WithCode(abi.TooManyRequests, errBusy)
	}
	body, err := s.question(w, r, to)
	if err != nil {
		return nil, fmt.Errorf("read invocation: %w", err)
	}
	i, remaining, err := decodeInvocation(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), remaining)
	defer cancel()
	deadline, _ := ctx.Deadline()
	i.Event.DeadlineUnixMS = deadline.UnixMilli()
	if to != nil {
		to.deadline = deadline
		i.Event.Stream = to
	}
	result, err := s.config.Invoker.Invoke(ctx, i)
	return result, coded(err)
}
