package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/sdk/abi"
)

// holdRequest is the body of Hold.
type holdRequest struct {
	SizeBytes int64  `json:"size_bytes"`
	Holders   []Node `json:"holders"` // nearest first
}

// problem is an error as node HTTP answers it, except to an invocation. Source: RFC 9457.
type problem struct {
	Status int      `json:"status"`
	Code   abi.Code `json:"code"`
	Detail string   `json:"detail"`
}

// module sends a module, or what is kept likewise, or a range of it.
func (s *Server) module(kept Modules) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		digest := r.PathValue("digest")
		if !isDigest(digest) {
			refuse(w, errNoDigest(digest))
			return
		}
		file, err := kept.Open(digest)
		if err != nil {
			refuse(w, err)
			return
		}
		defer file.Close()
		h := w.Header()
		h.Set("ETag", `"`+digest+`"`)
		h.Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, &sending{file, http.NewResponseController(w), s.sent})
	}
}

// sending is a module's file that counts what is read of it to be sent, and gives up on a reader that stalls.
type sending struct {
	file       *os.File
	connection *http.ResponseController
	sent       prometheus.Counter
}

func (f *sending) Read(b []byte) (int, error) {
	n, err := f.file.Read(b)
	f.sent.Add(float64(n))
	_ = f.connection.SetWriteDeadline(time.Now().Add(stallTimeout)) // net/http takes it back after the request
	return n, err
}

func (f *sending) Seek(offset int64, whence int) (int64, error) { return f.file.Seek(offset, whence) }

// hold fetches a module, or what is kept likewise, and answers when it is on this node's disk.
func (s *Server) hold(kind string, kept Modules) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ask, err := s.holdRequest(w, r)
		if err == nil {
			ask.Kind = kind
			err = s.config.Fetcher.Fetch(r.Context(), ask, kept)
		}
		if err != nil {
			refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Server) holdRequest(w http.ResponseWriter, r *http.Request) (FetchRequest, error) {
	f := FetchRequest{Digest: r.PathValue("digest")}
	if !isDigest(f.Digest) {
		return f, errNoDigest(f.Digest)
	}
	text, err := s.body(w, r, maxHoldBytes)
	if err != nil {
		return f, fmt.Errorf("read holders: %w", err)
	}
	var ask holdRequest
	if err := json.Unmarshal(text, &ask); err != nil {
		return f, abi.WithCode(abi.InvalidInput, fmt.Errorf("read holders: %w", err))
	}
	if len(ask.Holders) > MaxHolders {
		return f, abi.WithCode(abi.TooLarge, fmt.Errorf("read holders: more than %d", MaxHolders))
	}
	f.SizeBytes, f.Holders = ask.SizeBytes, ask.Holders
	return f, nil
}

func errNoDigest(s string) error {
	return abi.WithCode(abi.InvalidInput, fmt.Errorf("%.80q is not a SHA-256 digest", s))
}

// refuse answers with err.
func refuse(w http.ResponseWriter, err error) {
	p := problem{Code: abi.CodeOf(err), Detail: text(err)}
	p.Status = p.Code.HTTPStatus()
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // texts and numbers only
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	w.Write(body) // the caller may have left
}

// problemOf reads the error that an answer other than the wanted one tells.
func problemOf(r *http.Response) error {
	var p problem
	text, err := readBody(r.Body, r.ContentLength, maxProblemBytes)
	if err == nil && r.Header.Get("Content-Type") == "application/problem+json" && json.Unmarshal(text, &p) == nil && p.Code != "" {
		return abi.WithCode(p.Code, errors.New(p.Detail))
	}
	if r.StatusCode == http.StatusNotFound {
		return abi.WithCode(abi.NotFound, errors.New("no such module"))
	}
	return fmt.Errorf("answered with status %d", r.StatusCode)
}
