package replica

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openAs opens a replica alone under an id. Elections by time take an hour: who leads was elected at once.
func openAs(dir, id string, bootstrap ...Server) (*toy, *Replica, error) {
	m, err := openToy(dir)
	if err != nil {
		return nil, nil, err
	}
	r, err := Open(Config{ID: id, Dir: dir, Machine: m, Pack: toyPack, Bootstrap: bootstrap,
		HeartbeatTimeout: time.Hour, ElectionTimeout: time.Hour,
		limits: limits{snapshotEntries: 50, trailingEntries: 20, segmentBytes: 32 << 10}})
	return m, r, err
}

// mustCount opens a replica under an id, adds one to its counter, which must be want then, and closes it.
func mustCount(t *testing.T, dir, id string, want int64) {
	t.Helper()
	m, r, err := openAs(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, _, err := r.Propose(ctx, []byte(time.Now().Format(time.RFC3339Nano)+" k 1")); err != nil {
		t.Fatal(err)
	}
	if got := m.get("k"); got != want {
		t.Errorf("k = %d, want %d", got, want)
	}
	if l, _ := r.Leader(); l.ID != id {
		t.Errorf("%q leads, want %q", l.ID, id)
	}
	if s := r.Servers(); len(s) != 1 || s[0].ID != id || !s[0].Voter {
		t.Errorf("members %v, want %q alone", s, id)
	}
	if err := r.Joined(ctx); err != nil {
		t.Errorf("joined: %v", err)
	}
}

// fillSole makes a log as a lone node had it, with n entries.
func fillSole(t *testing.T, dir string, n int) {
	t.Helper()
	_, r, err := openAs(dir, SoleID, Server{SoleID, SoleID, true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, _, err := r.Propose(t.Context(), append([]byte(time.Now().Format(time.RFC3339Nano)), " k 1"...)); err != nil {
			t.Fatalf("propose %d: %v", i, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRename opens what a lone node left under another id: with a log from its beginning and behind a snapshot, with
// and without a note of the id.
func TestRename(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"young": 3, "old": 200} {
		for _, noted := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				fillSole(t, dir, n)
				if !noted {
					forgetID(t, dir)
				}
				mustCount(t, dir, "n1", int64(n+1))
				mustCount(t, dir, "n1", int64(n+2))
				for _, other := range []string{SoleID, "n2"} {
					_, _, err := openAs(dir, other)
					if err == nil || !strings.Contains(err.Error(), `"n1"`) || !strings.Contains(err.Error(), `"`+other+`"`) {
						t.Errorf("open as %s: %v, want an error that names both", other, err)
					}
				}
				mustCount(t, dir, "n1", int64(n+3))
			})
		}
	}
}

func forgetID(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, identityFile)); err != nil {
		t.Fatal(err)
	}
}

// TestRenameKilled ends the process between the entry that renames and the note of it.
func TestRenameKilled(t *testing.T) {
	t.Parallel()
	for _, note := range []string{"", `{"id":"sole"}`} {
		dir := t.TempDir()
		fillSole(t, dir, 3)
		mustCount(t, dir, "n1", 4)
		if forgetID(t, dir); note != "" {
			if err := os.WriteFile(filepath.Join(dir, identityFile), []byte(note), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		mustCount(t, dir, "n1", 5)
	}
}

// TestRenameRefused opens the log of a member of several under another id.
func TestRenameRefused(t *testing.T) {
	t.Parallel()
	for _, noted := range []bool{true, false} {
		dir := t.TempDir()
		_, r, err := openAs(dir, SoleID, Server{SoleID, SoleID, true}, Server{"b", "b", true})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if !noted {
			forgetID(t, dir)
		}
		_, _, err = openAs(dir, "n1")
		if err == nil || !strings.Contains(err.Error(), `"n1"`) || !strings.Contains(err.Error(), `"sole"`) {
			t.Errorf("open a member of several: %v, want an error that names both", err)
		}
	}
}

// TestNothingHappened opens an empty log of a lone node under another id.
func TestNothingHappened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, r, err := openAs(dir, SoleID)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, r, err = openAs(dir, "n1"); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestFound has a group begin behind an index, and members without anything join it.
func TestFound(t *testing.T) {
	t.Parallel()
	g := newGroup(t, t.TempDir())
	dir := filepath.Join(g.disk, "a")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := openToy(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.state = toyState{Index: 777, Counters: map[string]int64{"k": 41}, Replies: map[string]string{}}
	if _, err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := Found(dir, Server{ID: "a", Address: "a"}, 777); err != nil {
		t.Fatal(err)
	}
	if err := Found(dir, Server{ID: "a", Address: "a"}, 777); err == nil {
		t.Error("a group was founded over another one")
	}
	g.start("a", g.members(), smallDisk)
	g.mustIncr("a", "k", 42)
	if s := g.replicas["a"].Servers(); len(s) != 1 {
		t.Errorf("members %v, want a alone", s)
	}
	for _, id := range []string{"b", "c"} {
		g.start(id, nil, smallDisk)
		if err := g.replicas["a"].AddVoter(t.Context(), id, id); err != nil {
			t.Fatal(err)
		}
		g.mustRead(id, "k", 42)
		if got := g.machines[id].Applied(); got <= 777 {
			t.Errorf("%s stands at %d, want more than 777", id, got)
		}
	}
	g.stop("a")
	g.mustIncr(g.leader("b", "c"), "k", 43)
	g.start("a", nil, smallDisk)
	g.mustRead("a", "k", 43)
}

func FuzzParseIdentity(f *testing.F) {
	f.Add([]byte(`{"id":"sole"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		i, err := parseIdentity(text)
		if err == nil && (i.ID == "" || len(i.ID) > maxIDBytes) {
			t.Errorf("parseIdentity(%q) = %q", text, i.ID)
		}
	})
}

func TestIdentityLimits(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing": "", "no id": "{}", "a long id": `{"id":"` + strings.Repeat("x", maxIDBytes+1) + `"}`,
		"a long file": `{"id":"a"` + strings.Repeat(" ", maxIdentityBytes) + "}",
	} {
		if _, err := parseIdentity([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if i, err := parseIdentity(bytes.Replace([]byte(`{"id":"?"}`), []byte("?"), bytes.Repeat([]byte("x"), maxIDBytes), 1)); err != nil || len(i.ID) != maxIDBytes {
		t.Errorf("an id of %d bytes: %v", maxIDBytes, err)
	}
}

// TestMembership is what a replica makes of what it hears.
func TestMembership(t *testing.T) {
	t.Parallel()
	with := configurationOf([]Server{{"a", "a", true}, {"b", "b", true}})
	without := configurationOf([]Server{{"b", "b", true}})
	for name, c := range map[string]struct {
		hear            func(m *membership)
		member, removed bool
	}{
		"nothing":               {func(m *membership) {}, false, false},
		"from before it came":   {func(m *membership) { m.agreed(1, without) }, false, false},
		"that it came":          {func(m *membership) { m.agreed(1, without); m.agreed(2, with) }, true, false},
		"that it went":          {func(m *membership) { m.agreed(2, with); m.agreed(3, without) }, false, true},
		"that it came again":    {func(m *membership) { m.agreed(2, with); m.agreed(3, without); m.agreed(4, with) }, true, false},
		"something old":         {func(m *membership) { m.agreed(3, with); m.agreed(2, without) }, true, false},
		"old news from another": {func(m *membership) { m.agreed(3, with); m.told(3) }, true, false},
		"news from another":     {func(m *membership) { m.agreed(3, with); m.told(4) }, true, true},
		"after a restart":       {func(m *membership) { m.agreed(3, without); m.told(3) }, false, true},
		"that it is there":      {func(m *membership) { m.agreed(3, with); m.told(4); m.agreed(5, with) }, true, false},
	} {
		m := newMembership("a")
		c.hear(m)
		if member, removed := m.state(); member != c.member || removed != c.removed {
			t.Errorf("%s: member %v, removed %v, want %v, %v", name, member, removed, c.member, c.removed)
		}
	}
	if index, member := newMembership("a").answer("a"); index != 0 || member {
		t.Errorf("nothing is known: answer %d, %v", index, member)
	}
}
