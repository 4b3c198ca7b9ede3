// Package s3 answers S3's API over HTTP with an app's objects, so that S3's clients work with them. Its main type is
// Server. It knows buckets, objects, ranges, conditions, copies, uploads in parts and listings; path style and virtual
// hosts; signatures of version 4 in headers and in presigned URLs, and bodies that are signed chunk by chunk. It has no
// anonymous access, and no versions, tags, policies or access control lists.
//
// Its guarantee: nothing is done for a request whose signature does not hold, and no object is made of a body that is
// not the one that was signed.
//
// Source: Amazon S3 API Reference, and Amazon S3 User Guide, "Authenticating Requests (AWS Signature Version 4)".
package s3

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/blob"
)

// Limits of requests.
const (
	MaxDocumentBytes = 2 << 20 // an XML body: a completed upload of blob.MaxParts parts fits
	MaxLineBytes     = 1 << 10 // a line between the chunks of a body, and of its trailer
	MaxTrailers      = 8       // lines of a trailer

	DefaultRequests = 256              // answered at once; more let more callers in and take more memory
	Stall           = time.Minute      // longest pause within a body, either way; longer lets slow callers hold connections
	headerTime      = 10 * time.Second // for a request's header to come
	idleTime        = 2 * time.Minute  // of a connection between requests
	maxHeaderBytes  = 64 << 10         // a request's header: metadata and a presigned URL fit

	maxSkew    = 15 * time.Minute // between a signature's time and this node's
	maxPresign = 7 * 24 * time.Hour
)

// Key is what an access key stands for.
type Key struct {
	App    string // whose buckets it reaches
	Secret string
}

// ErrNoKey says that there is no such access key.
var ErrNoKey = errors.New("no such access key")

// Config says what a server answers with.
type Config struct {
	Objects *blob.Objects
	// Key answers what an access key stands for, or ErrNoKey.
	Key func(ctx context.Context, id string) (Key, error)
	// Domain is what follows the bucket and a full stop in the name of a virtual host; empty: buckets stand in the path
	// only.
	Domain string
	// Requests are those answered at once; 0: DefaultRequests. Others are told to slow down.
	Requests int
	Log      *slog.Logger // nil: no log
}

// Server answers requests. It may be used by several listeners at once.
type Server struct {
	config Config
	room   chan struct{} // holds one for each request
}

// New makes a server.
func New(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Domain = strings.ToLower(strings.TrimPrefix(c.Domain, "."))
	return &Server{c, make(chan struct{}, cmp.Or(c.Requests, DefaultRequests))}
}

// HTTP answers a server of this package's limits that answers with s; the caller serves with it, and shuts it down.
func (s *Server) HTTP() *http.Server {
	return &http.Server{Handler: s, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes}
}

// request is one that is being answered.
type request struct {
	*http.Request
	app    string
	query  url.Values
	bucket string
	key    string
	signed signature
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("X-Amz-Request-Id", id)
	w.Header().Set("Server", "Sett")
	control := http.NewResponseController(w)
	if r.ContentLength != 0 { // net/http reads what nobody has read of a small body before it answers
		_ = control.SetReadDeadline(time.Now().Add(Stall)) // a connection without deadlines is a test's
	}
	select {
	case s.room <- struct{}{}:
		defer func() { <-s.room }()
	default:
		s.refuse(w, r, id, problem{http.StatusServiceUnavailable, "SlowDown", "The server answers as many requests as it can."})
		return
	}
	body := r.Body
	r = r.WithContext(r.Context()) // net/http looks at its own request's body: whether its client waits to be asked for it
	r.Body = &pausing{body, control}
	if err := s.serve(&patient{w, control}, r); err != nil {
		s.refuse(w, r, id, err)
	}
}

// pausing is a body whose sender may pause for Stall at most.
type pausing struct {
	io.ReadCloser
	control *http.ResponseController
}

func (p *pausing) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(Stall))
	n, err := p.ReadCloser.Read(b)
	if errors.Is(err, io.EOF) {
		_ = p.control.SetReadDeadline(time.Time{}) // what is done with the body may take longer
	}
	return n, err
}

// patient is an answer whose reader may pause for Stall at most.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p *patient) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(Stall))
	return p.ResponseWriter.Write(b)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem{http.StatusBadRequest, "InvalidURI", "The query cannot be read."}
	}
	q := &request{Request: r, query: query}
	q.bucket, q.key = s.split(r)
	key, err := s.authenticate(q)
	if err != nil {
		return err
	}
	q.app = key.App
	return s.route(w, q)
}

// split answers the bucket and the key that a request names.
func (s *Server) split(r *http.Request) (bucket, key string) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if s.config.Domain != "" {
		if bucket, ok := strings.CutSuffix(strings.ToLower(host), "."+s.config.Domain); ok {
			return bucket, path
		}
	}
	bucket, key, _ = strings.Cut(path, "/")
	return bucket, key
}

type handler func(w http.ResponseWriter, r *request) error

// route answers by method and by the one name in the query that says what is asked for.
func (s *Server) route(w http.ResponseWriter, r *request) error {
	var routes map[string]handler
	switch {
	case r.bucket == "":
		routes = map[string]handler{"GET": s.listBuckets}
	case r.key == "":
		routes = map[string]handler{
			"PUT": s.createBucket, "DELETE": s.deleteBucket, "HEAD": s.headBucket, "GET": s.listObjects,
			"GET location": s.location, "GET versioning": s.versioning, "GET uploads": s.listUploads, "POST delete": s.deleteMany,
		}
	default:
		routes = map[string]handler{
			"PUT": s.putObject, "GET": s.getObject, "HEAD": s.getObject, "DELETE": s.deleteObject, "POST uploads": s.createUpload,
			"PUT uploadId": s.putPart, "POST uploadId": s.completeUpload, "DELETE uploadId": s.abortUpload, "GET uploadId": s.listParts,
		}
	}
	name := r.Method
	for _, about := range subresources() {
		if r.query.Has(about) {
			name += " " + about
			break
		}
	}
	handle := routes[name]
	if handle == nil {
		return problem{http.StatusNotImplemented, "NotImplemented", "This server does not know " + name + " here."}
	}
	return handle(w, r)
}

// subresources are the names in a query that ask for another operation than the plain one.
func subresources() []string {
	return []string{"uploadId", "uploads", "delete", "location", "versioning", "acl", "tagging", "policy", "policyStatus", "cors",
		"lifecycle", "encryption", "replication", "notification", "website", "logging", "accelerate", "requestPayment", "versions",
		"object-lock", "legal-hold", "retention", "attributes", "torrent", "restore", "select", "publicAccessBlock",
		"ownershipControls", "inventory", "analytics", "metrics", "intelligent-tiering", "session", "append"}
}
