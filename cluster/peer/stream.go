package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/sett-run/sett/sdk/abi"
)

// framesType is the content type of an answer in pieces.
const framesType = "application/vnd.sett.frames"

// errNoPieces says that a node knows no answers in pieces: it is an older one.
var errNoPieces = errors.New("the node takes no invocations in pieces")

// invokeInPieces runs an invocation whose client takes pieces. The rest of its body is not touched before the function reads it,
// and so not before another node could be asked instead.
func (c *Client) invokeInPieces(ctx context.Context, node Node, i Invocation) (*abi.Result, error) {
	message, err := c.message(ctx, i)
	if err != nil {
		return new(abi.Result), err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rest := &pump{from: i.Event.Stream, asked: make(chan struct{}), ended: make(chan struct{})}
	defer rest.end()
	message = append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(message)), uint32(len(message))), message...)
	var whole atomic.Bool
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/stream"}, ContentLength: int64(len(message))}
	r.GetBody = func() (io.ReadCloser, error) {
		whole.Store(false)
		body := &outgoing{rest: message, whole: &whole}
		if !i.Event.More {
			return body, nil
		}
		return io.NopCloser(&withTrailers{io.MultiReader(body, rest), rest, r.Trailer}), nil
	}
	if i.Event.More {
		r.ContentLength = -1
		r.Trailer = http.Header{trailersName: nil}
		r.Header = http.Header{"Expect": {"100-continue"}} // an older node would wait for all of it before it says no
	}
	r.Body, _ = r.GetBody()
	answer, err := c.begin(ctx, node, r, &whole)
	if err != nil {
		return new(abi.Result), err
	}
	defer answer.Body.Close()
	return c.relay(ctx, answer, i.Event.Stream, rest)
}

// relay gives a client what another node answers in pieces, until the result comes.
func (c *Client) relay(ctx context.Context, answer *http.Response, to abi.Stream, rest *pump) (*abi.Result, error) {
	switch answer.StatusCode {
	case statusNotHere:
		return new(abi.Result), abi.WithCode(abi.Unavailable, ErrNotHere)
	case http.StatusNotFound:
		return new(abi.Result), errNoPieces
	}
	in, sent := &frames{from: answer.Body, limit: c.config.MaxMessageBytes}, new(abi.Result)
	for {
		kind, payload, err := in.next()
		switch {
		case err != nil:
		case kind == frameResult:
			result, failure, err := decodeResult(bytes.Clone(payload))
			if result.Streamed = sent.Streamed; sent.Streamed {
				result.Status, result.Headers = sent.Status, sent.Headers
			}
			if err == nil {
				return result, failureOf(ctx, failure)
			}
		case kind == frameMore:
			rest.ask()
		case kind == frameHead:
			if sent, _, err = decodeResult(bytes.Clone(payload)); err == nil {
				if err := to.Start(sent); err != nil {
					return new(abi.Result), refusedBy(err)
				}
				sent.Streamed = true
			}
		case kind == frameData:
			if _, err := to.Write(payload); err != nil {
				return sent, refusedBy(err)
			}
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return sent, coded(ctx.Err())
		}
		return sent, abi.WithCode(abi.Unavailable, fmt.Errorf("%w: %w", ErrUnknown, err))
	}
}

// refusedBy is what whoever invoked is told when the client takes no more. Why a reply is none that can be sent is not for them.
func refusedBy(err error) error {
	if code := abi.CodeOf(err); code == abi.FunctionFailed {
		return abi.WithCode(code, errors.New("function failed"))
	}
	return err
}

// pump is what follows an event's body as the transport reads it, which may go on a while after the call has ended: nothing of
// the client's stream is touched then.
type pump struct {
	from abi.Stream

	once  sync.Once
	asked chan struct{} // closed: the function reads the body
	ended chan struct{} // closed: the call is over

	mu sync.Mutex // held while reading
}

// ask lets the body be read.
func (p *pump) ask() { p.once.Do(func() { close(p.asked) }) }

func (p *pump) Read(b []byte) (int, error) {
	select {
	case <-p.asked:
	case <-p.ended:
		return 0, net.ErrClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.ended:
		return 0, net.ErrClosed
	default:
	}
	return p.from.Read(b)
}

// trailers are those of the body, whose end has been read; none when the call has ended.
func (p *pump) trailers() []abi.Field {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.ended:
		return nil
	default:
		return p.from.Trailers()
	}
}

// end ends a Read that waits, and waits for it.
func (p *pump) end() {
	close(p.ended)
	if p.mu.TryLock() { // nobody reads
		p.mu.Unlock()
		return
	}
	p.from.Stop()
	p.mu.Lock()
	p.mu.Unlock() //nolint:staticcheck // it was held by who reads
}
