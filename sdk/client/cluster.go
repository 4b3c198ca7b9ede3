package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// States of a member.
const (
	StateAlive   = "alive"
	StateDead    = "dead"    // not heard of; it may come back
	StateStopped = "stopped" // it said that it stops; it may come back
)

// Roles of a member.
const (
	RoleVoter  = "voter"  // its disk counts for what is acknowledged
	RoleReader = "reader" // it has the state and no vote
	RoleJoiner = "joiner" // it is known, and not yet in the group
)

// Member is a node of the cluster.
type Member struct {
	Name    string  `json:"name"`
	ID      string  `json:"id"`
	Role    string  `json:"role"` // RoleVoter, RoleReader, RoleJoiner
	Leader  bool    `json:"leader"`
	State   string  `json:"state"`   // StateAlive, StateDead, StateStopped
	HTTP    string  `json:"http"`    // data plane's address
	Admin   string  `json:"admin"`   // admin plane's address
	Cluster string  `json:"cluster"` // gossip's address
	Region  string  `json:"region"`
	Version string  `json:"version"`
	RTTMS   float64 `json:"rtt_ms"` // estimated round trip from the node that answers; 0: itself, or not known yet
	Self    bool    `json:"self"`   // the node that answers
}

// MemberList is the response that lists members, the node that answers first, then by name.
type MemberList struct {
	Members []Member `json:"members"`
}

// ClusterStatus is the cluster as one node sees it.
type ClusterStatus struct {
	ID       string `json:"id"`     // of the cluster
	Node     string `json:"node"`   // id of the node that answers
	Leader   string `json:"leader"` // id of the leader; empty: none is known
	Quorum   bool   `json:"quorum"` // writes can be acknowledged
	Voters   int    `json:"voters"`
	Readers  int    `json:"readers"`
	Alive    int    `json:"alive"` // members that are heard of
	Term     uint64 `json:"term"`
	Commit   uint64 `json:"commit"`  // newest entry known to be on a majority
	Applied  uint64 `json:"applied"` // newest entry in this node's state
	Level    int    `json:"level"`   // feature level in effect
	Keyring  string `json:"keyring"` // names the gossip keys this node uses
	Root     string `json:"root"`    // names the root that has issued its certificate
	Ready    bool   `json:"ready"`
	NotReady string `json:"not_ready,omitempty"` // why it is not ready
}

// Secret is something that nodes know each other by.
type Secret string

// Secrets.
const (
	SecretKeys      Secret = "keys"      // of gossip
	SecretAuthority Secret = "authority" // whose certificates nodes have
)

// RotateRequest asks for a new secret.
type RotateRequest struct {
	Secret Secret `json:"secret"`
}

// InviteRequest asks for a join token.
type InviteRequest struct {
	TTLSeconds int64  `json:"ttl_seconds,omitempty"` // how long it is good for; 0: an hour
	Role       string `json:"role,omitempty"`        // RoleVoter, which is the default, or RoleReader
}

// Invite is a join token: one node may join with it, once.
type Invite struct {
	Token   string    `json:"token"`
	Role    string    `json:"role"`
	Expires time.Time `json:"expires_at"`
	// Note says what limits the token, as that only this machine reaches the addresses in it.
	Note string `json:"note,omitempty"`
}

// Cluster returns the cluster as the node sees it.
func (c *Client) Cluster(ctx context.Context) (ClusterStatus, error) {
	var out ClusterStatus
	err := c.do(ctx, request{method: http.MethodGet, path: path("cluster"), out: &out})
	return out, err
}

// Members lists the nodes of the cluster.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var out MemberList
	err := c.do(ctx, request{method: http.MethodGet, path: path("cluster", "members"), out: &out})
	return out.Members, err
}

// Invite makes a join token. Only an admin may.
func (c *Client) Invite(ctx context.Context, r InviteRequest) (Invite, error) {
	var out Invite
	err := c.do(ctx, request{method: http.MethodPost, path: path("cluster", "invites"), in: r, out: &out})
	return out, err
}

// RemoveMember removes a node that is gone for good: it cannot come back under its id. One that lives answers
// abi.Conflict.
func (c *Client) RemoveMember(ctx context.Context, id string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: path("cluster", "members", id)})
}

// Leave has the node leave its cluster: it hands over what it leads and is removed. It goes on serving what it has
// until it is stopped.
func (c *Client) Leave(ctx context.Context) error {
	return c.do(ctx, request{method: http.MethodPost, path: path("cluster", "leave")})
}

// Rotate replaces a secret of the cluster on all nodes, while they go on, and returns when it is done. One that was left
// half done, since a node did not follow, goes on with the next.
func (c *Client) Rotate(ctx context.Context, s Secret) error {
	return c.do(ctx, request{method: http.MethodPost, path: path("cluster", "rotate"), in: RotateRequest{Secret: s}})
}

// Backup writes the cluster's state, as it is at one moment, and its modules to w, and returns how many bytes. A backup
// that is cut off ends with an error here and is refused by sett cluster restore.
func (c *Client) Backup(ctx context.Context, w io.Writer) (bytes int64, err error) {
	req, err := c.newRequest(ctx, request{method: http.MethodGet, path: path("cluster", "backup")}, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", "application/octet-stream, application/problem+json")
	res, err := c.send(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if bytes, err = io.Copy(w, res.Body); err != nil {
		return bytes, newError(abi.Unavailable, 0, fmt.Errorf("node %s: backup cut off: %w", c.Node(), err))
	}
	return bytes, nil
}
