package host

import (
	"context"
	"fmt"

	"github.com/sett-run/sett/sdk/abi"
)

// Send is Fetch for a guest that goes on meanwhile: it counts and checks the request, and answers what sends it, which
// another goroutine may call, or why it is not sent.
func (c *Call) Send(r *abi.FetchRequest) (send func(context.Context) (*abi.Reply, error), err error) {
	if c.Fetcher == nil {
		return nil, abi.ErrNoOutgoing
	}
	long := func(list []abi.Field) bool {
		return len(list) > abi.MaxHeaders || abi.FieldBytes(list) > abi.MaxFetchHeaderBytes
	}
	if len(r.URL) > abi.MaxURLBytes || long(r.Headers) || long(r.Trailers) ||
		len(r.Body) > abi.MaxFetchRequestBytes {
		return nil, fmt.Errorf("request: %w", abi.ErrOverLimit)
	}
	if err := c.goOut(); err != nil {
		return nil, err
	}
	fetcher, by := c.Fetcher, Caller{c.App, c.Egress}
	return func(ctx context.Context) (*abi.Reply, error) { return fetcher.Fetch(ctx, by, r) }, nil
}
