package registry

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"pgregory.net/rapid"
)

// digest answers a valid digest that differs by n.
func digest(n int) string { return fmt.Sprintf("%064x", n) }

func command(n int) Module { return Module{Digest: digest(n), SizeBytes: 1, Kind: KindCommand} }

// history deploys modules 1 to n to function f.
func history(n int) Function {
	f := Function{App: "default", Name: "f"}
	for i := range n {
		f, _ = f.deploy(Change{Name: "f", Module: command(i + 1)}, time.Unix(int64(i), 0))
	}
	return f
}

func TestTransitions(t *testing.T) {
	w := func(pairs ...int) (ws []Weight) {
		for i := 0; i < len(pairs); i += 2 {
			ws = append(ws, Weight{pairs[i], pairs[i+1]})
		}
		return ws
	}
	alias := func(name string, ws []Weight) func(Function) (Function, error) {
		return func(f Function) (Function, error) { return f.setAlias(name, ws) }
	}
	rollback := func(n int) func(Function) (Function, error) {
		return func(f Function) (Function, error) { return f.rollback(n) }
	}
	remove := func(name string) func(Function) (Function, error) {
		return func(f Function) (Function, error) { return f.removeAlias(name) }
	}
	full := history(1)
	for i := range MaxAliases - 1 {
		full, _ = full.setAlias(fmt.Sprintf("a-%d", i), w(1, 1))
	}
	for _, c := range []struct {
		name string
		from Function
		do   func(Function) (Function, error)
		live string // weights of live afterwards
		kept string
		code abi.Code
		want string // in the error
	}{
		{"back one", history(3), rollback(0), "2=100", "1, 2, 3", "", ""},
		{"back to one", history(3), rollback(1), "1=100", "1, 2, 3", "", ""},
		{"back to live", history(3), rollback(3), "3=100", "1, 2, 3", "", ""},
		{"nothing before", history(1), rollback(0), "", "", abi.NotFound, "function f: no version before 1 is kept"},
		{"back to unknown", history(2), rollback(7), "", "", abi.NotFound, "function f has no version 7; it has 1, 2"},
		{"back to negative", history(2), rollback(-1), "", "", abi.NotFound, "no version -1"},
		{"split", history(3), alias("live", w(2, 10, 3, 90)), "3=90 2=10", "1, 2, 3", "", ""},
		{"even split by number", history(3), alias("live", w(3, 50, 1, 50)), "1=50 3=50", "1, 2, 3", "", ""},
		{"other alias", history(2), alias("canary", w(1, 1)), "2=100", "1, 2", "", ""},
		{"retired is gone", history(13), rollback(2), "", "", abi.NotFound, "no version 2; it has 3, 4"},
		{"retention", history(13), rollback(0), "12=100", "3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13", "", ""},
		{"no weights", history(1), alias("a", nil), "", "", abi.InvalidInput, "alias a: names no version; give at least one, such as v1=100"},
		{"weight zero", history(1), alias("a", w(1, 0)), "", "", abi.InvalidInput, "weight 0 of version 1 is not between 1 and 100"},
		{"weight above", history(1), alias("a", w(1, 101)), "", "", abi.InvalidInput, "weight 101"},
		{"twice", history(1), alias("a", w(1, 5, 1, 6)), "", "", abi.InvalidInput, "version 1 is named twice"},
		{"unknown version", history(1), alias("a", w(9, 5)), "", "", abi.NotFound, "alias a: function f has no version 9"},
		{"alias name", history(1), alias("v1", w(1, 5)), "", "", abi.InvalidInput, "reads as a version"},
		{"aliases full", full, alias("one-more", w(1, 5)), "", "", abi.TooLarge, "has 32 aliases"},
		{"aliases full, known one", full, alias("a-0", w(1, 5)), "1=100", "1", "", ""},
		{"remove live", history(1), remove("live"), "", "", abi.InvalidInput, "alias live always exists"},
		{"remove unknown", history(1), remove("a"), "", "", abi.NotFound, `has no alias "a"`},
	} {
		before := fmt.Sprint(c.from)
		got, err := c.do(c.from)
		if fmt.Sprint(c.from) != before {
			t.Errorf("%s: the function it started from changed", c.name)
		}
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || abi.CodeOf(err) != c.code {
				t.Errorf("%s: %v (%s), want %q (%s)", c.name, err, abi.CodeOf(err), c.want, c.code)
			}
			continue
		}
		var live []string
		for _, x := range got.Aliases["live"] {
			live = append(live, fmt.Sprintf("%d=%d", x.Version, x.Weight))
		}
		if err != nil || strings.Join(live, " ") != c.live || got.numbers() != c.kept {
			t.Errorf("%s: live %v, versions %s, %v, want %s, %s", c.name, live, got.numbers(), err, c.live, c.kept)
		}
	}
}

func TestDeployTransition(t *testing.T) {
	f := history(2)
	same, d := f.deploy(Change{Name: "f", Module: command(2), Settings: Settings{MemoryMB: DefaultMemoryMB}}, time.Now())
	if !d.Unchanged || d.Number != 2 || !reflect.DeepEqual(same, f) {
		t.Errorf("deploy of what is live = %+v, want version 2 unchanged", d)
	}
	if _, d = f.deploy(Change{Name: "f", Module: command(2), Settings: Settings{MemoryMB: 1}}, time.Now()); d.Unchanged || d.Number != 3 {
		t.Errorf("deploy with other settings = %+v, want version 3", d)
	}
	if _, d = f.deploy(Change{Name: "f", Module: command(1)}, time.Now()); d.Unchanged || d.Number != 3 {
		t.Errorf("deploy of an older module = %+v, want version 3", d)
	}
	back, err := f.rollback(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, d = back.deploy(Change{Name: "f", Module: command(2)}, time.Now()); d.Unchanged || d.Number != 3 {
		t.Errorf("deploy after rollback = %+v, want version 3: numbers are not given twice", d)
	}
	split, err := f.setAlias("live", []Weight{{2, 99}, {1, 1}})
	if err != nil {
		t.Fatal(err)
	}
	next, d := split.deploy(Change{Name: "f", Module: command(2)}, time.Now())
	if d.Unchanged || len(next.Live()) != 1 || next.Live()[0].Number != 3 {
		t.Errorf("deploy over a split = %+v, live %v, want all of live on version 3", d, next.Aliases)
	}
}

// TestRulesHold runs random transitions: the record keeps its rules and older copies stay as they were.
func TestRulesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := history(1)
		number := rapid.IntRange(0, 30)
		names := rapid.SampledFrom([]string{"live", "a", "b"})
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			before, text := f, fmt.Sprint(f)
			var next Function
			var err error
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				next, _ = f.deploy(Change{Name: "f", Module: command(number.Draw(t, "module"))}, time.Unix(0, 0))
			case 2:
				next, err = f.rollback(number.Draw(t, "to"))
			case 3:
				next, err = f.setAlias(names.Draw(t, "alias"), []Weight{{number.Draw(t, "v"), 1}, {number.Draw(t, "v"), 2}})
			case 4:
				next, err = f.removeAlias(names.Draw(t, "alias"))
			}
			if fmt.Sprint(before) != text {
				t.Fatal("a transition changed the function it started from")
			}
			if err != nil {
				continue
			}
			f = next
			named := map[int]bool{}
			for _, ws := range f.Aliases {
				for _, w := range ws {
					named[w.Version] = true
				}
			}
			if err := f.check(); err != nil || len(f.Versions) > Retained+len(named) || f.Latest < before.Latest {
				t.Fatalf("after %s: %d versions, %d named, %v", text, len(f.Versions), len(named), err)
			}
		}
	})
}
