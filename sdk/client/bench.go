package client

import (
	"context"
	"net/http"
)

// Paths an invocation may take: after loading compiled code, or with it resident.
const (
	PathCold = "cold"
	PathWarm = "warm"
)

// BenchRequest asks for a function's latency on this node. The zero value measures 20 cold and 200 warm
// invocations of GET /.
type BenchRequest struct {
	Cold    int            `json:"cold,omitempty"`    // invocations; 0 with Warm 0 means 20
	Warm    int            `json:"warm,omitempty"`    // invocations; 0 with Cold 0 means 200
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
