package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// componentizePy is the package that makes components of Python.
const componentizePy = "componentize-py==0.25.1"

// buildPython builds a component of a Python module that has a class IncomingHandler. The interfaces' declarations come
// with the npm packages.
func buildPython(ctx context.Context, source, out string) error {
	python, err := findTool("python3", "Python", "3.10 or later, with venv, from https://python.org (Debian: apt-get install python3-venv)")
	if err != nil {
		return err
	}
	b, err := openNode(ctx)
	if err != nil {
		return err
	}
	tool, err := openPython(ctx, python)
	if err != nil {
		return err
	}
	world, err := os.MkdirTemp("", "sett-wit-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(world)
	dir := filepath.Dir(source)
	if err := b.run(ctx, dir, "wit", world); err != nil {
		return err
	}
	_, err = runTool(ctx, dir, tool, "--wit-path", world, "--world", "main", "componentize", "--output", out,
		strings.TrimSuffix(filepath.Base(source), ".py"))
	return err
}

// openPython finds the package's program in an environment of its own, which the first build makes in the user's cache.
func openPython(ctx context.Context, python string) (string, error) {
	tool, err := pythonTool()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(tool); !errors.Is(err, fs.ErrNotExist) {
		return tool, err
	}
	dir := filepath.Dir(filepath.Dir(tool))
	if _, err := runTool(ctx, "", python, "-m", "venv", dir); err != nil {
		return "", fmt.Errorf("make Python environment: %w", err)
	}
	if _, err := runTool(ctx, "", filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", componentizePy); err != nil {
		return "", abi.WithCode(abi.Unavailable, errors.Join(fmt.Errorf("install %s: %w", componentizePy, err), os.RemoveAll(dir)))
	}
	return tool, nil
}

// pythonTool is where the package's program is, or will be.
func pythonTool() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	return filepath.Join(cache, "sett", strings.ReplaceAll(componentizePy, "==", "-"), "bin", "componentize-py"), nil
}
