package peer

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"

	"github.com/sett-run/sett/sdk/abi"
)

// trailersName is the HTTP trailer by which the trailers of a body in pieces go between nodes, behind it: packed, in base64.
const trailersName = "Sett-Trailers"

// maxTrailersText is how long its value may be; longer ones are dropped. Net/http reads trailers of up to 4 KiB, and takes a
// longer one for a body that broke off.
const maxTrailersText = 3 << 10

// packTrailers is how trailers travel: as the wire form of a reply that has them for headers. None are nil.
func packTrailers(list []abi.Field) []byte {
	if len(list) == 0 {
		return nil
	}
	return abi.AppendReply(nil, &abi.Reply{Headers: list})
}

func unpackTrailers(data []byte) ([]abi.Field, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var r abi.Reply
	if err := abi.DecodeReply(data, &r); err != nil {
		return nil, fmt.Errorf("trailers: %w", err)
	}
	return r.Headers, nil
}

// withTrailers is a body whose trailers are told at its end.
type withTrailers struct {
	io.Reader
	from *pump       // whose body it is
	to   http.Header // the request's trailers
}

func (w *withTrailers) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if err == io.EOF {
		text := base64.StdEncoding.EncodeToString(packTrailers(w.from.trailers()))
		if text != "" && len(text) <= maxTrailersText {
			w.to.Set(trailersName, text)
		}
	}
	return n, err
}

// readTrailers reads them, where a body has ended.
func readTrailers(h http.Header) ([]abi.Field, error) {
	data, err := base64.StdEncoding.DecodeString(h.Get(trailersName))
	if err != nil {
		return nil, fmt.Errorf("trailers: %w", errMalformed)
	}
	return unpackTrailers(data)
}
