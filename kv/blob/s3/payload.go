package s3

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sett-run/sett/kv/blob"
)

// body answers a request's, which fails at its end when it is not the one that was signed.
func (r *request) body() (blob.Body, error) {
	b := blob.Body{Reader: r.Body, Size: r.ContentLength}
	switch p := r.signed.payload; p {
	case unsignedPayload:
	case chunksSigned, chunksSignedTrailer, chunksUnsignedTrailer:
		size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil || size < 0 {
			return b, problem{http.StatusLengthRequired, "MissingContentLength", "X-Amz-Decoded-Content-Length is missing."}
		}
		b.Size = size
		b.Reader = newChunked(r)
	default:
		want, err := hex.DecodeString(p)
		if err != nil || len(want) != sha256.Size {
			return b, problem{http.StatusBadRequest, "InvalidArgument", "X-Amz-Content-Sha256 is neither a SHA-256 nor a way of signing that is known."}
		}
		b.Reader = &checked{r: b.Reader, sum: sha256.New(), want: func() ([]byte, error) { return want, nil }, wrong: errPayload}
	}
	if b.Size < 0 {
		return b, problem{http.StatusLengthRequired, "MissingContentLength", "Content-Length is missing."}
	}
	if text := r.Header.Get("Content-Md5"); text != "" {
		var err error
		if b.MD5, err = base64.StdEncoding.DecodeString(text); err != nil || len(b.MD5) != 16 {
			return b, problem{http.StatusBadRequest, "InvalidDigest", "Content-MD5 is not a digest."}
		}
	}
	err := r.checksum(&b)
	return b, err
}

// errPayload is that of a body that was not signed.
var errPayload = problem{http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The body is not the one that was signed."}

// checksum has the body checked against the checksum that came with it, in a header or in its trailer.
func (r *request) checksum(b *blob.Body) error {
	chunks, _ := b.Reader.(*chunked)
	trailer := strings.ToLower(strings.TrimSpace(r.Header.Get("X-Amz-Trailer")))
	for _, algorithm := range []string{"crc32", "crc32c", "crc64nvme", "sha1", "sha256"} {
		name := "x-amz-checksum-" + algorithm
		c := &checked{r: b.Reader, sum: newSum(algorithm), wrong: blob.ErrDigest}
		switch text := r.Header.Get(name); {
		case text != "":
			want, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return problem{http.StatusBadRequest, "InvalidRequest", name + " is not base64."}
			}
			c.want = func() ([]byte, error) { return want, nil }
		case trailer == name && chunks != nil:
			c.want = func() ([]byte, error) { return base64.StdEncoding.DecodeString(chunks.trailer[name]) }
		default:
			continue
		}
		b.Reader = c
	}
	return nil
}

func newSum(algorithm string) hash.Hash {
	switch algorithm {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) // reversed, as package crc64 has polynomials
	case "sha1":
		return sha1.New()
	}
	return sha256.New()
}

// checked reads r, and fails at its end unless it has the sum that is wanted.
type checked struct {
	r     io.Reader
	sum   hash.Hash
	want  func() ([]byte, error) // is called at the end
	wrong error
}

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.sum.Write(b[:n])
	if errors.Is(err, io.EOF) {
		if want, wantErr := c.want(); wantErr != nil || string(want) != string(c.sum.Sum(nil)) {
			return n, c.wrong
		}
	}
	return n, err
}

// chunked reads a body that comes in chunks, each with its size before it and, when it is signed, its signature.
//
// Source: Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in
// Multiple Chunks" and "... Including Trailing Headers".
type chunked struct {
	r        *bufio.Reader
	signed   signature
	isSigned bool
	trailing bool

	left     int64 // bytes of the chunk
	sum      hash.Hash
	previous string // signature
	current  string // signature of the chunk, as it came
	trailer  map[string]string
	err      error // the end
}

func newChunked(r *request) *chunked {
	p := r.signed.payload
	return &chunked{r: bufio.NewReaderSize(r.Body, 32<<10), signed: r.signed, isSigned: p != chunksUnsignedTrailer,
		trailing: p != chunksSigned, previous: r.signed.value, sum: sha256.New()}
}

var errChunks = problem{http.StatusBadRequest, "IncompleteBody", "The body's chunks cannot be read."}

func (c *chunked) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if c.err == nil && c.left == 0 {
		c.err = c.begin()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	if c.isSigned {
		c.sum.Write(b[:n])
	}
	switch {
	case err != nil:
		c.err = cut(err)
	case c.left == 0:
		c.err = c.end()
	}
	return n, c.err
}

// begin reads what stands before a chunk, and all that comes after the last one: then it answers io.EOF.
func (c *chunked) begin() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(size, 16, 62)
	if err != nil {
		return errChunks
	}
	c.left = int64(n)
	_, c.current, _ = strings.Cut(extension, "chunk-signature=")
	if n > 0 {
		return nil
	}
	if err := c.verify(); err != nil {
		return err
	}
	if err := c.readTrailer(); err != nil {
		return err
	}
	return io.EOF
}

// end reads what stands behind a chunk.
func (c *chunked) end() error {
	if line, err := c.line(); err != nil || line != "" {
		return errors.Join(errChunks, err)
	}
	return c.verify()
}

// verify checks the signature of a chunk that was read.
func (c *chunked) verify() error {
	if !c.isSigned {
		return nil
	}
	want := c.signed.sign(algorithm+"-PAYLOAD", c.previous, digest(""), hex.EncodeToString(c.sum.Sum(nil)))
	if !hmac.Equal([]byte(want), []byte(c.current)) {
		return problem{http.StatusForbidden, "SignatureDoesNotMatch", "The signature of a chunk of the body does not hold."}
	}
	c.previous = want
	c.sum.Reset()
	return nil
}

// readTrailer reads up to the empty line that ends the body.
func (c *chunked) readTrailer() error {
	c.trailer = make(map[string]string)
	var text strings.Builder
	for range MaxTrailers {
		line, err := c.line()
		if errors.Is(err, io.ErrUnexpectedEOF) && len(c.trailer) > 0 {
			line, err = "", nil // some clients leave the last line out
		}
		if err != nil {
			return err
		}
		if line == "" {
			return c.verifyTrailer(text.String())
		}
		name, value, found := strings.Cut(line, ":")
		if !found || !c.trailing {
			return errChunks
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		c.trailer[name] = value
		if name != trailerSignature {
			fmt.Fprintf(&text, "%s:%s\n", name, value)
		}
	}
	return errChunks
}

const trailerSignature = "x-amz-trailer-signature"

func (c *chunked) verifyTrailer(text string) error {
	if !c.isSigned || !c.trailing {
		return nil
	}
	want := c.signed.sign(algorithm+"-TRAILER", c.previous, digest(text))
	if !hmac.Equal([]byte(want), []byte(c.trailer[trailerSignature])) {
		return problem{http.StatusForbidden, "SignatureDoesNotMatch", "The signature of the body's trailer does not hold."}
	}
	return nil
}

// line reads one, without its end.
func (c *chunked) line() (string, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil || len(line) > MaxLineBytes {
		if errors.Is(err, bufio.ErrBufferFull) || err == nil {
			return "", errChunks
		}
		return "", cut(err)
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// cut is the error of a body that ends before it should.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
