package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// States of a version on a node.
const (
	VersionServing = "serving" // requests run there
	VersionLoading = "loading" // it is known, and being fetched or compiled; requests go to another node until then
	VersionAbsent  = "absent"  // it is not known there yet
	VersionSilent  = "silent"  // the node does not answer
)

// NodeVersion is how far a version is on a node.
type NodeVersion struct {
	Node          string `json:"node"`                     // name
	ID            string `json:"id"`                       // of the node
	State         string `json:"state"`                    // VersionServing, VersionLoading, VersionAbsent, VersionSilent
	ReceivedBytes int64  `json:"received_bytes,omitempty"` // of the module, while it is fetched
}

// Rollout is the response that says how far a version is on each node, the one that answers first.
type Rollout struct {
	Nodes []NodeVersion `json:"nodes"`
}

// Rollout returns how far a version is on all nodes, or with local on the one that is asked.
func (c *Client) Rollout(ctx context.Context, v VersionName, local LocalOnly) ([]NodeVersion, error) {
	query := url.Values{}
	if local {
		query.Set("local", "true")
	}
	var out Rollout
	err := c.do(ctx, request{method: http.MethodGet, query: query, out: &out,
		path: path("apps", v.App, "functions", v.Function, "versions", strconv.Itoa(v.Version), "nodes")})
	return out.Nodes, err
}

// LocalOnly asks one node for its own part of an answer.
type LocalOnly bool

// VersionName names a version of a function.
type VersionName struct {
	App, Function string
	Version       int
}
