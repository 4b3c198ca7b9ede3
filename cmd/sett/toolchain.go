package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// language is what a module's source is written in.
type language string

const (
	goLanguage     language = "go"
	jsLanguage     language = "js"
	cLanguage      language = "c"
	rustLanguage   language = "rust"
	pythonLanguage language = "python"
)

// buildModule builds a module from source with the toolchain of its language, which must be in PATH. What a compiler
// says of faulty source is the error, as the compiler says it. Of Go it answers the packages that the module is made
// of, also with an error when they are known.
func buildModule(ctx context.Context, dir string, m module) (packages []goPackage, err error) {
	if m.language == goLanguage {
		return buildGo(ctx, dir, m)
	}
	builders := map[language]func(ctx context.Context, source, out string) error{
		jsLanguage: buildJS, cLanguage: buildC, rustLanguage: buildRust, pythonLanguage: buildPython,
	}
	file, err := filepath.Abs(m.file)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", m.name, err)
	}
	source, err := filepath.Abs(m.sourcePath(dir))
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", m.name, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("build %s: %w", m.name, err)
	}
	if err := builders[m.language](ctx, source, file); err != nil {
		return nil, fmt.Errorf("build %s: %w", m.name, err)
	}
	return nil, nil
}

// findTool answers where a tool is. Its error says what is missing and where it is to be had.
func findTool(name, what, from string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", abi.WithCode(abi.NotFound, fmt.Errorf("no %s: there is no %s in PATH; install it %s and try again", what, name, from))
	}
	return path, nil
}

// runTool runs a tool in dir and answers its output. What it says when it fails is the error.
func runTool(ctx context.Context, dir, tool string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = dir
	return runCommand(ctx, cmd, filepath.Base(tool)+" "+args[0])
}

// runCommand runs a command, which title names in errors, and answers its output.
func runCommand(ctx context.Context, cmd *exec.Cmd, title string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	said := strings.TrimSpace(cmp.Or(stderr.String(), stdout.String()))
	if said == "" {
		return "", fmt.Errorf("run %s: %w", title, err)
	}
	return "", abi.WithCode(abi.InvalidInput, fmt.Errorf("%s:\n%s", title, said))
}
