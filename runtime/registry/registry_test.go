package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// memory is a Store for tests. Fault, when set, is asked before each commit.
type memory struct {
	op.Memory
	fault func() error
}

func newMemory() *memory { return &memory{} }

func (m *memory) Commit(ctx context.Context, t op.Txn) (op.Result, error) {
	if m.fault != nil {
		if err := m.fault(); err != nil {
			return op.Result{}, err
		}
	}
	return m.Memory.Commit(ctx, t)
}

var background = context.Background()

func openRegistry(t testing.TB, m *memory) *Registry {
	t.Helper()
	r, err := Open(background, m)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	return r
}

// change makes a Change of function name to module n with routes.
func changeOf(name string, n int, routes ...string) Change {
	c := Change{Name: name, Module: command(n)}
	for _, r := range routes {
		c.Settings.Routes = append(c.Settings.Routes, Route{Pattern: r})
	}
	return c
}

func mustDeploy(t testing.TB, r *Registry, app string, changes ...Change) []Deployed {
	t.Helper()
	d, err := r.Deploy(background, app, changes)
	if err != nil {
		t.Fatalf("Deploy(%s, %v) = %v", app, changes, err)
	}
	return d
}

// state shows all functions as a line: app/name latest live.
func state(s *Snapshot) string {
	var parts []string
	for _, f := range s.Functions() {
		live := []string{}
		for _, w := range f.Aliases[LiveAlias] {
			live = append(live, fmt.Sprintf("%d=%d", w.Version, w.Weight))
		}
		parts = append(parts, fmt.Sprintf("%s/%s@%d[%s]", f.App, f.Name, f.Latest, strings.Join(live, " ")))
	}
	return strings.Join(parts, " ")
}

func TestLifecycle(t *testing.T) {
	m := newMemory()
	r := openRegistry(t, m)
	d := mustDeploy(t, r, "default", changeOf("b", 1), changeOf("a", 2, "/x"))
	if d[0].Function != "b" || d[0].Number != 1 || d[0].Settings.MemoryMB != DefaultMemoryMB || d[1].Unchanged || d[0].Created.IsZero() {
		t.Errorf("Deploy = %+v", d)
	}
	mustDeploy(t, r, "shop", changeOf("a", 3))
	mustDeploy(t, r, "default", changeOf("a", 4, "/x"), changeOf("b", 1))
	old := r.Snapshot()
	const before = "default/a@2[2=100] default/b@1[1=100] shop/a@1[1=100]"
	if state(old) != before {
		t.Errorf("after deploys: %s", state(old))
	}
	if f, err := r.Rollback(background, "default", "a", 0); err != nil || f.Live()[0].Number != 1 {
		t.Errorf("Rollback = %+v, %v", f, err)
	}
	if f, err := r.SetAlias(background, "default", "a", "canary", []Weight{{1, 1}, {2, 3}}); err != nil || f.Aliases["canary"][0] != (Weight{2, 3}) {
		t.Errorf("SetAlias = %+v, %v", f, err)
	}
	if err := r.Remove(background, "shop", []string{"a"}); err != nil {
		t.Errorf("Remove = %v", err)
	}
	const after = "default/a@2[1=100] default/b@1[1=100]"
	if state(r.Snapshot()) != after || state(old) != before {
		t.Errorf("now %s, the old snapshot %s", state(r.Snapshot()), state(old))
	}
	if got := openRegistry(t, m).Snapshot(); state(got) != after || got.Generation() != r.Snapshot().Generation() {
		t.Errorf("reopened: %s", state(got))
	}
	if f, err := r.RemoveAlias(background, "default", "a", "canary"); err != nil || len(f.Aliases) != 1 {
		t.Errorf("RemoveAlias = %+v, %v", f, err)
	}
	if got, want := r.Snapshot().Modules(), map[string]int64{digest(1): 1, digest(2): 1, digest(4): 1}; !maps.Equal(got, want) {
		t.Errorf("Modules = %v, want %v", got, want)
	}
	if err := r.Remove(background, "default", nil); err != nil || len(r.Snapshot().Functions()) != 0 {
		t.Errorf("Remove of all = %v, left %s", err, state(r.Snapshot()))
	}
	if d := mustDeploy(t, r, "default", changeOf("a", 1)); d[0].Number != 1 {
		t.Errorf("number after removal = %d, want 1", d[0].Number)
	}
}

func TestNothingChangesNothing(t *testing.T) {
	m := newMemory()
	r := openRegistry(t, m)
	mustDeploy(t, r, "default", changeOf("a", 1, "/a"))
	m.fault = func() error { t.Error("a transaction was committed"); return nil }
	s := r.Snapshot()
	if d := mustDeploy(t, r, "default", changeOf("a", 1, "/a")); !d[0].Unchanged || d[0].Number != 1 {
		t.Errorf("Deploy of what is live = %+v", d)
	}
	if _, err := r.Rollback(background, "default", "a", 1); err != nil {
		t.Error(err)
	}
	if err := r.Remove(background, "empty", nil); err != nil {
		t.Error(err)
	}
	if changed, err := r.Refresh(background); changed || err != nil || r.Snapshot() != s {
		t.Errorf("Refresh = %v, %v", changed, err)
	}
}

func TestResolve(t *testing.T) {
	r := openRegistry(t, newMemory())
	for n := range 3 {
		mustDeploy(t, r, "default", changeOf("a", n))
	}
	if _, err := r.SetAlias(background, "default", "a", "live", []Weight{{1, 10}, {3, 90}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ app, name, qualifier, want string }{
		{"default", "a", "", "3=90 1=10"}, {"default", "a", "live", "3=90 1=10"}, {"default", "a", "2", "2=100"}, {"default", "a", "v2", "2=100"},
		{"default", "a", "v4", `function a has no alias or version "v4"`}, {"default", "a", "0", "no alias or version"},
		{"default", "a", "canary", "no alias or version"}, {"default", "b", "", `function b in app default: no such function`},
		{"shop", "a", "", "no such function"}, {"default", "a", "v", "no alias or version"}, {"default", "a", "99999999999999999999", "no alias"},
	} {
		targets, err := r.Snapshot().Resolve(c.app, c.name, c.qualifier)
		var got []string
		for _, x := range targets {
			got = append(got, fmt.Sprintf("%d=%d", x.Version.Number, x.Weight))
		}
		if err != nil {
			got = []string{err.Error()}
			if abi.CodeOf(err) != abi.NotFound {
				t.Errorf("Resolve(%s) has code %s", c.qualifier, abi.CodeOf(err))
			}
		}
		if g := strings.Join(got, " "); !strings.Contains(g, c.want) {
			t.Errorf("Resolve(%s, %s, %q) = %s, want %s", c.app, c.name, c.qualifier, g, c.want)
		}
	}
}

func TestDeployRefuses(t *testing.T) {
	r := openRegistry(t, newMemory())
	sett := func(handler string, patterns ...string) Change {
		return Change{Name: "f", Settings: Settings{Handler: handler}, Module: Module{Digest: digest(1), Kind: KindSett,
			Description: &abi.Description{Handles: []string{"get", "put"}, Patterns: patterns}}}
	}
	many := make([]string, MaxRoutes+1)
	for i := range many {
		many[i] = "/" + strings.Repeat("a", i+1)
	}
	plain := sett("any")
	plain.Module.Description = nil
	for _, c := range []struct {
		name, app string
		changes   []Change
		code      abi.Code // none: accepted
		want      []string
	}{
		{"app", "A/..", []Change{changeOf("f", 1)}, abi.InvalidInput, []string{"app name"}},
		{"names", "default", []Change{changeOf("F!", 1), changeOf("..", 1), changeOf(strings.Repeat("f", 300), 1)}, abi.InvalidInput,
			[]string{`function name "F!"`, `function name ".."`, "(300 bytes)"}},
		{"twice", "default", []Change{changeOf("f", 1), changeOf("f", 2)}, abi.InvalidInput, []string{"function f: named twice"}},
		{"settings of two", "default", []Change{changeOf("f", 1, "x"), changeOf("g", 1, "/{")}, abi.InvalidInput, []string{"function f: route", "function g: route"}},
		{"digest", "default", []Change{{Name: "f", Module: Module{Digest: "ABC", Kind: KindSett}}}, abi.InvalidInput, []string{"module digest"}},
		{"digest upper", "default", []Change{{Name: "f", Module: Module{Digest: strings.Repeat("A", 64), Kind: KindSett}}}, abi.InvalidInput, []string{"lower case"}},
		{"kind", "default", []Change{{Name: "f", Module: Module{Digest: digest(1)}}}, abi.InvalidInput, []string{"module kind"}},
		{"handler", "default", []Change{sett("gte")}, abi.InvalidInput, []string{`handler "gte": the module has none of that name; it has get, put`}},
		{"handler of a command", "default", []Change{{Name: "f", Module: command(1), Settings: Settings{Handler: "get"}}}, abi.InvalidInput, []string{"a command has no handlers"}},
		{"described pattern", "default", []Change{sett("", "GET x")}, abi.InvalidModule, []string{"patterns of the module: route: pattern"}},
		{"described tie", "default", []Change{sett("", "/{a}", "/{b}")}, abi.InvalidModule, []string{"tie"}},
		{"many described", "default", []Change{sett("", many...)}, abi.InvalidModule, []string{"129 patterns"}},
		{"too many", "default", make([]Change, MaxChanges+1), abi.TooLarge, []string{"128 functions at once, at most 127"}},
		{"good handler", "good", []Change{sett("get", "GET x")}, "", nil}, // its patterns do not matter
		{"undescribed", "good", []Change{plain}, "", nil},
		{"none", "good", nil, "", nil},
	} {
		_, err := r.Deploy(background, c.app, c.changes)
		if abi.CodeOf(err) != c.code {
			t.Errorf("%s: Deploy = %v (%s), want %s", c.name, err, abi.CodeOf(err), c.code)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: Deploy = %v, want %q in it", c.name, err, part)
			}
		}
	}
	for name, err := range map[string]error{
		"rollback":     second(r.Rollback(background, "default", "none", 0)),
		"set alias":    second(r.SetAlias(background, "default", "none", "a", []Weight{{1, 1}})),
		"remove alias": second(r.RemoveAlias(background, "default", "none", "a")),
		"remove":       r.Remove(background, "good", []string{"f", "none"}),
	} {
		if abi.CodeOf(err) != abi.NotFound || !strings.Contains(err.Error(), "function none in app ") {
			t.Errorf("%s: %v, want that there is no such function, %s", name, err, abi.NotFound)
		}
	}
	if r.Snapshot().Function("good", "f") == nil {
		t.Error("Remove of one that is there and one that is not removed the first")
	}
}

func second(_ Function, err error) error { return err }

// TestFailedCommitChangesNothing checks that what is shown is what is stored.
func TestFailedCommitChangesNothing(t *testing.T) {
	m := newMemory()
	r := openRegistry(t, m)
	mustDeploy(t, r, "default", changeOf("a", 1))
	before := r.Snapshot()
	broken := errors.New("the disk is gone")
	m.fault = func() error { return broken }
	if _, err := r.Deploy(background, "default", []Change{changeOf("a", 2), changeOf("b", 2)}); !errors.Is(err, broken) || r.Snapshot() != before {
		t.Errorf("Deploy = %v, snapshot %s", err, state(r.Snapshot()))
	}
	m.fault = nil
	if d := mustDeploy(t, r, "default", changeOf("a", 2)); d[0].Number != 2 {
		t.Errorf("version after a failed deploy = %d, want 2", d[0].Number)
	}
}

// TestOtherNodes changes functions on two nodes of one store in turn and at once.
func TestOtherNodes(t *testing.T) {
	m := newMemory()
	a, b := openRegistry(t, m), openRegistry(t, m)
	mustDeploy(t, a, "default", changeOf("f", 1, "/f"))
	if _, err := b.Deploy(background, "default", []Change{changeOf("g", 1, "/f")}); abi.CodeOf(err) != abi.Conflict {
		t.Errorf("a tie with another node's function: %v", err)
	}
	if _, err := b.Rollback(background, "default", "f", 1); err != nil {
		t.Errorf("Rollback of another node's function: %v", err)
	}
	mustDeploy(t, b, "default", changeOf("f", 2, "/f"))
	if changed, err := a.Refresh(background); !changed || err != nil || state(a.Snapshot()) != "default/f@2[2=100]" {
		t.Errorf("Refresh = %v, %v: %s", changed, err, state(a.Snapshot()))
	}
	raced := false
	m.fault = func() error { // another node gets in between planning and commit
		if !raced {
			raced = true
			mustDeploy(t, b, "default", changeOf("f", 3, "/f"))
		}
		return nil
	}
	if d := mustDeploy(t, a, "default", changeOf("f", 4, "/f")); d[0].Number != 4 {
		t.Errorf("version after losing a race = %d, want 4", d[0].Number)
	}
	m.fault = func() error { return op.ErrConflict }
	if _, err := a.Deploy(background, "default", []Change{changeOf("f", 5)}); abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("Deploy that always loses = %v, want %s", err, abi.Unavailable)
	}
}

// TestHammer deploys from several goroutines on two nodes: no version is lost or given twice.
func TestHammer(t *testing.T) {
	m := newMemory()
	nodes := []*Registry{openRegistry(t, m), openRegistry(t, m)}
	const workers, each = 4, 12
	var mu sync.Mutex
	seen := map[int]bool{}
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range each {
				d, err := nodes[w%2].Deploy(background, "default", []Change{changeOf("f", w*each+i+1)})
				for abi.CodeOf(err) == abi.Unavailable {
					d, err = nodes[w%2].Deploy(background, "default", []Change{changeOf("f", w*each+i+1)})
				}
				if err != nil {
					t.Errorf("Deploy = %v", err)
					return
				}
				s := nodes[w%2].Snapshot()
				if live, err := s.Resolve("default", "f", ""); err != nil || len(live) != 1 {
					t.Errorf("Resolve = %v, %v", live, err)
				}
				mu.Lock()
				if seen[d[0].Number] {
					t.Errorf("version %d was given twice", d[0].Number)
				}
				seen[d[0].Number] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if _, err := nodes[0].Refresh(background); err != nil {
		t.Fatal(err)
	}
	if f := nodes[0].Snapshot().Function("default", "f"); f.Latest != workers*each || len(f.Versions) != Retained+1 {
		t.Errorf("after %d deploys: latest %d, %d versions", workers*each, f.Latest, len(f.Versions))
	}
}

func TestOpenRefusesBadRecords(t *testing.T) {
	for name, c := range map[string]struct{ key, value, want string }{
		"no JSON":     {"f/default/a", "{", "read record f/default/a"},
		"other name":  {"f/default/a", `{"app":"default","name":"b","latest":1}`, `it is of function "b"`},
		"no live":     {"f/default/a", `{"app":"default","name":"a","latest":1}`, "there is no alias live"},
		"no version":  {"f/default/a", `{"app":"default","name":"a","latest":1,"aliases":{"live":[{"version":1,"weight":1}]}}`, "has no version 1"},
		"above":       {"f/default/a", `{"app":"default","name":"a","versions":[{"app":"default","function":"a","version":1}]}`, "version 1 stands wrong"},
		"bad pattern": {"f/default/a", record("x"), "position 2: missing path"},
	} {
		m := newMemory()
		if _, err := m.Commit(background, op.Txn{Namespace: op.System, Ops: []op.Op{{Kind: op.Set, Key: c.key, Value: []byte(c.value)}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(background, m); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "open registry: ") {
			t.Errorf("%s: Open = %v, want %q", name, err, c.want)
		}
	}
}

// record is that of function default/a with one version and one route.
func record(route string) string {
	f, _ := Function{App: "default", Name: "a"}.deploy(changeOf("a", 1, route), Version{}.Created)
	b, _ := json.Marshal(f)
	return string(b)
}

// TestRecordTooLarge reaches the limit of a record: older versions go first, and what cannot fit is refused.
func TestRecordTooLarge(t *testing.T) {
	r := openRegistry(t, newMemory())
	large := func(n int) Change {
		c := changeOf("f", n)
		c.Settings.Env = map[string]string{"A": strings.Repeat("\x01", MaxEnvBytes-8)} // six bytes each in JSON
		return c
	}
	for n := range 12 {
		mustDeploy(t, r, "default", large(n))
	}
	f := r.Snapshot().Function("default", "f")
	if len(f.Versions) < 2 || len(f.Versions) >= Retained || f.Latest != 12 || f.Live()[0].Number != 12 {
		t.Errorf("kept versions %s, latest %d", f.numbers(), f.Latest)
	}
	var err error
	for n := 0; err == nil && n < 12; n++ { // name each version by an alias, so that none may go
		mustDeploy(t, r, "default", large(100+n))
		latest := r.Snapshot().Function("default", "f").Latest
		_, err = r.SetAlias(background, "default", "f", fmt.Sprint("a", n), []Weight{{latest, 1}})
		if err == nil {
			_, err = r.Deploy(background, "default", []Change{large(200 + n)})
		}
	}
	if abi.CodeOf(err) != abi.TooLarge || !strings.Contains(err.Error(), "its record has") {
		t.Errorf("a record that cannot fit: %v", err)
	}
}

func TestRemoveMany(t *testing.T) {
	r := openRegistry(t, newMemory())
	for i := range 3 {
		var changes []Change
		for n := range MaxChanges {
			changes = append(changes, changeOf(fmt.Sprintf("f-%d-%d", i, n), 1))
		}
		mustDeploy(t, r, "shop", changes...)
	}
	mustDeploy(t, r, "default", changeOf("stays", 1))
	if err := r.Remove(background, "shop", nil); err != nil || state(r.Snapshot()) != "default/stays@1[1=100]" {
		t.Errorf("Remove = %v, left %.80s", err, state(r.Snapshot()))
	}
}

func FuzzDecodeFunction(f *testing.F) {
	f.Add(record("/a"))
	f.Add(`{"app":"default","name":"a","aliases":{"live":null}}`)
	f.Fuzz(func(t *testing.T, value string) {
		fn, err := decodeFunction("f/default/a", []byte(value))
		if err != nil {
			return
		}
		if _, err := routesOf(fn); err != nil {
			return
		}
		if next, err := fn.rollback(0); err == nil && next.check() != nil {
			t.Fatalf("rollback of %s breaks its rules", value)
		}
	})
}
