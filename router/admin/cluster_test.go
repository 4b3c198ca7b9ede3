package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// den is a cluster of one node whose backups hold text.
type den struct {
	invited time.Duration
	role    string
	removed string
	left    int
	rotated client.Secret
	text    string
	broken  error // after the text
	stuck   bool  // nothing can be written
}

func (d *den) Status() client.ClusterStatus {
	return client.ClusterStatus{ID: "c1", Node: "n1", Leader: "n1", Quorum: true, Voters: 1, Alive: 1, Ready: true}
}

func (d *den) Members() []client.Member {
	return []client.Member{{Name: "one", ID: "n1", Role: client.RoleVoter, Leader: true, State: client.StateAlive, Self: true}}
}

func (d *den) Invite(ctx context.Context, role string, ttl time.Duration) (client.Invite, error) {
	if d.stuck {
		<-ctx.Done()
		return client.Invite{}, abi.WithCode(abi.Unavailable, ctx.Err())
	}
	d.invited, d.role = ttl, role
	return client.Invite{Token: "sett-join-1.x", Role: role, Expires: time.Now().Add(ttl)}, nil
}

func (d *den) RemoveMember(_ context.Context, id string) error {
	if id == "n1" {
		return abi.WithCode(abi.Conflict, errors.New("it lives"))
	}
	d.removed = id
	return nil
}

func (d *den) Leave(context.Context) error { d.left++; return nil }

func (d *den) Rotate(_ context.Context, s client.Secret) error { d.rotated = s; return nil }

func (d *den) Backup(_ context.Context, w io.Writer) error {
	if d.text != "" {
		if _, err := io.WriteString(w, d.text); err != nil {
			return err
		}
	}
	return d.broken
}

func (d *den) Rollout(_ context.Context, v client.VersionName, local client.LocalOnly) []client.NodeVersion {
	here := client.NodeVersion{Node: "one", ID: "n1", State: client.VersionServing}
	if v.Version > 1 {
		here.State = client.VersionAbsent
	}
	if local {
		return []client.NodeVersion{here}
	}
	return []client.NodeVersion{here, {Node: "two", ID: "n2", State: client.VersionLoading, ReceivedBytes: 7}}
}

func clusterClient(t *testing.T, d *den) *client.Client {
	_, server := newWorld(t).start(t, func(c *Config) { c.Cluster, c.Backuper = d, d })
	return connect(t, server, "")
}

func roundTripCluster(t *testing.T, c *client.Client, d *den) {
	ctx := context.Background()
	if s, err := c.Cluster(ctx); err != nil || s.Node != "n1" || !s.Quorum {
		t.Errorf("Cluster() = %+v, %v", s, err)
	}
	if m, err := c.Members(ctx); err != nil || len(m) != 1 || m[0].Name != "one" {
		t.Errorf("Members() = %+v, %v", m, err)
	}
	if i, err := c.Invite(ctx, client.InviteRequest{}); err != nil || i.Token == "" || d.invited != time.Hour || d.role != client.RoleVoter {
		t.Errorf("Invite() = %+v, %v for %v as %s, want an hour as voter", i, err, d.invited, d.role)
	}
	if _, err := c.Invite(ctx, client.InviteRequest{TTLSeconds: 60, Role: client.RoleReader}); err != nil || d.invited != time.Minute || d.role != client.RoleReader {
		t.Errorf("Invite(60 s, reader): %v for %v as %s", err, d.invited, d.role)
	}
	if err := c.RemoveMember(ctx, "n2"); err != nil || d.removed != "n2" {
		t.Errorf("RemoveMember(n2): %v, removed %q", err, d.removed)
	}
	if err := c.RemoveMember(ctx, "n1"); abi.CodeOf(err) != abi.Conflict {
		t.Errorf("RemoveMember of a living node: %v, want a conflict", err)
	}
	if err := c.Leave(ctx); err != nil || d.left != 1 {
		t.Errorf("Leave(): %v, left %d times", err, d.left)
	}
	if err := c.Rotate(ctx, client.SecretKeys); err != nil || d.rotated != client.SecretKeys {
		t.Errorf("Rotate(keys): %v, rotated %q", err, d.rotated)
	}
	v := client.VersionName{App: "default", Function: "hello", Version: 2}
	if nodes, err := c.Rollout(ctx, v, false); err != nil || len(nodes) != 2 || nodes[0].State != client.VersionAbsent || nodes[1].ReceivedBytes != 7 {
		t.Errorf("Rollout() = %+v, %v", nodes, err)
	}
	if nodes, err := c.Rollout(ctx, v, true); err != nil || len(nodes) != 1 {
		t.Errorf("Rollout(local) = %+v, %v", nodes, err)
	}
	var out bytes.Buffer
	if n, err := c.Backup(ctx, &out); err != nil || n != 5 || out.String() != "state" {
		t.Errorf("Backup() = %d, %v, %q", n, err, out.String())
	}
}

func TestInviteRefuses(t *testing.T) {
	c := clusterClient(t, &den{})
	if _, err := c.Rollout(context.Background(), client.VersionName{App: "default", Function: "f"}, false); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("Rollout of version 0: %v, want invalid input", err)
	}
	for _, r := range []client.InviteRequest{{TTLSeconds: -1}, {TTLSeconds: 1 << 62}, {TTLSeconds: 7*24*3600 + 1}, {Role: "king"}} {
		if i, err := c.Invite(context.Background(), r); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("Invite(%+v) = %+v, %v, want invalid input", r, i, err)
		}
	}
	if err := c.Rotate(context.Background(), "king"); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("Rotate(king): %v, want invalid input", err)
	}
	if err := c.RemoveMember(context.Background(), "12345678901234567"); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("RemoveMember of a long id: %v, want invalid input", err)
	}
}

// TestTimeOfACall has a call that waits for a leader end.
func TestTimeOfACall(t *testing.T) {
	d := &den{stuck: true}
	_, server := newWorld(t).start(t, func(c *Config) { c.Cluster, c.Limits.Time = d, 10*time.Millisecond })
	if _, err := connect(t, server, "").Invite(t.Context(), client.InviteRequest{}); abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("Invite() without a leader = %v, want unavailable", err)
	}
}

func TestBackupCutOff(t *testing.T) {
	broken := errors.New("disk")
	for _, text := range []string{"", "half a backup"} {
		c := clusterClient(t, &den{text: text, broken: broken})
		if n, err := c.Backup(context.Background(), io.Discard); err == nil {
			t.Errorf("Backup broken after %d bytes = %d, nil, want an error", len(text), n)
		}
	}
}

func TestNoCluster(t *testing.T) {
	_, server := newWorld(t).start(t, nil)
	c, ctx := connect(t, server, ""), context.Background()
	_, status := c.Cluster(ctx)
	_, members := c.Members(ctx)
	_, invite := c.Invite(ctx, client.InviteRequest{})
	_, backup := c.Backup(ctx, io.Discard)
	_, top := c.Top(ctx, false)
	_, invocations := c.Invocations(ctx, client.InvocationQuery{})
	for _, err := range []error{top, invocations, status, members, invite, backup, c.RemoveMember(ctx, "n1"), c.Leave(ctx), c.Rotate(ctx, client.SecretKeys)} {
		if abi.CodeOf(err) != abi.Unsupported {
			t.Errorf("without a cluster: %v, want unsupported", err)
		}
	}
}

// searching is a den whose backups come with long pauses, as while it asks other nodes for what it has not got.
type searching struct{ *den }

func (d searching) Backup(_ context.Context, w io.Writer) error {
	for _, piece := range []string{"sta", "te"} {
		if _, err := io.WriteString(w, strings.Repeat(piece, 4<<10)); err != nil { // more than net/http keeps
			return err
		}
		time.Sleep(4 * defaultStallTimeout)
	}
	return nil
}

// TestBackupThatTakesLong holds that the time of a reader who stalls is not that of a node which has nothing to tell.
func TestBackupThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t).config()
		c.Cluster, c.Backuper = &den{}, searching{}
		conn, end := piped(t, c)
		if _, err := io.WriteString(conn, "GET /v1/cluster/backup HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(res.Body); err != nil || len(text) != 5*4<<10 {
			t.Errorf("backup: %d bytes, %v; want all %d", len(text), err, 5*4<<10)
		}
		end()
	})
}
