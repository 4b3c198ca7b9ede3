package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Node is what a node says of itself.
type Node struct {
	Name          string    `json:"name"`
	Version       string    `json:"version"` // of the sett binary
	Region        string    `json:"region"`
	HTTP          string    `json:"http"`    // data plane's address, host:port; empty when off
	Admin         string    `json:"admin"`   // admin plane's address, host:port
	Cluster       string    `json:"cluster"` // cluster's address, host:port; empty when off
	Redis         string    `json:"redis"`   // the Redis protocol's address, host:port; empty when off
	S3            string    `json:"s3"`      // address of S3's API, host:port; empty when off
	Started       time.Time `json:"started"`
	UptimeSeconds int64     `json:"uptime_seconds"`
	Generation    uint64    `json:"generation"` // of the functions it serves: it grows with every change
}

// NodeInfo returns what the node says of itself.
func (c *Client) NodeInfo(ctx context.Context) (Node, error) {
	var out Node
	err := c.do(ctx, request{method: http.MethodGet, path: path("node"), out: &out})
	return out, err
}

// NodeServing returns what the node says of itself once it serves the functions as they were changed up to a generation,
// as Node.Generation counts them, or after a second.
func (c *Client) NodeServing(ctx context.Context, generation uint64) (Node, error) {
	var out Node
	err := c.do(ctx, request{method: http.MethodGet, path: path("node"), query: url.Values{"generation": {strconv.FormatUint(generation, 10)}}, out: &out})
	return out, err
}

// Ready returns nil while the node is ready to serve, and abi.Unavailable while it starts or drains.
func (c *Client) Ready(ctx context.Context) error {
	return c.do(ctx, request{method: http.MethodGet, path: "/readyz"})
}
