package server

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// projects are those of components in Rust, as sett build takes them.
//
//go:embed testdata/rust
var projects embed.FS

// getRust is how to get what builds components.
const getRust = "https://rustup.rs, then rustup target add wasm32-wasip2"

// prepareRust builds components as sett build does; a server's directory takes them as NAME.wasm. What Cargo makes on
// the way stays in the user's cache.
func prepareRust(names ...string) func(context.Context, Site) error {
	return func(ctx context.Context, at Site) error {
		if err := findRust(ctx); err != nil {
			return err
		}
		for _, name := range names {
			file, err := buildRust(ctx, name)
			if err != nil {
				return fmt.Errorf("build the component %s: %w", name, err)
			}
			if err := os.Link(file, filepath.Join(at.Dir, name+".wasm")); err != nil {
				component, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(at.Dir, name+".wasm"), component, 0o644); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// findRust answers ErrMissing if there is no Rust that makes components.
func findRust(ctx context.Context) error {
	_, err := exec.LookPath("cargo")
	libs, errLibs := exec.CommandContext(ctx, "rustc", "--print", "target-libdir", "--target", "wasm32-wasip2").Output()
	if errLibs == nil {
		_, errLibs = os.Stat(strings.TrimSpace(string(libs)))
	}
	if err != nil || errLibs != nil {
		return fmt.Errorf("Rust for wasm32-wasip2 %w: %s", ErrMissing, getRust)
	}
	return nil
}

// buildRust builds a project of testdata/rust and answers the component's file.
func buildRust(ctx context.Context, name string) (string, error) {
	dir, err := cacheProject("testdata/rust/" + name)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, ".sett", "build", "main.wasm")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "go", "run", "github.com/sett-run/sett/cmd/sett", "build", dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
}

// cacheProject writes a project into a directory of the user's cache that is named after what it holds.
func cacheProject(project string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	files, sum := map[string][]byte{}, sha256.New()
	err = fs.WalkDir(projects, project, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = projects.ReadFile(name)
		fmt.Fprintf(sum, "%s %d\n%s", name, len(files[name]), files[name])
		return err
	})
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "sett", "benchmarks", path.Base(project)+"-"+hex.EncodeToString(sum.Sum(nil)[:6]))
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(name, project+"/")))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}
