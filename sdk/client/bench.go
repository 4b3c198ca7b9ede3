package client

import (
	"context"
	"net/http"
)

// Paths an invocation may take.
const (
	PathCold  = "cold"  // compiled code and image are loaded from disk
	PathImage = "image" // code is in memory, the image is loaded from disk
	PathWarm  = "warm"  // both are in memory
	PathReset = "reset" // what follows an invocation, and no client waits for
)

// BenchRequest asks for a function's latency on this node, with so many invocations of each path. The zero value
// measures 20 cold, 20 image, 200 warm and 200 reset invocations of GET /.
type BenchRequest struct {
	Cold    int            `json:"cold,omitempty"`
	Image   int            `json:"image,omitempty"`
	Warm    int            `json:"warm,omitempty"`
	Reset   int            `json:"reset,omitempty"`
	Request *InvokeRequest `json:"request,omitempty"` // what the function sees; nil means GET /
}

// BenchResponse is what was measured.
type BenchResponse struct {
	App      string     `json:"app"`
	Function string     `json:"function"`
	Version  int        `json:"version"`
	Runs     []BenchRun `json:"runs"`
}

// BenchRun is the latency of one path, in microseconds.
type BenchRun struct {
	Path      string    `json:"path"`
	Count     int       `json:"count"`
	P50US     float64   `json:"p50_us"`
	P90US     float64   `json:"p90_us"`
	P99US     float64   `json:"p99_us"`
	MaxUS     float64   `json:"max_us"`
	SamplesUS []float64 `json:"samples_us"` // every invocation, ascending
}

// Bench measures the version that is live.
func (c *Client) Bench(ctx context.Context, app, name string, r BenchRequest) (BenchResponse, error) {
	var out BenchResponse
	err := c.do(ctx, request{method: http.MethodPost, path: path("apps", app, "functions", name, "bench"), in: r, out: &out})
	return out, err
}
