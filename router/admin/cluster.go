package admin

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// Limits of an invite's life.
const (
	defaultInviteTTL = time.Hour
	minInviteTTL     = time.Second
	maxInviteTTL     = 7 * 24 * time.Hour // a longer one gives a token that leaks more time to be used
)

// maxNodeID is the length of a node's id, 16 hexadecimal digits.
const maxNodeID = 16

// Cluster is the nodes together. Errors are coded.
type Cluster interface {
	Status() client.ClusterStatus
	Members() []client.Member
	Invite(ctx context.Context, role string, ttl time.Duration) (client.Invite, error)
	// RemoveMember forgets a node that is gone; abi.Conflict for one that lives.
	RemoveMember(ctx context.Context, id string) error
	Leave(ctx context.Context) error
	Rotate(ctx context.Context, s client.Secret) error
	// Rollout says how far a version is on all nodes, this one first, or on this one.
	Rollout(ctx context.Context, v client.VersionName, local client.LocalOnly) []client.NodeVersion
}

// Backuper writes the cluster's state and modules.
type Backuper interface {
	Backup(ctx context.Context, w io.Writer) error
}

func (a *Admin) clusterRoutes() map[string]route {
	routes := a.needing(a.config.Cluster != nil, "has no cluster", map[string]route{
		"GET /v1/cluster":                 {admins, a.clusterStatus},
		"GET /v1/cluster/members":         {anyone, a.listMembers},
		"DELETE /v1/cluster/members/{id}": {admins, a.removeMember},
		"POST /v1/cluster/invites":        {admins, a.invite},
		"POST /v1/cluster/leave":          {admins, a.leave},
		"POST /v1/cluster/rotate":         {admins, a.rotate},

		"GET /v1/apps/{app}/functions/{function}/versions/{version}/nodes": {ofApp, a.rollout},
	})
	maps.Copy(routes, a.needing(a.config.Backuper != nil, "makes no backups", map[string]route{
		"GET /v1/cluster/backup": {admins, a.backup},
	}))
	return routes
}

func (a *Admin) rollout(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "local")
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(r.PathValue("version"))
	if err != nil || number < 1 {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("version %.40q: it is a number from 1", r.PathValue("version")))
	}
	v := client.VersionName{App: r.PathValue("app"), Function: r.PathValue("function"), Version: number}
	local := client.LocalOnly(q.flag("local"))
	if q.err != nil {
		return q.err
	}
	return answer(w, http.StatusOK, client.Rollout{Nodes: a.config.Cluster.Rollout(r.Context(), v, local)})
}

func (a *Admin) clusterStatus(w http.ResponseWriter, _ *http.Request, _ caller) error {
	return answer(w, http.StatusOK, a.config.Cluster.Status())
}

func (a *Admin) listMembers(w http.ResponseWriter, _ *http.Request, _ caller) error {
	return answer(w, http.StatusOK, client.MemberList{Members: a.config.Cluster.Members()})
}

func (a *Admin) invite(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.InviteRequest
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	ttl := defaultInviteTTL
	if ask.TTLSeconds != 0 {
		ttl = time.Duration(min(max(ask.TTLSeconds, -1), int64(maxInviteTTL/time.Second)+1)) * time.Second
	}
	if ttl < minInviteTTL || ttl > maxInviteTTL {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("ttl_seconds %d: it is between %d and %d",
			ask.TTLSeconds, minInviteTTL/time.Second, maxInviteTTL/time.Second))
	}
	switch ask.Role {
	case "":
		ask.Role = client.RoleVoter
	case client.RoleVoter, client.RoleReader:
	default:
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("role %.40q: it is %s or %s", ask.Role, client.RoleVoter, client.RoleReader))
	}
	invite, err := a.config.Cluster.Invite(r.Context(), ask.Role, ttl)
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, invite)
}

func (a *Admin) removeMember(w http.ResponseWriter, r *http.Request, _ caller) error {
	id := r.PathValue("id")
	if len(id) > maxNodeID {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("id %.40q: longer than a node's id", id))
	}
	return done(w, a.config.Cluster.RemoveMember(r.Context(), id))
}

func (a *Admin) leave(w http.ResponseWriter, r *http.Request, _ caller) error {
	return done(w, a.config.Cluster.Leave(r.Context()))
}

func (a *Admin) rotate(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.RotateRequest
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	if ask.Secret != client.SecretKeys && ask.Secret != client.SecretAuthority {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("secret %.40q: it is %s or %s", ask.Secret, client.SecretKeys, client.SecretAuthority))
	}
	return done(w, a.config.Cluster.Rotate(r.Context(), ask.Secret))
}

// backup streams; an error after the first bytes cuts the connection, so that nobody takes half a backup for a whole.
func (a *Admin) backup(w http.ResponseWriter, r *http.Request, _ caller) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &steady{w, http.NewResponseController(w), a.limits.Stall}
	defer func() { setWriteDeadline(out.control, out.stall) }() // for the stream's end
	return a.config.Backuper.Backup(r.Context(), out)
}

// steady lets a long answer take long, as long as its reader goes on reading.
type steady struct {
	w       io.Writer
	control *http.ResponseController
	stall   time.Duration
}

// Write begins the reader's time anew: what is written next may be long in coming, which is no fault of the reader's.
func (s *steady) Write(b []byte) (int, error) {
	setWriteDeadline(s.control, s.stall)
	return s.w.Write(b)
}
