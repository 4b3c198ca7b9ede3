package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/cluster/trust"
	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// TestJoinOfAnOldBuild is refused with what to do, before the token is used.
func TestJoinOfAnOldBuild(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	err := n.accept(t.Context(), trust.Request{Version: "0.0.1", Level: kv.Level - 1})
	if abi.CodeOf(err) != abi.Conflict || !strings.Contains(err.Error(), "upgrade it before it joins") {
		t.Errorf("accept() of a build that knows a lower level = %v, want a conflict that says to upgrade", err)
	}
	if err := n.accept(t.Context(), trust.Request{Level: kv.Level + 1}); err != nil {
		t.Errorf("accept() of a newer build = %v", err)
	}
}

// TestJoinWithAStore is refused: what is in the directory would be lost.
func TestJoinWithAStore(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	invite, err := a.Invite(t.Context(), client.RoleVoter, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n := start(t, dir)
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, clusterDir)); err != nil { // as of a node from before there were clusters
		t.Fatal(err)
	}
	config := Config{Data: dir, HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Cluster: "127.0.0.1:0", Join: invite.Token}
	if n, err := Start(t.Context(), config); err == nil {
		n.Close(t.Context())
		t.Error("Start() to join with a store of its own = nil, want it refused")
	} else if !strings.Contains(err.Error(), "holds a store of its own") {
		t.Errorf("Start() to join with a store of its own = %v", err)
	}
	config.Join = ""
	again, err := Start(t.Context(), config)
	if err != nil {
		t.Fatalf("Start() afterwards = %v", err)
	}
	if authority, _, err := again.den.records.Authority(t.Context(), op.Read{}); err != nil || again.den.identity.IssuedBy(authority) != nil {
		t.Errorf("the store's authority is not the node's: %v", err)
	}
	again.Close(t.Context())
}

// TestRestartWithoutQuorum has a node whose group has no majority answer from what it has, and say that it is not
// ready.
func TestRestartWithoutQuorum(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	b, c := join(t, a, "b"), join(t, a, "c")
	await(t, "all three vote", func() bool { return c.Status().Voters == 3 })
	d := deploy(t, a, "hello", wasmtest.Answer("one"))
	k := versionKey{"default", "hello", d.Version}
	await(t, "c runs the function", func() bool {
		return c.waiting.on(k) == nil && c.registry.Snapshot().Function("default", "hello") != nil
	})
	for _, n := range []*Node{a, b, c} {
		if err := n.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	again := start(t, c.config.Data)
	if got, want := get(t, again, "/hello"), "200 OK one"; got != want {
		t.Errorf("GET /hello without a majority = %q, want %q", got, want)
	}
	if err := again.Ready(); err == nil {
		t.Error("Ready() without a majority = nil, want why not")
	}
	if s := again.Status(); s.Quorum || s.Voters != 3 || s.Ready {
		t.Errorf("Status() without a majority = %+v", s)
	}
}
