package gossip

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestNames(t *testing.T) {
	t.Parallel()
	id, boot, err := splitName(bootName("0123456789abcdef", 1234567890123))
	if id != "0123456789abcdef" || boot != 1234567890123 || err != nil {
		t.Errorf("splitName = %s, %d, %v", id, boot, err)
	}
	for _, name := range []string{"", "a", "a.", ".1", "a.0", "a.-1", "a.zzzzzzzzzzzzzz", "a b.1", "a.1.2"} {
		if _, _, err := splitName(name); err == nil {
			t.Errorf("splitName(%q) = nil", name)
		}
	}
}

// TestDeadListed shows that one who is dead is listed for a day, and looked for and remembered beyond it.
func TestDeadListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newTable("self", 1, func(string) time.Duration { return time.Second })
		dead := sighting{id: "dead", boot: 1, addr: "10.0.0.1:1"}
		left := sighting{id: "left", boot: 1, addr: "10.0.0.2:1", told: told{Left: true}}
		for _, s := range []sighting{dead, left} {
			table.alive(s)
			table.gone(s)
		}
		time.Sleep(DeadListed - time.Minute)
		table.refresh()
		if m := *table.snapshot.Load(); len(m) != 2 || m[0].State != Dead || m[1].State != Left || m[0].RTT != 0 {
			t.Errorf("before %v: %+v", DeadListed, m)
		}
		changed := table.changed.next()
		time.Sleep(2 * time.Minute)
		table.refresh()
		<-changed
		if m := *table.snapshot.Load(); len(m) != 0 {
			t.Errorf("after %v: %+v", DeadListed, m)
		}
		if m := table.missing(); len(m) != 1 || m[0] != dead.addr {
			t.Errorf("missing() = %v, want %s", m, dead.addr)
		}
		if p := table.peers(); len(p) != 1 || p[0].ID != "dead" {
			t.Errorf("peers() = %v", p)
		}
		table.alive(dead)
		if m := *table.snapshot.Load(); len(m) != 1 || m[0].State != Alive || m[0].RTT != time.Second {
			t.Errorf("alive again: %+v", m)
		}
	})
}

func TestMembersLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newTable("self", 1, func(string) time.Duration { return 0 })
		see := func(i int) sighting { return sighting{id: fmt.Sprint(i), boot: 1, addr: "10.0.0.1:1"} }
		for i := range maxMembers {
			if err := table.admit(see(i)); err != nil {
				t.Fatal(err)
			}
			table.alive(see(i))
			time.Sleep(time.Millisecond)
		}
		if err := table.admit(see(maxMembers)); !errors.Is(err, errFull) {
			t.Errorf("admit beyond the limit = %v, want %v", err, errFull)
		}
		table.gone(see(7))
		time.Sleep(time.Millisecond)
		table.gone(see(5))
		if err := table.admit(see(maxMembers)); err != nil || table.records["7"] != nil || table.records["5"] == nil {
			t.Errorf("admit = %v; the one gone for the longest should make room", err)
		}
		for i := range maxForgotten + 10 {
			table.forget(fmt.Sprint("f", i))
		}
		if len(table.forgotten) != maxForgotten {
			t.Errorf("%d forgotten, want %d", len(table.forgotten), maxForgotten)
		}
	})
}
