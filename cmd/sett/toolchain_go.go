package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// sdkPackage is the Go SDK's import path: what imports it is built as a reactor, which runs init and never main.
const sdkPackage = "github.com/sett-run/sett/sdk/go"

// goPackage is what go list tells of a package. Its fields are the toolchain's.
type goPackage struct {
	ImportPath, Name, Dir string
	Standard              bool
	EmbedPatterns         []string
	Module                *struct {
		Version, GoMod string
		Replace        *struct{ Version string }
	}
}

// buildGo builds a module from Go source, with the toolchain in PATH: a reactor when it imports the SDK, else a
// command. What Go says of faulty source is the error, as Go says it. It answers the packages that the module is made
// of, also with an error when they are known.
func buildGo(ctx context.Context, dir string, m module) ([]goPackage, error) {
	goTool, err := findGo()
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", m.name, err)
	}
	packages, err := listGo(ctx, goTool, dir, m.source)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", m.name, err)
	}
	if len(packages) == 0 || packages[len(packages)-1].Name != "main" {
		return packages, abi.WithCode(abi.InvalidInput, fmt.Errorf("build %s: %s is no program: its package must be main", m.name, m.source))
	}
	file, err := filepath.Abs(m.file)
	if err != nil {
		return packages, fmt.Errorf("build %s: %w", m.name, err)
	}
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", file}
	if slices.ContainsFunc(packages, func(p goPackage) bool { return p.ImportPath == sdkPackage }) {
		args = append(args, "-buildmode=c-shared")
	}
	if _, err := runGo(ctx, goTool, dir, append(args, m.source)...); err != nil {
		return packages, fmt.Errorf("build %s: %w", m.name, err)
	}
	return packages, nil
}

// listGo answers the package of a source and all it imports; its own is the last.
func listGo(ctx context.Context, goTool, dir, source string) ([]goPackage, error) {
	text, err := runGo(ctx, goTool, dir, "list", "-deps", "-json=ImportPath,Name,Dir,Standard,EmbedPatterns,Module", source)
	if err != nil {
		return nil, err
	}
	var packages []goPackage
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var p goPackage
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("read go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// findGo answers where the Go toolchain is.
func findGo() (string, error) { return findTool("go", "Go toolchain", "from https://go.dev/dl") }

// runGo runs the toolchain for WASI and answers its output.
func runGo(ctx context.Context, goTool, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, goTool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	return runCommand(ctx, cmd, "go "+args[0])
}
