package client

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/sett-run/sett/sdk/abi"
)

// Upload is a module on its way to a node.
type Upload struct {
	Digest    string    // SHA-256 of the bytes: 64 hexadecimal digits, lower case
	SizeBytes int64     // how many bytes Body yields
	Body      io.Reader // read once, from another goroutine, until UploadModule returns
	// Progress, when not nil, is told how many bytes were read from Body so far; it is called from another
	// goroutine and must return at once.
	Progress func(sentBytes int64)
}

// Module is an uploaded module: the response to its upload.
type Module struct {
	Digest    string `json:"digest"`
	SizeBytes int64  `json:"size_bytes"`
	Existed   bool   `json:"existed"` // the node had it already, nothing was stored
}

// UploadModule gives the node a module. When the node has it already, Body is not read. Errors: abi.TooLarge,
// abi.InvalidInput when the bytes do not have the digest, abi.NoSpace.
func (c *Client) UploadModule(ctx context.Context, u Upload) (Module, error) {
	at := path("modules", u.Digest)
	err := c.do(ctx, request{method: http.MethodHead, path: at})
	if err == nil {
		return Module{Digest: u.Digest, SizeBytes: u.SizeBytes, Existed: true}, nil
	}
	if abi.CodeOf(err) != abi.NotFound {
		return Module{}, explainHead(err)
	}
	req, err := c.newRequest(ctx, request{method: http.MethodPut, path: at}, &progressReader{r: u.Body, report: u.Progress})
	if err != nil {
		return Module{}, err
	}
	req.ContentLength = u.SizeBytes
	if u.SizeBytes == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/wasm")
	req.Header.Set("Expect", "100-continue") // a refusal comes before the bytes are sent
	res, err := c.send(req)
	if err != nil {
		return Module{}, err
	}
	defer res.Body.Close()
	var m Module
	return m, c.decode(ctx, res, &m)
}

// explainHead gives a refusal without a body, as HEAD's is, the words a body would have had.
func explainHead(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case abi.Unauthorized:
		return newError(e.Code, e.Status, errors.New("this node needs a token: give a valid one with --token or SETT_TOKEN"))
	case abi.Forbidden:
		return newError(e.Code, e.Status, errors.New("the token or the address used does not allow uploads to this node"))
	case abi.InvalidInput:
		return newError(e.Code, e.Status, errors.New("digest: it is 64 hexadecimal digits, lower case"))
	}
	return err
}

// progressReader reports how much was read from r. It hides every other method of r, so that the transport
// reads through it.
type progressReader struct {
	r      io.Reader
	sent   int64
	report func(int64)
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.sent += int64(n)
	if p.report != nil && n > 0 {
		p.report(p.sent)
	}
	return n, err
}
