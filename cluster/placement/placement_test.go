package placement

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// epoch is when tests begin; long is before that by more than DeadFor.
func epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func long() time.Time { return epoch().Add(-time.Hour) }

// parse reads members from words such as "a*", "b.west", "c!", joined by spaces. Behind the id and region: * votes,
// - is not in the group, ! is dead for long, ? is dead since 10 s, ~ lags behind, + lives since 10 s, r is to be a
// reader, d drains, x is gone.
func parse(t *testing.T, text string) (members []Member) {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		name, marks := word, ""
		if i := strings.IndexAny(word, "*-!?~+/"); i >= 0 {
			name, marks = word[:i], word[i:]
		}
		m := Member{InGroup: true, CaughtUp: true, Alive: true, Since: long()}
		m.ID, m.Region, _ = strings.Cut(name, ".")
		for _, mark := range marks {
			switch mark {
			case '*':
				m.Voter = true
			case '-':
				m.InGroup, m.CaughtUp = false, false
			case '!':
				m.Alive = false
			case '?':
				m.Alive, m.Since = false, epoch().Add(-10*time.Second)
			case '~':
				m.CaughtUp = false
			case '+':
				m.Since = epoch().Add(-10 * time.Second)
			case '/':
			case 'r':
				m.Reader = true
			case 'x':
				m.Gone = true
			default:
				t.Fatalf("mark %q", mark)
			}
		}
		members = append(members, m)
	}
	return members
}

func TestNext(t *testing.T) {
	for _, c := range []struct{ name, group, want string }{ // the first is the leader
		{"alone", "a*", "none 10s"},
		{"a second node comes", "a* b-", "add_reader b"},
		{"two are one voter", "a* b", "none 10s"},
		{"a dead node is not added", "a* b-!", "none 10s"},
		{"a node that leaves is not added", "a* b-/x", "none 10s"},
		{"the third makes three", "a* b c", "promote b"},
		{"and goes on", "a* b* c", "promote c"},
		{"not before it has caught up", "a* b c~+", "none 10s"},
		{"nor to two in between", "a* b c~", "none 10s"},
		{"a reader that cannot vote", "a* b c/r", "none 10s"},
		{"four are three voters", "a* b* c* d", "none 10s"},
		{"five are five", "a* b* c* d e", "promote d"},
		{"six are five", "a* b* c* d* e* f", "none 10s"},
		{"over regions", "a.x* b.x c.y d.z", "promote c"},
		{"over regions, then", "a.x* b.x c.y* d.z", "promote d"},
		{"a voter that is dead shortly", "a* b* c*? d", "none 10s"},
		{"a dead voter is replaced by a reader", "a* b* c*! d", "promote d"},
		{"and then demoted", "a* b* c*! d*", "demote c"},
		{"a dead voter without a reader stays", "a* b* c*!", "none 10s"},
		{"a dead reader stays", "a* b!", "none 10s"},
		{"no majority, no change", "a* b*! c*! d e", "none 10s"},
		{"not even of those who are gone", "a* b*!/x", "none 10s"},
		{"a better spread", "a.x* b.x* c.x* d.y", "promote d"},
		{"takes its time", "a.x* b.x* c.x* d.y+", "none 10s"},
		{"and the last of the region goes", "a.x* b.x* c.x* d.y*", "demote c"},
		{"the same region again", "a.x* b.y* c.z*! d.x", "promote d"},
		{"gone", "a* b/x", "remove b"},
		{"a voter is gone", "a* b* c*/x", "remove c"},
		{"then two are one", "a* b*", "demote b"},
		{"a voter is gone, another one comes", "a* b* c*/x d", "promote d"},
		{"then it is removed", "a* b* c*!/x d*", "remove c"},
		{"a voter leaves and another one is nearly there", "a* b* c*/x d~+", "none 10s"},
		{"a voter leaves and another one never comes", "a* b* c*/x d~", "remove c"},
		{"the leader leaves", "a*/x b", "promote b"},
		{"and hands over", "a*/x b*", "transfer a"},
		{"the next leader removes it", "b* a*/x", "remove a"},
		{"the last one stays", "a*/x", "none 10s"},
		{"all are to be readers", "a*/r b*/r c*/r", "demote b"},
		{"an even number", "a* b* c* d*", "demote d"},
		{"of which the dead goes", "a* b*! c* d*", "demote b"},
		{"never below a majority", "a* b* c*! d*! e*", "none 10s"},
		{"four living of six", "a* b* c*! d*! e* f*", "demote d"},
	} {
		g := Group{Members: parse(t, c.group), Now: epoch()}
		g.Leader = g.Members[0].ID
		if got := words(Next(g)); got != c.want {
			t.Errorf("%s: Next(%s) = %q, want %q", c.name, c.group, got, c.want)
		}
	}
}

func words(s Step) string {
	if s.Kind == None {
		return fmt.Sprint(s.Kind, " ", s.Again)
	}
	return fmt.Sprint(s.Kind, " ", s.ID)
}

func TestNobodyLeads(t *testing.T) {
	if s := Next(Group{Members: parse(t, "a* b-"), Now: epoch()}); s.Kind != None {
		t.Errorf("step %v without a leader", s)
	}
}

func TestAgain(t *testing.T) {
	g := Group{Members: parse(t, "a* b* c*? d"), Leader: "a", Now: epoch().Add(15 * time.Second)}
	if s := Next(g); s.Kind != None || s.Again != 5*time.Second {
		t.Errorf("Next = %v, want none for 5s", s)
	}
	g.Now = g.Now.Add(5 * time.Second)
	if s := Next(g); s.Kind != Promote || s.ID != "d" {
		t.Errorf("Next = %v, want promote d", s)
	}
}

// world is a group that does what Next says.
type world struct {
	t *rapid.T
	Group
}

func drawWorld(t *rapid.T) *world {
	w := &world{t: t, Group: Group{Now: epoch()}}
	n := rapid.IntRange(1, 9).Draw(t, "members")
	var leaders []string
	for i := range n {
		m := Member{ID: string(rune('a' + i)), Region: rapid.SampledFrom([]string{"", "x", "y", "z"}).Draw(t, "region"),
			Reader: rapid.IntRange(0, 5).Draw(t, "reader") == 0,
			Gone:   rapid.SampledFrom([]bool{false, false, false, false, true}).Draw(t, "gone"),
			Alive:  rapid.IntRange(0, 3).Draw(t, "alive") > 0, InGroup: rapid.IntRange(0, 4).Draw(t, "in") > 0,
			Since: epoch().Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "since")) * time.Second)}
		m.Voter = m.InGroup && rapid.Bool().Draw(t, "voter")
		m.CaughtUp = m.InGroup && rapid.Bool().Draw(t, "caught up")
		if m.Voter && m.Alive {
			leaders = append(leaders, m.ID)
		}
		w.Members = append(w.Members, m)
	}
	if len(leaders) == 0 {
		w.Members[0].InGroup, w.Members[0].Voter, w.Members[0].Alive = true, true, true
		leaders = []string{w.Members[0].ID}
	}
	w.Leader = rapid.SampledFrom(leaders).Draw(t, "leader")
	return w
}

func (w *world) count() (voters, living int) {
	for _, m := range w.Members {
		if m.InGroup && m.Voter {
			voters++
			if m.Alive {
				living++
			}
		}
	}
	return voters, living
}

// do does a step, and fails when it is not one that can be done.
func (w *world) do(s Step) {
	i := slices.IndexFunc(w.Members, func(m Member) bool { return m.ID == s.ID })
	if i < 0 {
		w.t.Fatalf("%v is of nobody", s)
	}
	m := &w.Members[i]
	switch {
	case s.Kind == AddReader && !m.InGroup && m.Alive && !m.Gone:
		m.InGroup = true
	case s.Kind == Promote && m.InGroup && !m.Voter && m.Alive && m.CaughtUp && !m.Gone && !m.Reader:
		m.Voter = true
	case s.Kind == Demote && m.Voter && !m.Gone && m.ID != w.Leader:
		m.Voter = false
	case s.Kind == Remove && m.InGroup && m.Gone && m.ID != w.Leader:
		m.InGroup, m.Voter = false, false
	case s.Kind == Transfer && m.ID == w.Leader:
		w.transfer()
	default:
		w.t.Fatalf("%v of %+v led by %s", s, *m, w.Leader)
	}
}

func (w *world) transfer() {
	var others []string
	for _, m := range w.Members {
		if m.InGroup && m.Voter && m.Alive && m.ID != w.Leader {
			others = append(others, m.ID)
		}
	}
	if len(others) == 0 {
		w.t.Fatal("a transfer to nobody")
	}
	w.Leader = rapid.SampledFrom(others).Draw(w.t, "next leader")
}

// TestConverges has groups of any kind come to rest: never below a majority of living voters, with an odd number of
// voters at the end, of whom nobody is gone or leaves without need.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		voters, living := w.count()
		quorum := living > voters/2
		if !quorum {
			if s := Next(w.Group); s.Kind != None {
				t.Fatalf("%v without a majority: %+v", s, w.Group)
			}
			return
		}
		for steps, quiet := 0, time.Duration(0); quiet < 2*DeadFor; steps++ {
			if steps > 500 {
				t.Fatalf("no end: %+v", w.Group)
			}
			s := Next(w.Group)
			if s.Kind == None {
				if s.Again <= 0 || s.Again > LookAgain {
					t.Fatalf("again after %v", s.Again)
				}
				quiet += s.Again
				w.Now = w.Now.Add(s.Again)
				continue
			}
			quiet = 0
			if w.do(s); s.Kind == AddReader && rapid.Bool().Draw(t, "catches up") {
				w.Members[slices.IndexFunc(w.Members, func(m Member) bool { return m.ID == s.ID })].CaughtUp = true
			}
			if voters, living := w.count(); living <= voters/2 {
				t.Fatalf("after %v %d of %d voters live: %+v", s, living, voters, w.Group)
			}
		}
		w.checkRest()
	})
}

// checkRest checks a group that has come to rest.
func (w *world) checkRest() {
	voters, living := w.count()
	capable, stuck := 0, 0
	regions := map[string]int{}
	for _, m := range w.Members {
		if m.InGroup && !m.Gone && !m.Reader && (m.Voter || m.Alive && m.CaughtUp) {
			capable++
		}
		if m.InGroup && m.Gone && !m.Voter {
			w.t.Fatalf("%s is gone and still there: %+v", m.ID, w.Group)
		}
		if m.InGroup && m.Voter {
			regions[m.Region]++
			if m.Gone || m.Reader {
				stuck++
			}
		}
	}
	// Taking the vote of one that lives would leave no majority: that is all that may stop it.
	blocked := living-1 <= (voters-1)/2 && living < voters
	if voters%2 == 0 && !blocked {
		w.t.Fatalf("%d voters at rest: %+v", voters, w.Group)
	}
	if stuck > 0 && capable > 0 && !blocked {
		w.t.Fatalf("%d vote that should not: %+v", stuck, w.Group)
	}
	if want := votersOf(capable); voters != want && !blocked && capable > 0 {
		w.t.Fatalf("%d of %d vote, want %d: %+v", voters, capable, want, w.Group)
	}
}
