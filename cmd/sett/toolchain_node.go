package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sett-run/sett/sdk/abi"
)

// nodeSources are the npm packages that make components, locked, and the script that uses them.
//
//go:embed toolchain/package.json toolchain/package-lock.json toolchain/build.mjs
var nodeSources embed.FS

// nodeBuilder runs the script of nodeSources.
type nodeBuilder struct{ node, script string }

// buildJS builds a component of a JavaScript module: one with a fetch event or one that exports incomingHandler.
func buildJS(ctx context.Context, source, out string) error {
	b, err := openNode(ctx)
	if err != nil {
		return err
	}
	return b.run(ctx, filepath.Dir(source), "js", filepath.Base(source), out)
}

// buildC builds a component of one C file, which stands without a C library, with the world of the .wit file beside it.
func buildC(ctx context.Context, source, out string) (err error) {
	clang, err := findTool("clang", "C compiler", "with its linker (Debian: apt-get install clang lld)")
	if err != nil {
		return err
	}
	b, err := openNode(ctx)
	if err != nil {
		return err
	}
	core := out + ".core"
	defer func() { err = errors.Join(err, removeThere(core)) }()
	dir, base := filepath.Split(source)
	if _, err := runTool(ctx, dir, clang, "--target=wasm32", "-nostdlib", "-mbulk-memory", "-Os", "-Wall", "-Wl,--no-entry,--strip-all",
		"-o", core, base); err != nil {
		return err
	}
	return b.run(ctx, dir, "wrap", base[:len(base)-len(".c")]+".wit", core, out)
}

// removeThere removes a file that may not be there.
func removeThere(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// openNode finds Node.js and the packages, which a user's first build downloads to his cache: 350 MB.
func openNode(ctx context.Context) (*nodeBuilder, error) {
	node, err := findTool("node", "Node.js", "with npm, version 20 or later, from https://nodejs.org")
	if err != nil {
		return nil, err
	}
	dir, err := nodeDir()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := installNode(ctx, dir); err != nil {
			return nil, fmt.Errorf("install npm packages: %w", err)
		}
	}
	text, err := nodeSources.ReadFile("toolchain/build.mjs")
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	script := filepath.Join(dir, "build-"+shortDigest(text)+".mjs") // beside others of other releases
	if !isFile(script) {
		if _, err := writeWhole(script, bytes.NewReader(text).WriteTo); err != nil {
			return nil, fmt.Errorf("write script: %w", err)
		}
	}
	return &nodeBuilder{node, script}, nil
}

// nodeDir is where the packages are, or will be: their digest is in its name.
func nodeDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	var all []byte
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := nodeSources.ReadFile("toolchain/" + name)
		if err != nil {
			return "", fmt.Errorf("read npm packages: %w", err)
		}
		all = append(all, text...)
	}
	return filepath.Join(cache, "sett", "node-"+shortDigest(all)), nil
}

func shortDigest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// installNode makes dir whole or not at all; another process may do the same at once.
func installNode(ctx context.Context, dir string) error {
	npm, err := findTool("npm", "npm", "with Node.js from https://nodejs.org")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	sources, err := fs.Sub(nodeSources, "toolchain")
	if err != nil {
		return err
	}
	if err := os.CopyFS(fresh, sources); err != nil {
		return err
	}
	if _, err := runTool(ctx, fresh, npm, "ci", "--no-audit", "--no-fund", "--no-update-notifier"); err != nil {
		return abi.WithCode(abi.Unavailable, err)
	}
	if err := os.Rename(fresh, dir); err != nil && !isFile(filepath.Join(dir, "package.json")) {
		return err
	}
	return nil
}

// run runs the script; files are relative to dir.
func (b *nodeBuilder) run(ctx context.Context, dir, what string, files ...string) error {
	_, err := runTool(ctx, dir, b.node, append([]string{b.script, what}, files...)...)
	return err
}
