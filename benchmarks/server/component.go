package server

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// projects are those of components in Rust, as sett build takes them. Those in JavaScript are among scripts.
//
//go:embed testdata/rust
var projects embed.FS

// language is what a component is written in.
type language struct {
	get   string // how to get what builds it
	build func(ctx context.Context, name string) (dir string, err error)
}

func rust() language {
	return language{"https://rustup.rs, then rustup target add wasm32-wasip2", func(ctx context.Context, name string) (string, error) {
		if err := findRust(ctx); err != nil {
			return "", err
		}
		return project(projects, "testdata/rust/"+name)
	}}
}

func javaScript() language {
	return language{"apt-get install nodejs npm: version 20 or later", func(_ context.Context, name string) (string, error) {
		if _, err := exec.LookPath("npm"); err != nil {
			return "", ErrMissing
		}
		return project(scripts, "testdata/js/"+name, "testdata/js/works.mjs")
	}}
}

// prepare builds components as sett build does; a server's directory takes them as NAME.wasm. What was built before is in
// the user's cache.
func (l language) prepare(names ...string) func(context.Context, Site) error {
	return func(ctx context.Context, at Site) error {
		for _, name := range names {
			dir, err := l.build(ctx, name)
			if errors.Is(err, ErrMissing) {
				return fmt.Errorf("what builds components %w: %s", err, l.get)
			}
			if err == nil {
				err = component(ctx, dir, filepath.Join(at.Dir, name+".wasm"))
			}
			if err != nil {
				return fmt.Errorf("build the component %s: %w", name, err)
			}
		}
		return nil
	}
}

// component builds the project in a directory, unless it was built before, and copies what it makes to a file.
func component(ctx context.Context, dir, to string) error {
	file := filepath.Join(dir, ".sett", "build", "main.wasm")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		out, err := exec.CommandContext(ctx, "go", "run", "github.com/sett-run/sett/cmd/sett", "build", dir).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

// findRust answers ErrMissing if there is no Rust that makes components.
func findRust(ctx context.Context) error {
	if _, err := exec.LookPath("cargo"); err != nil {
		return ErrMissing
	}
	libs, err := exec.CommandContext(ctx, "rustc", "--print", "target-libdir", "--target", "wasm32-wasip2").Output()
	if err != nil {
		return ErrMissing
	}
	if _, err := os.Stat(strings.TrimSpace(string(libs))); err != nil {
		return ErrMissing
	}
	return nil
}

// project writes a project, and more files beside its own, into a directory of the user's cache that is named after what
// it holds.
func project(from embed.FS, root string, more ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	files := map[string][]byte{} // by their path in the directory
	for _, start := range append(more, root) {
		err := fs.WalkDir(from, start, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := from.ReadFile(name)
			files[strings.TrimPrefix(strings.TrimPrefix(name, root+"/"), path.Dir(root)+"/")] = text
			return err
		})
		if err != nil {
			return "", err
		}
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(sum, "%s %d\n%s", name, len(files[name]), files[name])
	}
	dir := filepath.Join(cache, "sett", "benchmarks", path.Base(root)+"-"+hex.EncodeToString(sum.Sum(nil)[:6]))
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}
