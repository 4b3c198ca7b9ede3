package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

func TestCargoArtifact(t *testing.T) {
	manifest := filepath.Join(tree(t, "Cargo.toml", "dep/Cargo.toml"), "Cargo.toml")
	dep := filepath.Join(filepath.Dir(manifest), "dep", "Cargo.toml")
	artifact := func(manifest, file string) string {
		return `{"reason":"compiler-artifact","manifest_path":"` + manifest + `","filenames":["` + file + `"]}` + "\n"
	}
	for name, c := range map[string]struct{ messages, file, want string }{
		"component":        {artifact(dep, "/t/dep.rlib") + artifact(manifest, "/t/a.wasm") + `{"reason":"build-finished"}`, "/t/a.wasm", ""},
		"of a dependency":  {artifact(dep, "/t/dep.wasm") + artifact(manifest, "/t/a.wasm"), "/t/a.wasm", ""},
		"library":          {artifact(manifest, "/t/a.rlib"), "", `Cargo.toml makes no component: its [lib] must have crate-type = ["cdylib"]`},
		"nothing":          {"", "", "makes no component"},
		"not cargo's":      {"warning: x", "", "read cargo's messages"},
		"removed manifest": {artifact("/nowhere/Cargo.toml", "/t/a.wasm"), "", "makes no component"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := cargoArtifact(c.messages, manifest)
			if c.want == "" && (err != nil || file != c.file) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("cargoArtifact = %q, %v, want %q, error %q", file, err, c.file, c.want)
			}
		})
	}
}

// What is half installed is not left behind for the next build to trip over.
func TestInstallNodeLeavesNothingBehind(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte("#!/bin/sh\necho 'no network' >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	dir := filepath.Join(t.TempDir(), "cache", "sett", "node")
	err := installNode(t.Context(), dir)
	if abi.CodeOf(err) != abi.Unavailable || !strings.Contains(err.Error(), "no network") {
		t.Errorf("installNode = %v (%s), want npm's words and %s", err, abi.CodeOf(err), abi.Unavailable)
	}
	left, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(left) != 0 {
		t.Errorf("left in the cache: %v, %v, want nothing", left, err)
	}
}

// TestToolchainIsLocked: every package is pinned by a digest, and comes from whichever registry npm is set to.
func TestToolchainIsLocked(t *testing.T) {
	text, err := nodeSources.ReadFile("toolchain/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	lock := string(text)
	versions, digests := strings.Count(lock, "\n      \"version\": "), strings.Count(lock, "\n      \"integrity\": ")
	if versions == 0 || versions != digests {
		t.Errorf("package-lock.json has %d packages and %d digests", versions, digests)
	}
	if strings.Contains(lock, `"resolved"`) {
		t.Error("package-lock.json names a registry; make it with npm install --omit-lockfile-registry-resolved")
	}
}
