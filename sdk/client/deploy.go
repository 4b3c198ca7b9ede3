package client

import (
	"context"
	"net/http"

	"github.com/sett-run/sett/runtime/registry"
)

// Isolation says how a version's invocations are kept apart: the values are package registry's.
type Isolation = registry.Isolation

// DeployRequest is a deployment: all of its functions change at once, or none.
type DeployRequest struct {
	Functions []DeployFunction `json:"functions"`
}

// DeployFunction is one function of a deployment. Its module was uploaded before.
type DeployFunction struct {
	Name     string            `json:"name"`
	Digest   string            `json:"digest"`
	Settings registry.Settings `json:"settings,omitzero"`
}

// DeployResponse says what became of each function, in the order asked.
type DeployResponse struct {
	Functions []Deployed `json:"functions"`
}

// Deployed is one function after a deployment.
type Deployed struct {
	App       string        `json:"app"`
	Function  string        `json:"function"`
	Version   int           `json:"version"`
	Digest    string        `json:"digest"`
	Kind      registry.Kind `json:"kind"`
	Isolation Isolation     `json:"isolation"`
	// IsolationReason says why it is not the plain reset of an initialised instance; empty when it is.
	IsolationReason string   `json:"isolation_reason,omitempty"`
	Routes          []string `json:"routes"`
	URL             string   `json:"url"` // where a first request may go
	CompileMS       int64    `json:"compile_ms"`
	Unchanged       bool     `json:"unchanged"` // same bytes and settings as what is live: no new version
}

// Deploy makes new versions live. It returns once the node serves them. Errors: abi.InvalidInput,
// abi.InvalidModule, abi.NotFound for a digest not uploaded, abi.Conflict for a route that ties with another.
func (c *Client) Deploy(ctx context.Context, app string, d DeployRequest) (DeployResponse, error) {
	var out DeployResponse
	err := c.do(ctx, request{method: http.MethodPost, path: path("apps", app, "deployments"), in: d, out: &out})
	return out, err
}
