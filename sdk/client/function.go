package client

import (
	"context"
	"net/http"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Function is a function as it serves now. Where the alias live names several versions, what is said of a
// version is said of the heaviest.
type Function struct {
	App             string                       `json:"app"`
	Name            string                       `json:"function"`
	Version         int                          `json:"version"` // heaviest version of the alias live
	Latest          int                          `json:"latest"`  // highest number ever given
	Created         time.Time                    `json:"created"` // when that version was deployed
	Digest          string                       `json:"digest"`
	SizeBytes       int64                        `json:"size_bytes"`
	Kind            registry.Kind                `json:"kind"`
	Isolation       Isolation                    `json:"isolation"`
	IsolationReason string                       `json:"isolation_reason,omitempty"` // why it is not the plain reset of an initialised instance
	Interfaces      []string                     `json:"interfaces,omitempty"`       // that a component imports and exports
	Routes          []string                     `json:"routes"`
	URL             string                       `json:"url"`
	Aliases         map[string][]registry.Weight `json:"aliases"`
	Settings        registry.Settings            `json:"settings"`
	ETag            string                       `json:"etag"` // for IfMatch; changes with every change of the function
}

// FunctionList is the response that lists functions, by app and name.
type FunctionList struct {
	Functions []Function `json:"functions"`
}

// Version is one version of a function.
type Version struct {
	App             string            `json:"app"`
	Function        string            `json:"function"`
	Number          int               `json:"version"`
	Created         time.Time         `json:"created"`
	Digest          string            `json:"digest"`
	SizeBytes       int64             `json:"size_bytes"`
	Kind            registry.Kind     `json:"kind"`
	Isolation       Isolation         `json:"isolation"`
	IsolationReason string            `json:"isolation_reason,omitempty"` // as in Function
	Description     *abi.Description  `json:"description,omitempty"`      // what a sett module says of itself
	Interfaces      []string          `json:"interfaces,omitempty"`       // as in Function
	Routes          []string          `json:"routes"`
	Aliases         []string          `json:"aliases"` // that name it, sorted
	Settings        registry.Settings `json:"settings"`
}

// VersionList is the response that lists a function's versions, newest first.
type VersionList struct {
	Versions []Version `json:"versions"`
}

// RollbackRequest asks for an earlier version. Version 0 means the one before what is live.
type RollbackRequest struct {
	Version int `json:"version,omitempty"`
}

// AliasRequest sets an alias. Its shares are each weight over the sum of all.
type AliasRequest struct {
	Weights []registry.Weight `json:"weights"`
}

// RemoveResponse names what was removed, sorted.
type RemoveResponse struct {
	Functions []string `json:"functions"`
}

// Functions lists an app's functions; with an empty app, those of every app the token may see.
func (c *Client) Functions(ctx context.Context, app string) ([]Function, error) {
	at := path("functions")
	if app != "" {
		at = path("apps", app, "functions")
	}
	var out FunctionList
	err := c.do(ctx, request{method: http.MethodGet, path: at, out: &out})
	return out.Functions, err
}

// Function returns one function, with its ETag.
func (c *Client) Function(ctx context.Context, app, name string) (Function, error) {
	var out Function
	err := c.do(ctx, request{method: http.MethodGet, path: path("apps", app, "functions", name), out: &out})
	return out, err
}

// Versions lists a function's versions, newest first.
func (c *Client) Versions(ctx context.Context, app, name string) ([]Version, error) {
	var out VersionList
	err := c.do(ctx, request{method: http.MethodGet, path: path("apps", app, "functions", name, "versions"), out: &out})
	return out.Versions, err
}

// Rollback makes an earlier version live; version 0 means the one before what is live.
func (c *Client) Rollback(ctx context.Context, app, name string, version int, options ...Option) (Function, error) {
	var out Function
	err := c.do(ctx, request{method: http.MethodPost, path: path("apps", app, "functions", name, "rollback"),
		in: RollbackRequest{Version: version}, out: &out, options: options})
	return out, err
}

// Alias names a function's alias.
type Alias struct {
	App, Function, Name string
}

func (a Alias) path() string { return path("apps", a.App, "functions", a.Function, "aliases", a.Name) }

// SetAlias makes an alias name these versions. Setting the same twice changes nothing.
func (c *Client) SetAlias(ctx context.Context, a Alias, weights []registry.Weight, options ...Option) (Function, error) {
	var out Function
	err := c.do(ctx, request{method: http.MethodPut, path: a.path(), in: AliasRequest{Weights: weights}, out: &out, options: options})
	return out, err
}

// RemoveAlias removes an alias; live cannot be removed.
func (c *Client) RemoveAlias(ctx context.Context, a Alias, options ...Option) error {
	return c.do(ctx, request{method: http.MethodDelete, path: a.path(), options: options})
}

// Remove removes a function with its versions and aliases.
func (c *Client) Remove(ctx context.Context, app, name string, options ...Option) error {
	return c.do(ctx, request{method: http.MethodDelete, path: path("apps", app, "functions", name), options: options})
}

// RemoveAll removes every function of an app and returns their names.
func (c *Client) RemoveAll(ctx context.Context, app string) ([]string, error) {
	var out RemoveResponse
	err := c.do(ctx, request{method: http.MethodDelete, path: path("apps", app, "functions"), out: &out})
	return out.Functions, err
}
