package host

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

var errLongTrailer = fmt.Errorf("the reply's trailers: %w: at most %d, of %d bytes", abi.ErrOverLimit, abi.MaxHeaders, abi.MaxFetchHeaderBytes)

// addTrailers gives a request the trailers that a guest asks for, without those that may be none. It refuses what HTTP
// cannot carry.
func addTrailers(to *http.Request, r *abi.FetchRequest) error {
	trailers := http.Header{}
	for _, f := range r.Trailers {
		if !abi.ValidHeader(f) {
			return fmt.Errorf("trailer %.80q: no valid name, or a control character in its value: %w", f.Name, abi.ErrBadRequest)
		}
		if abi.MayTrail(f.Name) {
			trailers.Add(f.Name, f.Value)
		}
	}
	if len(trailers) == 0 {
		return nil
	}
	to.Trailer = trailers
	// They follow chunks alone, so nothing may tell how long the body is.
	to.ContentLength, to.TransferEncoding = -1, []string{"chunked"}
	to.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
	to.Body, _ = to.GetBody()
	return nil
}

// readTrailers answers the trailers of a reply whose body has been read, within the limits of package abi, without
// those that may be none. Over HTTP/1.1 net/http takes no more than its buffer has room for, 4 KiB, and else says as
// much as that they broke off.
func readTrailers(h http.Header) (list []abi.Field, err error) {
	for name, values := range h { // those that were announced and did not come have no value
		if !abi.MayTrail(name) {
			continue
		}
		for _, v := range values {
			f := abi.Field{Name: name, Value: v}
			if !abi.ValidHeader(f) {
				return nil, fmt.Errorf("%w: trailer %.40q has a control character", abi.ErrBroken, name)
			}
			list = append(list, f)
		}
	}
	if len(list) > abi.MaxHeaders || abi.FieldBytes(list) > abi.MaxFetchHeaderBytes {
		return nil, errLongTrailer
	}
	slices.SortStableFunc(list, func(a, b abi.Field) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
