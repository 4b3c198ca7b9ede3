package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/sdk/abi"
)

// Codes has compiled code. Package runtime's Runtime is one.
type Codes interface {
	HasCode(digest string) bool
	WriteCode(ctx context.Context, digest string, w io.Writer) error
}

// code sends a module's compiled code. An error in the middle cuts the connection, so that nobody takes half for all.
func (s *Server) code(w http.ResponseWriter, r *http.Request) {
	digest := r.PathValue("digest")
	switch {
	case !isDigest(digest):
		refuse(w, errNoDigest(digest))
		return
	case s.config.Codes == nil || !s.config.Codes.HasCode(digest):
		refuse(w, abi.WithCode(abi.NotFound, errors.New("no compiled code here")))
		return
	}
	w.Header().Set("Content-Type", "application/x-tar")
	out := &steady{w, http.NewResponseController(w), s.sent}
	if err := s.config.Codes.WriteCode(r.Context(), digest, out); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// steady counts what is written, and gives up on a reader that stalls.
type steady struct {
	w          io.Writer
	connection *http.ResponseController
	sent       prometheus.Counter
}

func (s *steady) Write(b []byte) (int, error) {
	_ = s.connection.SetWriteDeadline(time.Now().Add(stallTimeout)) // net/http takes it back after the request
	n, err := s.w.Write(b)
	s.sent.Add(float64(n))
	return n, err
}

// Code reads a module's compiled code from a node, and has put keep it. It is coded abi.NotFound when the node has
// none. Whoever calls it sees that the node has the same engine, and bounds ctx.
func (c *Client) Code(ctx context.Context, node Node, digest string, put func(io.Reader) error) error {
	if !isDigest(digest) {
		return errNoDigest(digest)
	}
	r, err := c.call(ctx, node, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/code/" + digest}})
	if err != nil {
		return fmt.Errorf("ask %s for code: %w", node.ID, err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s for code: %w", node.ID, problemOf(r))
	}
	if err := put(r.Body); err != nil {
		return fmt.Errorf("take code of %s: %w", node.ID, err)
	}
	return nil
}
