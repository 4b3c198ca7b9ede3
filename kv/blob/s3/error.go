package s3

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// problem is an error as S3 has it.
type problem struct {
	status  int
	code    string
	message string
}

func (p problem) Error() string { return p.message }

// errorDocument is its body.
type errorDocument struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Resource  string
	RequestID string `xml:"RequestId"`
}

// problems are S3's words for the errors of objects.
func problems() []struct {
	err error
	is  problem
} {
	return []struct {
		err error
		is  problem
	}{
		{op.ErrPrecondition, problem{http.StatusPreconditionFailed, "PreconditionFailed", ""}},
		{op.ErrNoBucket, problem{http.StatusNotFound, "NoSuchBucket", ""}},
		{op.ErrNoObject, problem{http.StatusNotFound, "NoSuchKey", ""}},
		{blob.ErrNoUpload, problem{http.StatusNotFound, "NoSuchUpload", ""}},
		{op.ErrBucketExists, problem{http.StatusConflict, "BucketAlreadyOwnedByYou", ""}},
		{op.ErrNotEmpty, problem{http.StatusConflict, "BucketNotEmpty", ""}},
		{blob.ErrContended, problem{http.StatusConflict, "OperationAborted", ""}},
		{blob.ErrTooSmall, problem{http.StatusBadRequest, "EntityTooSmall", ""}},
		{op.ErrTooLarge, problem{http.StatusBadRequest, "EntityTooLarge", ""}},
		{blob.ErrPart, problem{http.StatusBadRequest, "InvalidPart", ""}},
		{blob.ErrDigest, problem{http.StatusBadRequest, "BadDigest", ""}},
		{blob.ErrShort, problem{http.StatusBadRequest, "IncompleteBody", ""}},
		{io.ErrUnexpectedEOF, problem{http.StatusBadRequest, "IncompleteBody", ""}},
		{op.ErrQuota, problem{http.StatusForbidden, "QuotaExceeded", ""}},
		{op.ErrInvalid, problem{http.StatusBadRequest, "InvalidArgument", ""}},
		{blob.ErrOldToken, problem{http.StatusBadRequest, "InvalidArgument", ""}},
		{blob.ErrTooSlow, problem{http.StatusBadRequest, "RequestTimeout", ""}},
		{context.DeadlineExceeded, problem{http.StatusServiceUnavailable, "SlowDown", ""}},
	}
}

// problemOf says what an error is in S3's words.
func problemOf(err error) problem {
	var p problem
	if errors.As(err, &p) {
		return p
	}
	for _, known := range problems() {
		if errors.Is(err, known.err) {
			known.is.message = err.Error()
			return known.is
		}
	}
	switch abi.CodeOf(err) {
	case abi.Unavailable:
		return problem{http.StatusServiceUnavailable, "ServiceUnavailable", err.Error()}
	case abi.NoSpace:
		return problem{http.StatusInsufficientStorage, "InsufficientStorage", err.Error()}
	case abi.InvalidInput:
		return problem{http.StatusBadRequest, "InvalidRequest", err.Error()}
	}
	return problem{http.StatusInternalServerError, "InternalError", "An internal error. The node's log says more."}
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, id string, err error) {
	p := problemOf(err)
	if p.status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.config.Log.Error("answer s3 request", "request", id, "method", r.Method, "err", err)
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(p.status)
		return
	}
	answer(w, p.status, errorDocument{Code: p.code, Message: p.message, Resource: r.URL.Path, RequestID: id})
}

// answer sends a document.
func answer(w http.ResponseWriter, status int, document any) {
	text, err := xml.Marshal(document)
	if err != nil {
		panic(err) // texts and numbers only
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	w.Write(append([]byte(xml.Header), text...)) // the client may have left
}

// readDocument reads a request's body, which is XML that was signed.
func readDocument(r *request, into any) error {
	b, err := r.body()
	if err != nil {
		return err
	}
	if b.Size > MaxDocumentBytes {
		return problem{http.StatusBadRequest, "EntityTooLarge", "The document has more than 2 MiB."}
	}
	text, err := io.ReadAll(io.LimitReader(b.Reader, MaxDocumentBytes+1))
	if err != nil {
		return err
	}
	if sum := md5.Sum(text); b.MD5 != nil && string(b.MD5) != string(sum[:]) {
		return blob.ErrDigest
	}
	if len(text) > MaxDocumentBytes || xml.Unmarshal(text, into) != nil {
		return problem{http.StatusBadRequest, "MalformedXML", "The document is not as it should be."}
	}
	return nil
}

func requestID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}
