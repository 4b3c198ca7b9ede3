package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/load"
	"github.com/sett-run/sett/benchmarks/work"
)

// TestMain lets the test binary be servers of ours too.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "serve" {
		if err := Serve(context.Background(), os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// toolchains are the programs that .ci/run installs: there, none of them may be missing.
var toolchains = []string{"nginx", "node", "deno", "bun", "workerd"}

// TestKinds checks that each server that is installed does all works that it says it can.
func TestKinds(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for _, k := range Kinds() {
		t.Run(strings.ReplaceAll(k.Name, "/", "-"), func(t *testing.T) {
			if os.Getenv("SETT_TEST_ALL") == "" && (k.Program != "" || k.Name == settGo || k.Name == settJS) {
				t.Skip("starts what sett is compared with, or compiles a large function; SETT_TEST_ALL=1 has it run")
			}
			s, err := (*Place)(nil).Start(t.Context(), k)
			if errors.Is(err, ErrMissing) && (os.Getenv("SETT_TEST_ALL") == "" || !slices.Contains(toolchains, k.Program)) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			}()
			for _, name := range k.Works {
				w, err := work.Find(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := load.Probe(t.Context(), s.Address, w); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if used, err := s.CPU(); err != nil || used < 0 {
				t.Errorf("CPU() = %v, %v", used, err)
			}
			t.Logf("%s; started in %v; state: %s", s.Version, s.Started, k.State)
		})
	}
}

// TestClaims checks that each kind has a name of its own, says how it is set up, and what becomes of its state if it has one.
func TestClaims(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if seen[k.Name] || k.Name == "" || k.How == "" || !slices.Contains(k.Works, "hello") {
			t.Errorf("kind %q says %q and does %v, want a name of its own, settings, and hello", k.Name, k.How, k.Works)
		}
		seen[k.Name] = true
		if keeps := slices.Contains(k.Works, "kv"); keeps != (k.State != "") {
			t.Errorf("%s keeps state: %v, and says of it %q", k.Name, keeps, k.State)
		}
		if k.Program != "" && k.Get == "" {
			t.Errorf("%s does not say how to get %s", k.Name, k.Program)
		}
	}
	if Kinds()[0].Name != Ceiling {
		t.Errorf("the first kind is %q, want the ceiling", Kinds()[0].Name)
	}
}

// TestMissing checks that a kind whose program, or what builds its function, is not there is told from one that fails.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, name := range []string{"node", "wasmtime rust", settRust, settJS} {
		k, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := (*Place)(nil).Start(t.Context(), k); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), k.Get) {
			t.Errorf("Start(%s) = %v, %v, want ErrMissing and how to get it", name, s, err)
		}
	}
}

// TestRestartFails checks that a server which does not start again can be stopped.
func TestRestartFails(t *testing.T) {
	k, err := Find(Ceiling)
	if err != nil {
		t.Fatal(err)
	}
	s, err := (*Place)(nil).Start(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	s.Program = filepath.Join(t.TempDir(), "none")
	if err := os.WriteFile(s.Program, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), nil); err == nil {
		t.Error("Restart of no program = nil")
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
