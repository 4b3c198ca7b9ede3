package kvtest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

// testIncrements counts from several goroutines, by compare-and-set and by Incr: nothing may be lost.
func testIncrements(t *testing.T, s Store) {
	const writers, each = 8, 20
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for done := 0; done < each; {
				item, err := s.Get(t.Context(), "app", "n", strong)
				if err != nil && !errors.Is(err, op.ErrNotFound) {
					t.Errorf("Get = %v", err)
					return
				}
				n, _ := strconv.Atoi(string(item.Value))
				_, err = s.Commit(t.Context(), op.Txn{Namespace: "app",
					Checks: []op.Check{{Key: "n", Revision: item.Revision}}, Ops: []op.Op{set("n", strconv.Itoa(n+1))}})
				if err == nil {
					done++
					_, err = s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{{Kind: op.Incr, Key: "m", Delta: 1}}})
				}
				if err != nil && !errors.Is(err, op.ErrConflict) {
					t.Errorf("Commit = %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	want := strconv.Itoa(writers * each)
	if got := content(t, s, "app", ""); got != "m="+want+" n="+want {
		t.Errorf("after %s increments of each: %q", want, got)
	}
}

// testSnapshots lists while others overwrite all keys at once: every listing is of one moment.
func testSnapshots(t *testing.T, s Store) {
	const keys = 20
	rounds := 20
	if os.Getenv("SETT_TEST_ALL") != "" {
		rounds = 50
	}
	write := func(n int) op.Txn {
		txn := op.Txn{Namespace: "app"}
		for i := range keys {
			txn.Ops = append(txn.Ops, set(fmt.Sprintf("%02d", i), strconv.Itoa(n)))
		}
		return txn
	}
	began, err := s.Commit(t.Context(), write(0))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			last := began.Revision
			for running := true; running; {
				select {
				case <-done:
					running = false // once more
				default:
				}
				page, err := s.List(t.Context(), "app", op.Query{Read: op.Read{Seen: last}})
				if err != nil || len(page.Items) != keys {
					t.Errorf("List = %d items, %v, want %d", len(page.Items), err, keys)
					return
				}
				first := page.Items[0]
				if first.Revision < last {
					t.Errorf("List went back from revision %d to %d", last, first.Revision)
				}
				last = first.Revision
				for _, i := range page.Items {
					if string(i.Value) != string(first.Value) || i.Revision != first.Revision {
						t.Errorf("List mixes %+v and %+v", first, i)
						return
					}
				}
			}
		})
	}
	for n := range rounds {
		if _, err := s.Commit(t.Context(), write(n)); err != nil {
			t.Errorf("Commit = %v", err)
			break
		}
	}
	close(done)
	group.Wait()
}
