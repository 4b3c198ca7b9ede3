package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// rustTarget is the target whose modules rustc itself makes components of, since Rust 1.82.
const rustTarget = "wasm32-wasip2"

// buildRust builds the component of a Cargo package that is one cdylib. What Cargo makes on the way stays in .sett, which
// sett dev does not watch.
func buildRust(ctx context.Context, manifest, out string) error {
	cargo, err := findTool("cargo", "Rust toolchain", "from https://rustup.rs")
	if err != nil {
		return err
	}
	dir := filepath.Dir(manifest)
	if err := checkRustTarget(ctx, dir); err != nil {
		return err
	}
	text, err := runTool(ctx, dir, cargo, "build", "--release", "--target", rustTarget, "--target-dir", filepath.Join(dir, settDir, "target"),
		"--message-format", "json-render-diagnostics")
	if err != nil {
		return err
	}
	made, err := cargoArtifact(text, manifest)
	if err != nil {
		return err
	}
	component, err := os.ReadFile(made)
	if err != nil {
		return err
	}
	return os.WriteFile(out, component, 0o644)
}

// checkRustTarget tells what Cargo would tell of each crate.
func checkRustTarget(ctx context.Context, dir string) error {
	missing := abi.WithCode(abi.NotFound, errors.New("the Rust toolchain has no target "+rustTarget+"; install it with "+
		"\"rustup target add "+rustTarget+"\" (Rust 1.85 or later) and try again"))
	rustc, err := findTool("rustc", "Rust compiler", "from https://rustup.rs")
	if err != nil {
		return err
	}
	libs, err := runTool(ctx, dir, rustc, "--print", "target-libdir", "--target", rustTarget)
	if err != nil {
		return missing
	}
	if _, err := os.Stat(strings.TrimSpace(libs)); err != nil {
		return missing
	}
	return nil
}

// cargoArtifact answers the .wasm that Cargo says it made of a package.
func cargoArtifact(messages, manifest string) (string, error) {
	for d := json.NewDecoder(strings.NewReader(messages)); ; {
		var m struct {
			ManifestPath string   `json:"manifest_path"`
			Filenames    []string `json:"filenames"`
		}
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return "", abi.WithCode(abi.InvalidInput, fmt.Errorf("%s makes no component: its [lib] must have crate-type = [\"cdylib\"]",
				filepath.Base(manifest)))
		case err != nil:
			return "", fmt.Errorf("read cargo's messages: %w", err)
		}
		wasm := slices.IndexFunc(m.Filenames, func(name string) bool { return strings.HasSuffix(name, ".wasm") })
		if wasm >= 0 && sameFile(m.ManifestPath, manifest) {
			return m.Filenames[wasm], nil
		}
	}
}

// sameFile says whether two paths name one file.
func sameFile(a, b string) bool {
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}
