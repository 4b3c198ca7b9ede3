package examples

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/manifest"
)

// TestExamplesAreProjects reads each folder as "sett deploy" does, from the embedded sources.
func TestExamplesAreProjects(t *testing.T) {
	folders := map[string]string{"assemblyscript": "reverse.ts", "audit": "main.go", "c": "wordcount.c", "c-component": "mirror.c",
		"checkout": "main.go", "counter": "main.go", "fanout": "main.go", "greet": "main.go", "hello": "main.go", "js-fetch": "echo.js",
		"js-state": "visits.js", "ledger": "main.go", "nethttp": "main.go", "py-http": "look.py", "report": "main.go",
		"rust": "rot13.rs", "session": "main.go", "thumbnail": "main.go", "ticker": "main.go", "todo": "main.go", "users": "main.go", "wagi": "main.go"}
	entries, err := fs.ReadDir(Sources(), ".")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(folders) {
		t.Errorf("Sources has %d folders, want %d", len(entries), len(folders))
	}
	for folder, source := range folders {
		for _, name := range []string{"README.md", source} {
			if _, err := fs.Stat(Sources(), folder+"/"+name); err != nil {
				t.Error(err)
			}
		}
		text, err := fs.ReadFile(Sources(), folder+"/"+manifest.File)
		if err != nil {
			t.Error(err)
			continue
		}
		app, err := manifest.Parse(folder+"/"+manifest.File, text)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, f := range app.Functions {
			if f.Module != "main" && !strings.HasPrefix(source, f.Module+".") {
				t.Errorf("%s: function %s is module %s, and the source is %s", folder, f.Name, f.Module, source)
			}
		}
	}
}

// TestExamplesShareANode: no two name the same pattern, so that somebody who tries one can try the next beside it.
func TestExamplesShareANode(t *testing.T) {
	names, err := fs.Glob(Sources(), "*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	owner := map[string]string{}
	for _, name := range names {
		program, err := fs.ReadFile(Sources(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`sett\.HTTP\("([^"]+)"`).FindAllSubmatch(program, -1) {
			pattern := string(m[1])
			if other := owner[pattern]; other != "" {
				t.Errorf("%s and %s name the pattern %q", other, name, pattern)
			}
			owner[pattern] = name
		}
	}
}

// TestDocumentedCodeRuns: the Go code of these pages is that of examples, which their tests and scripts run.
func TestDocumentedCodeRuns(t *testing.T) {
	names, err := fs.Glob(Sources(), "*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	var programs [][]byte
	for _, name := range names {
		program, err := fs.ReadFile(Sources(), name)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, program)
	}
	for _, page := range []string{"KV.md", "SCHEDULES.md", "TOPICS.md"} {
		text, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(text, -1)
		if len(blocks) == 0 {
			t.Errorf("docs/%s has no Go code", page)
		}
		for _, block := range blocks {
			if !slices.ContainsFunc(programs, func(program []byte) bool { return bytes.Contains(program, block[1]) }) {
				t.Errorf("no example has this code of docs/%s:\n%s", page, block[1])
			}
		}
	}
}

// testAll makes a missing toolchain a failure: .ci/run installs them all.
const testAll = "SETT_TEST_ALL"

// TestExamplesOfOtherLanguagesBuild runs their build.sh where the toolchain is installed.
func TestExamplesOfOtherLanguagesBuild(t *testing.T) {
	for folder, missing := range map[string]string{"c": "unable to find library", "rust": "no Rust compiler with a WASI target"} {
		t.Run(folder, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "out.wasm")
			text, err := exec.Command("./"+folder+"/build.sh", file).CombinedOutput()
			if err != nil && os.Getenv("SETT_TEST_ALL") == "" && lacksToolchain(string(text), missing) {
				t.Skipf("the toolchain is not installed: %s", text)
			}
			if err != nil {
				t.Fatalf("build: %v\n%s", err, text)
			}
			data, err := os.ReadFile(file)
			if err != nil || !strings.HasPrefix(string(data), "\x00asm\x01\x00\x00\x00") {
				t.Errorf("build.sh made %.8q, %v, want a WebAssembly module", data, err)
			}
		})
	}
}

func lacksToolchain(text, missing string) bool {
	return strings.Contains(text, missing) || strings.Contains(text, "not found") || strings.Contains(text, "wasm-ld")
}

// TestAssemblyScriptExampleBuilds installs the compiler with npm, so it runs only where everything is asked for.
func TestAssemblyScriptExampleBuilds(t *testing.T) {
	if os.Getenv(testAll) == "" {
		t.Skipf("needs npm and its registry; set %s=1", testAll)
	}
	dir := t.TempDir()
	folder, err := fs.Sub(Sources(), "assemblyscript")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, folder); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("sh", filepath.Join(dir, "build.sh")).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	data, err := os.ReadFile(filepath.Join(dir, "reverse.wasm"))
	if err != nil || !strings.HasPrefix(string(data), "\x00asm\x01\x00\x00\x00") {
		t.Errorf("build.sh made %.8q, %v, want a WebAssembly module", data, err)
	}
}
