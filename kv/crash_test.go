package kv

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

const (
	committerDir  = "SETT_TEST_COMMITTER_DIR"
	committerKeys = 8
)

// commitForever is the test binary as a child: each transaction sets all keys to the next number, which is printed
// once it is acknowledged.
func commitForever(dir string) {
	s, err := Open(Config{Dir: dir})
	if err != nil {
		fmt.Println("open", err)
		os.Exit(1)
	}
	n := 0
	if item, err := s.Get(context.Background(), "app", "key-0"); err == nil {
		n, _ = strconv.Atoi(strings.TrimRight(string(item.Value), "."))
	}
	for {
		n++
		txn := op.Txn{Namespace: "app"}
		for k := range committerKeys { // 32 KiB each, so that memtables are flushed while it runs
			value := strconv.Itoa(n) + strings.Repeat(".", 32<<10)
			txn.Ops = append(txn.Ops, op.Op{Kind: op.Set, Key: fmt.Sprint("key-", k), Value: []byte(value)})
		}
		if _, err := s.Commit(context.Background(), txn); err != nil {
			fmt.Println("commit", err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// TestKill kills a committing process several times: what it acknowledged is there, and nothing is half there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := 0
	for _, count := range []int{1, 40, 100} {
		acknowledged = killAfter(t, dir, count)
		s := open(t, Config{Dir: dir})
		items, err := s.List(context.Background(), "app", "")
		if err != nil || len(items) != committerKeys {
			t.Fatalf("List after kill = %d keys, %v, want %d", len(items), err, committerKeys)
		}
		for _, i := range items {
			if string(i.Value) != string(items[0].Value) || i.Revision != items[0].Revision {
				t.Fatalf("half a transaction: %s %d, %s %d", items[0].Key, items[0].Revision, i.Key, i.Revision)
			}
		}
		if n, _ := strconv.Atoi(strings.TrimRight(string(items[0].Value), ".")); n < acknowledged {
			t.Fatalf("transaction %d is there, %d was acknowledged", n, acknowledged)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter runs a committer, kills it once it has acknowledged count transactions, and answers the last of them.
func killAfter(t *testing.T, dir string, count int) (last int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), committerDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Errorf("committer: %s", lines.Text())
			break
		}
		last = n
		if count--; count == 0 {
			killed = true
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if !killed {
		t.Fatal("the committer ended by itself")
	}
	return last
}
