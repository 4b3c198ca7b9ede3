package node

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sett-run/sett/"

// rooms are strangers: only cluster/node brings them together.
var rooms = []string{"runtime", "router", "kv", "cluster"}

// words may be imported by every room. They are pure: their imports are other words, the standard library, and
// the libraries named in wordLibraries.
var words = []string{"sdk/abi", "runtime/manifest", "runtime/registry", "kv/op"}

var wordLibraries = []string{"go.yaml.in/yaml/", "github.com/santhosh-tekuri/jsonschema/"}

// owners says which one room may import a library.
var owners = map[string]string{
	"github.com/tetratelabs/wazero":                           "runtime",
	"github.com/valyala/fasthttp":                             "router",
	"github.com/dgraph-io/badger":                             "kv",
	"github.com/hashicorp/raft":                               "kv",
	"github.com/tidwall/redcon":                               "kv",
	"github.com/hashicorp/memberlist":                         "cluster",
	"github.com/hashicorp/serf":                               "cluster",
	"github.com/spf13/cobra":                                  "cmd",
	"github.com/aws/aws-lambda-go":                            "router",
	"github.com/rogpeppe/go-internal":                         "cmd",
	"github.com/jedib0t/go-pretty":                            "cmd",
	"github.com/prometheus/client_golang/prometheus/promhttp": "router",
	"gonum.org/":               "benchmarks",
	"golang.org/x/perf/":       "benchmarks",
	"github.com/HdrHistogram/": "benchmarks",
}

const maxDepth = 6 // imports from a program down to the lowest word

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestLayers(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for name, p := range packages {
		for _, imp := range p.Imports {
			checkImport(t, name, strings.TrimPrefix(imp, module), strings.HasPrefix(imp, module))
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if inner, ok := strings.CutPrefix(imp, module); ok && foreignRooms(name, inner) {
				t.Errorf("test of %s imports %s: rooms are strangers in tests too", name, inner)
			}
		}
	}
	for name := range packages {
		if d := depth(packages, name); d > maxDepth && topOf(name) != "benchmarks" { // a program of several rooms
			t.Errorf("%s is %d imports deep, want %d at most", name, d, maxDepth)
		}
	}
}

func checkImport(t *testing.T, name, imp string, inner bool) {
	t.Helper()
	switch {
	case inner && topOf(imp) == "benchmarks" && topOf(name) != "benchmarks":
		t.Errorf("%s imports %s: the product does not know its benchmarks", name, imp)
	case inner && foreignRooms(name, imp):
		t.Errorf("%s imports %s: rooms are strangers; join them in cluster/node", name, imp)
	case inner && imp == "cluster/node" && topOf(name) != "cmd" && name != "cluster/sim" && topOf(name) != "benchmarks":
		t.Errorf("%s imports cluster/node: nobody below the programs knows it", name)
	case inner && slices.Contains(words, name) && !slices.Contains(words, imp):
		t.Errorf("%s imports %s: words import words only", name, imp)
	case inner && strings.HasPrefix(name, "sdk/go") && !strings.HasPrefix(imp, "sdk/") && imp != "kv/op":
		t.Errorf("%s imports %s: the guest SDK stands on sdk/abi alone", name, imp)
	case !inner && strings.HasPrefix(name, "sdk/") && foreign(imp):
		t.Errorf("%s imports %s: the SDK and the client use the standard library only", name, imp)
	case !inner && slices.Contains(words, name) && foreign(imp) && !hasPrefix(imp, wordLibraries):
		t.Errorf("%s imports %s: words are pure", name, imp)
	}
	for library, owner := range owners {
		if strings.HasPrefix(imp, library) && topOf(name) != owner && topOf(name) != "benchmarks" {
			t.Errorf("%s imports %s, which belongs to %s", name, imp, owner)
		}
	}
}

// foreignRooms says whether a package of one room imports another room.
func foreignRooms(name, imp string) bool {
	from, to := topOf(name), topOf(imp)
	return from != to && slices.Contains(rooms, from) && slices.Contains(rooms, to) &&
		!slices.Contains(words, imp) && name != "cluster/node" && name != "cluster/sim"
}

func topOf(name string) string { top, _, _ := strings.Cut(name, "/"); return top }

// foreign says whether an import path is neither ours nor the standard library's.
func foreign(imp string) bool { return strings.Contains(topOf(imp), ".") }

func hasPrefix(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

// depth is how many imports the longest way down from a package has.
func depth(packages map[string]listed, name string) int {
	deepest := 0
	for _, imp := range packages[name].Imports {
		if inner, ok := strings.CutPrefix(imp, module); ok {
			deepest = max(deepest, depth(packages, inner)+1)
		}
	}
	return deepest
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = path.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	packages := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read list of packages: %v", err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	if len(packages) < 5 {
		t.Fatalf("only %d packages listed", len(packages))
	}
	return packages
}

// TestTopLevel keeps the house's top level as it was drawn.
func TestTopLevel(t *testing.T) {
	t.Parallel()
	allowed := []string{"cmd", "runtime", "router", "kv", "cluster", "sdk", "examples", "benchmarks"}
	for name := range list(t) {
		if !slices.Contains(allowed, topOf(name)) {
			t.Errorf("package %s stands outside the fixed top level %v", name, allowed)
		}
	}
}

// TestDrawnLayers: docs/ARCHITECTURE.md draws the layers that this test enforces, and its table has every package,
// those of examples, benchmarks and the Go SDK in one row each.
func TestDrawnLayers(t *testing.T) {
	t.Parallel()
	page := readDocument(t, "ARCHITECTURE.md")
	for layer, packages := range map[string][]string{"2 rooms": rooms, "1 words": words, "3 assembly": {"cluster/node"}} {
		_, drawn, _ := strings.Cut(page, "\n"+layer)
		drawn, _, _ = strings.Cut(drawn, "\n")
		for _, name := range packages {
			if !slices.Contains(strings.Fields(drawn), name) {
				t.Errorf("layer %q is drawn without %s: %s", layer, name, drawn)
			}
		}
	}
	packages := list(t)
	for name := range packages {
		row := name
		for _, together := range []string{"examples", "benchmarks", "sdk/go"} {
			if strings.HasPrefix(name, together+"/") {
				row = together
			}
		}
		if !strings.Contains(page, "`"+row+"`") {
			t.Errorf("the table of packages has not %s", row)
		}
	}
	for line := range strings.Lines(page) {
		row, ok := strings.CutPrefix(line, "| `")
		name, _, _ := strings.Cut(row, "`")
		if _, there := packages[name]; ok && !there {
			t.Errorf("the table of packages has %s, which is not there", name)
		}
	}
}

// TestDependenciesHaveReasons: docs/RATIONALE.md names every module that go.mod requires directly.
func TestDependenciesHaveReasons(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = path.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("read go.mod: %v", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	page := readDocument(t, "RATIONALE.md")
	for _, r := range mod.Require {
		name := strings.TrimPrefix(r.Path, "github.com/")
		if dir, last := path.Split(name); len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
			name = path.Clean(dir)
		}
		if !r.Indirect && !strings.Contains(page, name) {
			t.Errorf("docs/RATIONALE.md does not say why %s", name)
		}
	}
}

// readDocument reads a page of docs.
func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(path.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
