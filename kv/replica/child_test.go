package replica

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const childEnv = "SETT_REPLICA_CHILD" // directory of the replica that this process is

func childDir() string { return os.Getenv(childEnv) }

// childMain increments a counter without end, and writes a line "id reply" for each command that was acknowledged.
func childMain(dir string) {
	m, r, err := openOne(dir)
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	index, err := r.ReadIndex(context.Background())
	if err == nil {
		err = r.Wait(context.Background(), index)
	}
	if err != nil {
		fmt.Println("read:", err)
		os.Exit(1)
	}
	fmt.Println("start", m.get("k"))
	var mu sync.Mutex // keeps lines whole
	for c := range 16 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), c, n)
				reply, _, err := r.Propose(context.Background(), []byte(id+" k 1"))
				if err != nil {
					fmt.Println("propose:", err)
					os.Exit(1)
				}
				mu.Lock()
				fmt.Println(id, string(reply))
				mu.Unlock()
			}
		}()
	}
	select {}
}

// openOne opens a group of one on disk, with a log that forgets early.
func openOne(dir string) (*toy, *Replica, error) {
	m, err := openToy(dir)
	if err != nil {
		return nil, nil, err
	}
	c := Config{ID: "a", Dir: dir, Machine: m, Pack: toyPack, Bootstrap: []Server{{"a", "a", true}},
		limits: limits{snapshotEntries: 50, trailingEntries: 20, segmentBytes: 32 << 10}}
	r, err := Open(c)
	return m, r, err
}

// TestKill kills a replica under load again and again: everything it had acknowledged is there afterwards.
// SETT_TEST_KILLS says how often.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("SETT_TEST_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	acknowledged := map[string]string{}
	for i := range kills {
		runChild(t, dir, 200+100*i%7, acknowledged)
	}
	m, r, err := openOne(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	index, err := r.ReadIndex(t.Context())
	if err != nil || r.Wait(t.Context(), index) != nil {
		t.Fatal(err)
	}
	for id, reply := range acknowledged {
		if got := m.state.Replies[id]; got != reply {
			t.Errorf("command %s has reply %q after %d kills, want %q", id, got, kills, reply)
		}
	}
	if s := r.Stats(); s.SnapshotIndex == 0 {
		t.Errorf("stats %+v: the log never forgot", s)
	}
}

// runChild kills a child after so many acknowledgements.
func runChild(t *testing.T, dir string, after int, acknowledged map[string]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		first, second, ok := strings.Cut(lines.Text(), " ")
		switch {
		case !ok || strings.HasSuffix(first, ":"):
			t.Errorf("child says %q", lines.Text())
		case first == "start":
			if got, _ := strconv.Atoi(second); got < len(acknowledged) {
				t.Errorf("child starts with %d, want %d or more", got, len(acknowledged))
			}
		default:
			acknowledged[first] = second
		}
		if n == after {
			cmd.Process.Kill() // and read what it had written
		}
	}
}
