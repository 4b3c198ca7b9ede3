package peer

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// invokeInPieces runs a forwarded invocation here whose client takes pieces.
func (s *Server) invokeInPieces(w http.ResponseWriter, r *http.Request) {
	to := &away{w: w, control: http.NewResponseController(w), request: r}
	_ = to.control.EnableFullDuplex() // HTTP/2 is, and net/http's HTTP/1 can
	result, err := s.run(w, r, to)
	if errors.Is(err, ErrNotHere) && !to.begun {
		w.WriteHeader(statusNotHere)
		return
	}
	message, _ := s.encode(result, err)
	_ = to.send(frameResult, message) // the caller may have left
}

// question reads the message that asks for an invocation: all of the request, or where pieces follow what their length says.
func (s *Server) question(w http.ResponseWriter, r *http.Request, to *away) ([]byte, error) {
	if to == nil {
		return s.body(w, r, s.config.MaxMessageBytes)
	}
	if err := to.control.SetReadDeadline(time.Now().Add(stallTimeout)); err != nil {
		return nil, abi.WithCode(abi.Internal, err)
	}
	var head [4]byte
	if _, err := io.ReadFull(r.Body, head[:]); err != nil {
		return nil, err
	}
	message, err := readBody(r.Body, int64(binary.BigEndian.Uint32(head[:])), s.config.MaxMessageBytes)
	if err == nil {
		err = to.control.SetReadDeadline(time.Time{})
	}
	return message, err
}

// away is a client that waits at another node.
type away struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	request  *http.Request
	trailers []abi.Field // that came behind its body
	deadline time.Time   // of the invocation

	mu      sync.Mutex // held while sending: Read does, beside Write
	begun   bool       // something was sent
	reads   bool       // the body was asked for
	started bool       // the reply was
	stopped atomic.Bool
}

var _ abi.Stream = (*away)(nil)

var (
	errCallerLeft = abi.WithCode(abi.Unavailable, errors.New("the node that passed the request on has left"))
	errStarted    = abi.WithCode(abi.FunctionFailed, errors.New("reply: it has been started"))
)

// send sends a frame at once.
func (a *away) send(kind frameKind, payload []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.begun {
		a.begun = true
		a.w.Header().Set("Content-Type", framesType)
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(answerTimeout)) // only in tests there is none
	if _, err := a.w.Write(appendFrame(make([]byte, 0, 5), kind, len(payload))); err != nil {
		return errCallerLeft
	}
	if _, err := a.w.Write(payload); err != nil {
		return errCallerLeft
	}
	if a.control.Flush() != nil {
		return errCallerLeft
	}
	return nil
}

// Read is for abi.Stream. It asks for the body when it is called first.
func (a *away) Read(b []byte) (int, error) {
	first := !a.reads
	if first {
		a.reads = true
		_ = a.control.SetReadDeadline(a.deadline) // only in tests there is none
	}
	if a.stopped.Load() { // looked at behind the deadline, which may have taken the place of Stop's
		return 0, errCallerLeft
	}
	if first {
		if err := a.send(frameMore, nil); err != nil {
			return 0, err
		}
	}
	n, err := a.request.Body.Read(b)
	if errors.Is(err, io.EOF) {
		if a.trailers, err = readTrailers(a.request.Trailer); err == nil {
			return n, io.EOF
		}
	}
	if err != nil {
		err = errCallerLeft
	}
	return n, err
}

// Trailers is for abi.Stream.
func (a *away) Trailers() []abi.Field { return a.trailers }

// Start is for abi.Stream.
func (a *away) Start(r *abi.Result) error {
	if a.started {
		return errStarted
	}
	message, err := encodeResult(&abi.Result{Reply: abi.Reply{Status: r.Status, Headers: r.Headers}, Start: r.Start}, nil)
	if err != nil {
		return abi.WithCode(abi.Internal, err)
	}
	a.started = true
	return a.send(frameHead, message)
}

// Write is for abi.Stream.
func (a *away) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), maxDataBytes)
		if err := a.send(frameData, rest[:n]); err != nil {
			return len(b) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// Stop is for abi.Stream.
func (a *away) Stop() {
	a.stopped.Store(true)
	_ = a.control.SetReadDeadline(time.Unix(1, 0)) // a connection that is closed reads nothing either
}
