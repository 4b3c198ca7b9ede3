package redis

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

var update = flag.Bool("update", false, "write what a real Redis answers into testdata/same")

// The scripts in testdata are commands and their replies, as readReply writes them:
//
//	> SET a 1
//	OK
//	2> GET a
//	"1"
//
// The number is a connection's. Those in testdata/same are what Redis answers, too: TestRedisAgrees asks it, and with
// -update writes down what it says. Those in testdata/ours are what only we answer.

// TestScripts runs all of them against a server of ours.
func TestScripts(t *testing.T) {
	for _, path := range scripts(t, "testdata/*/*.txt") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // what is told of TTLs is exact there
				_, connect, stop := startInMemory(t, Config{})
				defer stop()
				_, faults := runScript(t, path, connect)
				for _, f := range faults {
					t.Error(f)
				}
			})
		})
	}
}

// TestScriptsOnStore runs them against a server on the replicated store.
func TestScriptsOnStore(t *testing.T) {
	for _, path := range scripts(t, "testdata/*/*.txt") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			runTimed(t, path, func(t *testing.T) func() *client {
				_, addr := start(t, Config{Store: openStore(t)})
				return func() *client { return dial(t, addr) }
			})
		})
	}
}

// TestRedisAgrees runs those that Redis should answer alike against a real one.
func TestRedisAgrees(t *testing.T) {
	socket := realRedis(t)
	for _, path := range scripts(t, "testdata/same/*.txt") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			got := runTimed(t, path, func(t *testing.T) func() *client {
				dialSocket(t, socket).want("FLUSHALL", "OK")
				return func() *client { return dialSocket(t, socket) }
			})
			if !*update {
				return
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// runTimed runs a script in real time, thrice if it must: on a machine that stands still TTLs differ.
func runTimed(t *testing.T, path string, begin func(*testing.T) func() *client) (came string) {
	t.Helper()
	var faults []string
	for range 3 {
		if came, faults = runScript(t, path, begin(t)); len(faults) == 0 || *update {
			return came
		}
	}
	for _, f := range faults {
		t.Error(f)
	}
	return came
}

func dialSocket(t *testing.T, socket string) *client {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return newClient(t, nc)
}

func scripts(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("Glob(%q) = %d paths, %v", pattern, len(paths), err)
	}
	return paths
}

// runScript does the commands of a script. It answers the script with the replies that came, and where they differ.
func runScript(t *testing.T, path string, connect func() *client) (came string, faults []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string]*client{}
	defer func() {
		for _, c := range clients {
			c.nc.Close()
		}
	}()
	var all strings.Builder
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		who, command, _ := strings.Cut(lines[i], "> ")
		if !isCommand(lines[i]) {
			all.WriteString(lines[i] + "\n")
			continue
		}
		if clients[who] == nil {
			clients[who] = connect()
		}
		got := clients[who].do(command)
		all.WriteString(lines[i] + "\n" + got + "\n")
		want := ""
		if i+1 < len(lines) && !isCommand(lines[i+1]) {
			i++
			want = lines[i]
		}
		if got != want {
			faults = append(faults, fmt.Sprintf("%s:%d: %s\n got %s\nwant %s", path, i+1, command, got, want))
		}
	}
	return all.String(), faults
}

func isCommand(line string) bool {
	who, _, found := strings.Cut(line, "> ")
	return found && strings.Trim(who, "0123456789") == ""
}
