package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// Scripts run components that other projects publish with their packages, unchanged. The packages' own clients bring the
// sources; what is downloaded and built stays in the user's cache.

// publishedDir is where that is.
func publishedDir() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "sett", "published"), err
}

// hasPublished reports whether a crate, NAME@VERSION, or the sources of a Python package, NAME==VERSION, were downloaded.
func hasPublished(name string) bool {
	if crate, version, ok := strings.Cut(name, "@"); ok {
		home := cmp.Or(os.Getenv("CARGO_HOME"), os.ExpandEnv("$HOME/.cargo"))
		found, _ := filepath.Glob(filepath.Join(home, "registry", "src", "*", crate+"-"+version))
		return len(found) > 0
	}
	dir, err := publishedDir()
	_, missing := os.Stat(filepath.Join(dir, strings.ReplaceAll(name, "==", "-")))
	return err == nil && missing == nil
}

// cmdCrate builds examples of a crate for rustTarget, with the versions of other crates that it was published with.
func cmdCrate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: crate NAME@VERSION EXAMPLE...")
	}
	manifest, err := crateManifest(args[0], ts.MkAbs("crate"))
	ts.Check(err)
	dir, err := publishedDir()
	ts.Check(err)
	target := filepath.Join(dir, "target", args[0])
	cargo := []string{"build", "--quiet", "--release", "--locked", "--manifest-path", manifest, "--target", rustTarget, "--target-dir", target}
	for _, example := range args[1:] {
		cargo = append(cargo, "--example", example)
	}
	_, err = runTool(context.Background(), ts.MkAbs("."), "cargo", cargo...)
	ts.Check(err)
	for _, example := range args[1:] {
		module, err := os.ReadFile(filepath.Join(target, rustTarget, "release", "examples", strings.ReplaceAll(example, "-", "_")+".wasm"))
		if err != nil { // a program, and not a library
			module, err = os.ReadFile(filepath.Join(target, rustTarget, "release", "examples", example+".wasm"))
		}
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(example+".wasm"), module, 0o600))
	}
}

// crateManifest has Cargo bring a crate, for a package in dir that needs it, and answers where its Cargo.toml is.
func crateManifest(crate, dir string) (string, error) {
	name, version, ok := strings.Cut(crate, "@")
	if !ok {
		return "", fmt.Errorf("crate %q has no @VERSION", crate)
	}
	version, _, _ = strings.Cut(version, "+")
	if err := os.MkdirAll(filepath.Join(dir, "src"), 0o755); err != nil {
		return "", err
	}
	text := fmt.Sprintf("[package]\nname = \"needs\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n%s = \"=%s\"\n", name, version)
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "Cargo.toml"), []byte(text), 0o600),
		os.WriteFile(filepath.Join(dir, "src", "lib.rs"), nil, 0o600), os.RemoveAll(filepath.Join(dir, "Cargo.lock"))); err != nil {
		return "", err
	}
	cmd := exec.Command("cargo", "metadata", "--quiet", "--format-version", "1", "--filter-platform", rustTarget)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("get crate %s: %w", crate, err)
	}
	var all struct {
		Packages []struct {
			Name         string `json:"name"`
			ManifestPath string `json:"manifest_path"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return "", fmt.Errorf("read cargo's metadata: %w", err)
	}
	for _, p := range all.Packages {
		if p.Name == name {
			return p.ManifestPath, nil
		}
	}
	return "", fmt.Errorf("cargo does not tell where crate %s is", crate)
}

// cmdSdist sets SOURCES to the sources of a Python package, and COMPONENTIZE_PY to the program that builds components.
func cmdSdist(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sdist NAME==VERSION")
	}
	dir, err := publishedDir()
	ts.Check(err)
	tool, err := openPython(context.Background(), "python3")
	ts.Check(err)
	sources := filepath.Join(dir, strings.ReplaceAll(args[0], "==", "-"))
	if _, err := os.Stat(sources); err != nil {
		ts.Check(downloadSdist(filepath.Join(filepath.Dir(tool), "python"), args[0], sources))
	}
	ts.Setenv("SOURCES", sources)
	ts.Setenv("COMPONENTIZE_PY", tool)
}

// downloadSdist has pip download the sources of a package, and unpacks them to dir.
func downloadSdist(python, name, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	ctx := context.Background()
	pkg, _, _ := strings.Cut(name, "==")
	if _, err := runTool(ctx, work, python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", pkg, name); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(work, "*.tar.gz"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("pip downloaded %q for %s", files, name)
	}
	unpacked := filepath.Join(work, "unpacked")
	if err := os.Mkdir(unpacked, 0o755); err != nil {
		return err
	}
	if _, err := runTool(ctx, unpacked, "tar", "-xzf", files[0], "--strip-components", "1"); err != nil {
		return err
	}
	return os.Rename(unpacked, dir)
}
