package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// licencesPage lists what is linked into the program.
const licencesPage = "../../docs/DEPENDENCIES.md"

// licences are those that a program under Apache-2.0 may contain without more conditions than their notices, each with a
// phrase that only its text has.
var licences = []struct{ id, phrase string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"BSD-3-Clause", "neither the name of"},
	{"MIT", "permission is hereby granted, free of charge"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"ISC", "permission to use, copy, modify, and"},
}

// TestLicences compares the page with the licences of all modules in the program, for Linux.
func TestLicences(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}", ".")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(strings.ReplaceAll(string(out), "\t", "|"))
	slices.Sort(lines)
	var table strings.Builder
	for _, line := range slices.Compact(lines) {
		module, dir, _ := strings.Cut(line, "|")
		fmt.Fprintf(&table, "| %s | %s |\n", module, strings.Join(licencesOf(t, module, dir), ", "))
	}
	page, err := os.ReadFile(licencesPage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, []byte("|---|---|\n"+table.String())) {
		t.Errorf("%s does not have this table:\n%s", licencesPage, &table)
	}
}

// licencesOf reads a module's licence files. A module under two has both.
func licencesOf(t *testing.T, module, dir string) (ids []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.ToUpper(filepath.Base(file))
		if !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		words := strings.ToLower(strings.Join(strings.Fields(string(text)), " "))
		before := len(ids)
		for _, l := range licences {
			if strings.Contains(strings.ReplaceAll(words, "license, version 2.0", "license version 2.0"), l.phrase) {
				ids = append(ids, l.id)
			}
		}
		if len(ids) == before {
			t.Errorf("%s: %s is no licence that is known", module, name)
		}
	}
	if len(ids) == 0 {
		t.Errorf("%s has no licence", module)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
