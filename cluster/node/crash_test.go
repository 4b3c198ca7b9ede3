package node

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/wasmtest"
)

// crashEnv tells the test binary to be a node in this directory that deploys until it is killed.
const crashEnv = "SETT_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		deployForever(dir)
	}
	os.Exit(m.Run())
}

// deployForever deploys the version after the newest one, whose reply is its number, and prints each number once
// its deployment was acknowledged.
func deployForever(dir string) {
	n, err := Start(context.Background(), Config{Data: dir, HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Cluster: "127.0.0.1:0"})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(0) // it serves
	next := 1
	if f := n.registry.Snapshot().Function("default", "counter"); f != nil {
		next = f.Latest + 1
	}
	for ; ; next++ {
		got, err := deployTo(context.Background(), n, "counter", wasmtest.Answer(strconv.Itoa(next)))
		if err != nil || got.Version != next {
			fmt.Println("error", err, got.Version, next)
			os.Exit(1)
		}
		fmt.Println(next)
	}
}

// TestKilledWhileDeploying kills a node at random moments of its deployments: every acknowledged one is there
// after a restart, the newest answers, and nothing half written stays.
func TestKilledWhileDeploying(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kills := 12
	if testing.Short() {
		kills = 3
	}
	last := 0
	for i := range kills {
		// The first dies after a deployment, so that there is one; the others also while they start.
		acknowledged := killWhileDeploying(t, dir, []int{1, -1, 0}[min(i, 1+i%2)])
		last = max(last, acknowledged)
		n := start(t, dir)
		f := n.registry.Snapshot().Function("default", "counter")
		if f == nil {
			if acknowledged > 0 {
				t.Fatalf("version %d was acknowledged, and the function is gone", acknowledged)
			}
			n.Close(t.Context())
			continue
		}
		if f.Latest < acknowledged {
			t.Errorf("newest version is %d, and %d was acknowledged", f.Latest, acknowledged)
		}
		if got, want := get(t, n, "/counter"), "200 OK "+strconv.Itoa(f.Latest); got != want {
			t.Errorf("GET /counter = %q, want %q", got, want)
		}
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		entries, err := filepath.Glob(filepath.Join(dir, runtimeDir, "modules", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := filepath.Base(e); len(strings.TrimSuffix(name, ".wasm")) != 64 {
				t.Errorf("%s was left among the modules", name)
			}
		}
	}
	if last == 0 {
		t.Error("every node was killed before its first deployment: nothing was tested")
	}
}

// killWhileDeploying kills a node some time after it has told of version from; 0 is that it serves, -1 that it was
// started. It answers the last version that was acknowledged, 0 for none.
func killWhileDeploying(t *testing.T, dir string, from int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	told := func(version int) {
		if version >= from && timer == nil {
			timer = time.AfterFunc(time.Duration(rand.IntN(400))*time.Millisecond, func() { cmd.Process.Kill() })
		}
	}
	told(-1)
	last := 0
	for lines := bufio.NewScanner(out); lines.Scan(); told(last) {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			cmd.Process.Kill()
			t.Fatalf("the node said %q", lines.Text())
		}
	}
	cmd.Wait() // it was killed
	return last
}
