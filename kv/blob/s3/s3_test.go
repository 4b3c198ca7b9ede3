package s3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/op"
)

const (
	exampleID     = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	emptyDigest   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// example is a request of Amazon's examples.
func example(method, target string, headers map[string]string) *request {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "examplebucket.s3.amazonaws.com"
	for name, v := range headers {
		r.Header.Set(name, v)
	}
	query, _ := url.ParseQuery(r.URL.RawQuery)
	return &request{Request: r, query: query}
}

func authorization(headers, signature string) string {
	return algorithm + " Credential=" + exampleID + "/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + headers + ",Signature=" + signature
}

// TestExamples are Amazon's. Source: Amazon S3 API Reference, "Signature Calculations for the Authorization Header:
// Transferring Payload in a Single Chunk", and "Authenticating Requests: Using Query Parameters".
func TestExamples(t *testing.T) {
	const plain = "host;x-amz-content-sha256;x-amz-date"
	for name, tt := range map[string]struct {
		method, target string
		headers        map[string]string
		signed, want   string
	}{
		"get": {"GET", "/test.txt", map[string]string{"Range": "bytes=0-9", "X-Amz-Content-Sha256": emptyDigest},
			"host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		"put": {"PUT", "/test$file.text", map[string]string{"Date": "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY",
			"X-Amz-Content-Sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
			"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		"lifecycle": {"GET", "/?lifecycle", map[string]string{"X-Amz-Content-Sha256": emptyDigest}, plain,
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		"list": {"GET", "/?max-keys=2&prefix=J", map[string]string{"X-Amz-Content-Sha256": emptyDigest}, plain,
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		tt.headers["X-Amz-Date"] = "20130524T000000Z"
		tt.headers["Authorization"] = authorization(tt.signed, tt.want)
		r := example(tt.method, tt.target, tt.headers)
		s, err := fromHeader(r)
		if err == nil {
			err = s.check(r, time.Date(2013, 5, 24, 0, 10, 0, 0, time.UTC))
		}
		s.derive(exampleSecret)
		if got := s.sign(algorithm, digest(s.canonical(r))); err != nil || got != tt.want || s.value != tt.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, tt.want)
		}
	}
	r := example("GET", "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"+
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"+
		"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", nil)
	s, err := fromQuery(r)
	s.derive(exampleSecret)
	if got := s.sign(algorithm, digest(s.canonical(r))); err != nil || got != s.value {
		t.Errorf("presigned: %s, %v, want %s", got, err, s.value)
	}
}

// chunks is the body of Amazon's example of one in chunks, with its signatures.
func chunks() (signature, string) {
	s := signature{time: "20130524T000000Z", scope: "20130524/us-east-1/s3/aws4_request", payload: chunksSigned,
		value: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"}
	s.derive(exampleSecret)
	return s, "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) +
		"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) +
		"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
}

func readChunks(s signature, text string) ([]byte, *chunked, error) {
	r := &request{Request: httptest.NewRequest("PUT", "/b/k", strings.NewReader(text)), signed: s}
	c := newChunked(r)
	b, err := io.ReadAll(c)
	return b, c, err
}

func TestChunks(t *testing.T) {
	s, text := chunks()
	if b, _, err := readChunks(s, text); err != nil || string(b) != strings.Repeat("a", 66560) {
		t.Errorf("the example is %d bytes, %v", len(b), err)
	}
	for name, wrong := range map[string]string{
		"a byte":    strings.Replace(text, "aaa", "aba", 1),
		"signature": strings.Replace(text, "=0055", "=0056", 1),
		"the last":  strings.Replace(text, "=b6c6", "=b6c7", 1),
		"no last":   text[:strings.Index(text, "\r\n0;")+2],
		"cut":       text[:1000],
		"trailer":   strings.TrimSuffix(text, "\r\n") + "x-amz-checksum-crc32:AAAAAA==\r\n\r\n",
		"size":      "zz\r\n",
		"no end":    "1;chunk-signature=x\r\nabc",
		"long line": strings.Repeat("0", MaxLineBytes+1) + "\r\n",
		"empty":     "",
	} {
		if _, _, err := readChunks(s, wrong); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTrailers has signed and unsigned ones.
func TestTrailers(t *testing.T) {
	s, _ := chunks()
	s.payload = chunksUnsignedTrailer
	b, c, err := readChunks(s, "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n")
	if err != nil || string(b) != "abc" || c.trailer["x-amz-checksum-crc32"] != "NSRBwg==" {
		t.Errorf("unsigned: %q, %+v, %v", b, c.trailer, err)
	}
	if _, _, err := readChunks(s, "0\r\n"+strings.Repeat("a:b\r\n", MaxTrailers+1)+"\r\n"); err == nil {
		t.Error("too many trailers: no error")
	}
	s.payload = chunksSignedTrailer
	empty := digest("")
	first := s.sign(algorithm+"-PAYLOAD", s.value, empty, digest("abc"))
	last := s.sign(algorithm+"-PAYLOAD", first, empty, empty)
	trailer := s.sign(algorithm+"-TRAILER", last, digest("x-amz-checksum-crc32:NSRBwg==\n"))
	text := "3;chunk-signature=" + first + "\r\nabc\r\n0;chunk-signature=" + last + "\r\nx-amz-checksum-crc32:NSRBwg==\r\nx-amz-trailer-signature:" + trailer + "\r\n\r\n"
	if b, _, err := readChunks(s, text); err != nil || string(b) != "abc" {
		t.Errorf("signed: %q, %v", b, err)
	}
	if _, _, err := readChunks(s, strings.Replace(text, "NSRB", "OSRB", 1)); err == nil {
		t.Error("signed trailer that was changed: no error")
	}
}

func server(t *testing.T) *Server {
	t.Helper()
	o, err := blob.Open(blob.Config{Dir: t.TempDir(), Store: new(op.Memory)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	if err := o.CreateBucket(t.Context(), "shop", blob.Bucket{Name: "pics"}); err != nil {
		t.Fatal(err)
	}
	return New(Config{Objects: o, Key: func(_ context.Context, id string) (Key, error) {
		switch id {
		case exampleID:
			return Key{App: "shop", Secret: exampleSecret}, nil
		case "broken":
			return Key{}, errors.New("no store")
		}
		return Key{}, ErrNoKey
	}})
}

// signed signs a request as of now, with the headers it has.
func signed(r *http.Request, body string) *http.Request {
	sum := sha256.Sum256([]byte(body))
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	now := time.Now().UTC()
	r.Header.Set("X-Amz-Date", now.Format(timeFormat))
	query, _ := url.ParseQuery(r.URL.RawQuery)
	s := signature{time: now.Format(timeFormat), scope: now.Format("20060102") + "/x/s3/aws4_request", payload: hex.EncodeToString(sum[:]),
		headers: []string{"host", "x-amz-content-sha256", "x-amz-date"}}
	s.derive(exampleSecret)
	value := s.sign(algorithm, digest(s.canonical(&request{Request: r, query: query})))
	r.Header.Set("Authorization", algorithm+" Credential="+exampleID+"/"+s.scope+", SignedHeaders="+strings.Join(s.headers, ";")+", Signature="+value)
	return r
}

func do(s *Server, r *http.Request) (int, string) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	text := w.Body.String()
	if _, code, ok := strings.Cut(text, "<Code>"); ok && w.Code >= 300 {
		text, _, _ = strings.Cut(code, "<")
	}
	return w.Code, text
}

func TestRefusals(t *testing.T) {
	s := server(t)
	for name, tt := range map[string]struct {
		method, target, body string
		change               func(*http.Request)
		status               int
		code                 string
	}{
		"fine":           {"PUT", "/pics/k", "abc", nil, 200, ""},
		"other body":     {"PUT", "/pics/k2", "abc", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("abd")) }, 400, "XAmzContentSHA256Mismatch"},
		"other method":   {"PUT", "/pics/k2", "abc", func(r *http.Request) { r.Method = "DELETE" }, 403, "SignatureDoesNotMatch"},
		"other path":     {"PUT", "/pics/k2", "abc", func(r *http.Request) { r.URL.Path = "/pics/k3" }, 403, "SignatureDoesNotMatch"},
		"unsigned x-amz": {"PUT", "/pics/k2", "abc", func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "b") }, 403, "AccessDenied"},
		"no signature":   {"GET", "/pics/k", "", func(r *http.Request) { r.Header.Del("Authorization") }, 403, "AccessDenied"},
		"other service":  {"GET", "/pics/k", "", replaceAuth("/s3/", "/sqs/"), 400, "AuthorizationHeaderMalformed"},
		"host unsigned":  {"GET", "/pics/k", "", replaceAuth("=host;", "="), 403, "AccessDenied"},
		"unknown key":    {"GET", "/pics/k", "", replaceAuth(exampleID, "NOBODY"), 403, "InvalidAccessKeyId"},
		"store fails":    {"GET", "/pics/k", "", replaceAuth(exampleID, "broken"), 500, "InternalError"},
		"old":            {"GET", "/pics/k", "", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20200101T000000Z") }, 403, "AccessDenied"},
		"MD5":            {"PUT", "/pics/k2", "abc", func(r *http.Request) { r.Header.Set("Content-Md5", "AAAAAAAAAAAAAAAAAAAAAA==") }, 400, "BadDigest"},
		"no MD5":         {"PUT", "/pics/k2", "abc", func(r *http.Request) { r.Header.Set("Content-Md5", "x") }, 400, "InvalidDigest"},
		"no length":      {"PUT", "/pics/k2", "abc", func(r *http.Request) { r.ContentLength = -1 }, 411, "MissingContentLength"},
		"short":          {"PUT", "/pics/k2", "abc", func(r *http.Request) { r.ContentLength = 4 }, 400, "IncompleteBody"},
		"If-Match":       {"PUT", "/pics/k2", "abc", func(r *http.Request) { r.Header.Set("If-None-Match", `"x"`) }, 501, "NotImplemented"},
		"no ETag":        {"PUT", "/pics/k", "abd", func(r *http.Request) { r.Header.Set("If-Match", "") }, 501, "NotImplemented"},
		"quoted none":    {"DELETE", "/pics/k", "", func(r *http.Request) { r.Header.Set("If-Match", `""`) }, 501, "NotImplemented"},
		"empty none":     {"PUT", "/pics/k", "abd", func(r *http.Request) { r.Header.Set("If-None-Match", "") }, 501, "NotImplemented"},
		"acl":            {"GET", "/pics/k?acl", "", nil, 501, "NotImplemented"},
		"post":           {"POST", "/pics", "", nil, 501, "NotImplemented"},
		"query":          {"GET", "/pics/k", "", func(r *http.Request) { r.URL.RawQuery = "%zz" }, 400, "InvalidURI"},
		"bucket's name":  {"PUT", "/A", "", nil, 400, "InvalidBucketName"},
		"bucket again":   {"PUT", "/pics", "", nil, 409, "BucketAlreadyOwnedByYou"},
		"no bucket":      {"GET", "/none", "", nil, 404, "NoSuchBucket"},
		"no document":    {"POST", "/pics?delete", "<x", nil, 400, "MalformedXML"},
		"large document": {"POST", "/pics?delete", strings.Repeat("x", MaxDocumentBytes+1), nil, 400, "EntityTooLarge"},
		"max-keys":       {"GET", "/pics?max-keys=-1", "", nil, 400, "InvalidArgument"},
		"token":          {"GET", "/pics?list-type=2&continuation-token=x", "", nil, 400, "InvalidArgument"},
		"MD5 of document": {"POST", "/pics?delete", "<Delete><Object><Key>k</Key></Object></Delete>",
			func(r *http.Request) { r.Header.Set("Content-Md5", "AAAAAAAAAAAAAAAAAAAAAA==") }, 400, "BadDigest"},
		"part order": {"POST", "/pics/k?uploadId=x", "<C><Part><PartNumber>2</PartNumber></Part><Part><PartNumber>1</PartNumber></Part></C>", nil,
			400, "InvalidPartOrder"},
		"no upload": {"POST", "/pics/k?uploadId=x", "<C><Part><PartNumber>2</PartNumber></Part></C>", nil, 404, "NoSuchUpload"},
	} {
		r := signed(httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body)), tt.body)
		if tt.change != nil {
			tt.change(r)
		}
		if status, code := do(s, r); status != tt.status || tt.code != "" && code != tt.code {
			t.Errorf("%s: %d %s, want %d %s", name, status, code, tt.status, tt.code)
		}
	}
	if _, err := s.config.Objects.Head(t.Context(), blob.Name{App: "shop", Bucket: "pics", Key: "k2"}); !errors.Is(err, op.ErrNoObject) {
		t.Errorf("a request that was refused made an object: %v", err)
	}
}

func replaceAuth(old, with string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
	}
}

// TestSkew has signatures grow old.
func TestSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t)
		r := signed(httptest.NewRequest("GET", "/pics", nil), "")
		time.Sleep(maxSkew)
		if status, code := do(s, r); status != 200 {
			t.Errorf("after 15 minutes: %d %s", status, code)
		}
		time.Sleep(2 * time.Second)
		if status, code := do(s, r); status != 403 || code != "RequestTimeTooSkewed" {
			t.Errorf("after more: %d %s", status, code)
		}
	})
}

// pipes is a listener in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if nc, ok := <-p; ok {
		return nc, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// TestRefusedBeforeBody: a client that asks before it sends a body is refused at once, and one that does not send it in
// time.
func TestRefusedBeforeBody(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		want         time.Duration
	}{
		{"asks", "Expect: 100-continue\r\nContent-Length: 10\r\n", 0},
		{"large", "Content-Length: 1000000\r\n", 0},
		{"silent", "Content-Length: 10\r\n", Stall},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, l := server(t).HTTP(), make(pipes)
			var serving sync.WaitGroup
			serving.Go(func() { _ = h.Serve(l) })
			ours, theirs := net.Pipe()
			l <- theirs
			begin := time.Now()
			if _, err := io.WriteString(ours, "PUT /pics/k HTTP/1.1\r\nHost: h\r\n"+tt.header+"\r\n"); err != nil {
				t.Fatal(err)
			}
			reply, err := http.ReadResponse(bufio.NewReader(ours), nil)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); reply.StatusCode != 403 || took != tt.want {
				t.Errorf("%s: %d after %v, want 403 after %v", tt.name, reply.StatusCode, took, tt.want)
			}
			ours.Close()
			h.Close()
			serving.Wait()
			time.Sleep(time.Second) // net/http waits before it closes a connection
		})
	}
}

func TestCopyRange(t *testing.T) {
	for text, want := range map[string]string{"": "0+10", "bytes=0-9": "0+10", "bytes=3-3": "3+1", "bytes=3-10": "", "bytes=4-3": "", "0-1": "", "bytes=-1": "", "bytes=1-": ""} {
		first, size, err := copyRange(text, 10)
		if got := fmt.Sprintf("%d+%d", first, size); err == nil && got != want || err != nil && want != "" {
			t.Errorf("copyRange(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
}

func FuzzChunks(f *testing.F) {
	_, text := chunks()
	f.Add(text, uint8(0))
	f.Add("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n", uint8(1))
	f.Fuzz(func(t *testing.T, text string, kind uint8) {
		s, _ := chunks()
		s.payload = []string{chunksSigned, chunksUnsignedTrailer, chunksSignedTrailer}[kind%3]
		b, _, err := readChunks(s, text)
		if err == nil && s.payload != chunksUnsignedTrailer && !bytes.Equal(b, bytes.Repeat([]byte("a"), 66560)) {
			t.Errorf("%d bytes that nobody signed were taken", len(b))
		}
		if len(b) > len(text) {
			t.Errorf("%d bytes come of %d", len(b), len(text))
		}
	})
}

// FuzzRequest has requests of nobody refused.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/pics/k", "x=y", authorization("host", "00"), "20130524T000000Z")
	f.Add("GET", "/pics/k", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=60&X-Amz-Date=20130524T000000Z&X-Amz-Credential=a%2Fb%2Fc%2Fs3%2Faws4_request", "", "")
	f.Fuzz(func(t *testing.T, method, path, query, auth, date string) {
		r := &http.Request{Method: method, Host: "h", URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}, Body: http.NoBody}
		r.Header.Set("Authorization", auth)
		r.Header.Set("X-Amz-Date", date)
		r.Header.Set("X-Amz-Content-Sha256", emptyDigest)
		w := httptest.NewRecorder()
		New(Config{Key: func(context.Context, string) (Key, error) { return Key{Secret: exampleSecret}, nil }}).ServeHTTP(w, r)
		if w.Code < 400 {
			t.Errorf("answered %d", w.Code)
		}
	})
}

// TestCrowd has a request come while the server answers as many as it may.
func TestCrowd(t *testing.T) {
	s := server(t)
	s.room = make(chan struct{}, 1)
	in, out := io.Pipe()
	var first sync.WaitGroup
	first.Go(func() {
		r := signed(httptest.NewRequest("PUT", "/pics/k", in), "abc")
		r.ContentLength = 3
		if status, code := do(s, r); status != 200 {
			t.Errorf("the first: %d %s", status, code)
		}
	})
	io.WriteString(out, "ab") // is being read
	if status, code := do(s, signed(httptest.NewRequest("GET", "/pics", nil), "")); status != 503 || code != "SlowDown" {
		t.Errorf("the second: %d %s", status, code)
	}
	io.WriteString(out, "c")
	out.Close()
	first.Wait()
}
