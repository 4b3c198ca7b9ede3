package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"

	unsignedPayload       = "UNSIGNED-PAYLOAD"
	chunksSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	chunksSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	chunksUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// signature is what a request says it is signed with.
type signature struct {
	access  string // key's id
	date    string // of the scope, such as 20260102
	scope   string // such as 20260102/us-east-1/s3/aws4_request
	headers []string
	value   string
	time    string // as timeFormat
	life    time.Duration
	payload string // digest of the body, or how it is signed

	key []byte // that signs, once the secret is known
}

func denied(format string, args ...any) error {
	return problem{http.StatusForbidden, "AccessDenied", fmt.Sprintf(format, args...)}
}

// authenticate answers what the key that signed a request stands for.
func (s *Server) authenticate(r *request) (Key, error) {
	var err error
	if r.query.Has("X-Amz-Algorithm") {
		r.signed, err = fromQuery(r)
	} else {
		r.signed, err = fromHeader(r)
	}
	if err == nil {
		err = r.signed.check(r, time.Now())
	}
	if err != nil {
		return Key{}, err
	}
	key, err := s.config.Key(r.Context(), r.signed.access)
	if errors.Is(err, ErrNoKey) {
		return Key{}, problem{http.StatusForbidden, "InvalidAccessKeyId", "The access key is not known."}
	}
	if err != nil {
		return Key{}, err
	}
	r.signed.derive(key.Secret)
	if want := r.signed.sign(algorithm, digest(r.signed.canonical(r))); !hmac.Equal([]byte(want), []byte(r.signed.value)) {
		return Key{}, problem{http.StatusForbidden, "SignatureDoesNotMatch", "The signature is not the one that the request and the secret make."}
	}
	return key, nil
}

// fromHeader reads the Authorization header.
func fromHeader(r *request) (signature, error) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), algorithm)
	if !ok {
		return signature{}, denied("The request is not signed with %s.", algorithm)
	}
	s := signature{time: r.Header.Get("X-Amz-Date"), payload: r.Header.Get("X-Amz-Content-Sha256")}
	var credential string
	for field := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			s.headers = strings.Split(value, ";")
		case "Signature":
			s.value = value
		}
	}
	if s.time == "" {
		if t, err := http.ParseTime(r.Header.Get("Date")); err == nil {
			s.time = t.UTC().Format(timeFormat)
		}
	}
	if s.payload == "" {
		return s, problem{http.StatusBadRequest, "MissingSecurityHeader", "X-Amz-Content-Sha256 is missing."}
	}
	return s.withCredential(credential)
}

// fromQuery reads the query of a presigned URL.
func fromQuery(r *request) (signature, error) {
	q := r.query
	for name, values := range q {
		if strings.HasPrefix(name, "X-Amz-") && len(values) != 1 {
			return signature{}, badQuery("%s is there %d times.", name, len(values))
		}
	}
	s := signature{value: q.Get("X-Amz-Signature"), headers: strings.Split(q.Get("X-Amz-SignedHeaders"), ";"), time: q.Get("X-Amz-Date"),
		payload: q.Get("X-Amz-Content-Sha256")}
	if s.payload == "" {
		s.payload = r.Header.Get("X-Amz-Content-Sha256")
	}
	if s.payload == "" {
		s.payload = unsignedPayload
	}
	if q.Get("X-Amz-Algorithm") != algorithm {
		return s, badQuery("X-Amz-Algorithm is not %s.", algorithm)
	}
	seconds, err := strconv.Atoi(q.Get("X-Amz-Expires"))
	s.life = time.Duration(seconds) * time.Second
	if err != nil || seconds < 1 || seconds > int(maxPresign/time.Second) {
		return s, badQuery("X-Amz-Expires is not 1 to %d seconds.", int(maxPresign/time.Second))
	}
	return s.withCredential(q.Get("X-Amz-Credential"))
}

func badQuery(format string, args ...any) error {
	return problem{http.StatusBadRequest, "AuthorizationQueryParametersError", fmt.Sprintf(format, args...)}
}

// withCredential reads ID/DATE/REGION/s3/aws4_request. The id may have slashes; any region will do.
func (s signature) withCredential(text string) (signature, error) {
	parts := strings.Split(text, "/")
	n := len(parts) - 4
	if n < 1 || parts[n+2] != "s3" || parts[n+3] != "aws4_request" {
		return s, problem{http.StatusBadRequest, "AuthorizationHeaderMalformed", "The credential is not ID/DATE/REGION/s3/aws4_request."}
	}
	s.access, s.date, s.scope = strings.Join(parts[:n], "/"), parts[n], strings.Join(parts[n:], "/")
	return s, nil
}

// check refuses a signature that is too old, or that leaves out what must be signed.
func (s signature) check(r *request, now time.Time) error {
	at, err := time.Parse(timeFormat, s.time)
	if err != nil || s.date != s.time[:8] {
		return denied("The signature has no time, or another than its credential.")
	}
	switch {
	case s.life == 0 && (now.Sub(at) > maxSkew || at.Sub(now) > maxSkew), s.life > 0 && at.Sub(now) > maxSkew:
		return problem{http.StatusForbidden, "RequestTimeTooSkewed", "The signature's time differs from the server's by more than 15 minutes."}
	case s.life > 0 && now.Sub(at) > s.life:
		return denied("Request has expired.")
	}
	if !slices.Contains(s.headers, "host") {
		return denied("The host is not signed.")
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(s.headers, name) && !(s.life > 0 && name == "x-amz-content-sha256") {
			return denied("The header %s is there and not signed.", name)
		}
	}
	return nil
}

// derive makes the key that signs.
func (s *signature) derive(secret string) {
	s.key = []byte("AWS4" + secret)
	for part := range strings.SplitSeq(s.scope, "/") {
		s.key = mac(s.key, part)
	}
}

// sign answers the signature of what, which is a kind of text and its lines.
func (s signature) sign(kind string, lines ...string) string {
	text := kind + "\n" + s.time + "\n" + s.scope + "\n" + strings.Join(lines, "\n")
	return hex.EncodeToString(mac(s.key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// canonical is the request as it is signed.
func (s signature) canonical(r *request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, escape(r.URL.Path, "/"), canonicalQuery(r.query))
	for _, name := range s.headers {
		fmt.Fprintf(&b, "%s:%s\n", name, headerValue(r.Request, name))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(s.headers, ";"), s.payload)
	return b.String()
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for name, values := range q {
		if name == "X-Amz-Signature" {
			continue
		}
		for _, v := range values {
			pairs = append(pairs, escape(name, "")+"="+escape(v, ""))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	case "transfer-encoding":
		return strings.Join(r.TransferEncoding, ",")
	}
	var values []string
	for _, v := range r.Header.Values(name) {
		values = append(values, strings.Join(strings.Fields(v), " "))
	}
	return strings.Join(values, ",")
}

// escape percent-encodes as signatures do: all but letters, digits, - . _ ~ and what keep holds.
func escape(text, keep string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~"+keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
