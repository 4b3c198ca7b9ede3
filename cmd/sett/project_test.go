package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes files below a temporary directory; a name that ends in / is a folder.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			path = filepath.Join(path, "x")
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindModule(t *testing.T) {
	for name, c := range map[string]struct {
		files              []string
		module             string
		source, file, want string // file is relative; want is part of an error
	}{
		"as it is":             {[]string{"a/users.wasm"}, "a/users", "", "a/users.wasm", ""},
		"package":              {[]string{"a/users/x.go"}, "a/users", "./a/users", ".sett/build/a/users.wasm", ""},
		"single file":          {[]string{"a/users.go"}, "a/users", "./a/users.go", ".sett/build/a/users.wasm", ""},
		"source wins":          {[]string{"users.go", "users.wasm"}, "users", "./users.go", ".sett/build/users.wasm", ""},
		"file named":           {[]string{"users.go", "users.wasm"}, "users.wasm", "", "users.wasm", ""},
		"folder without Go":    {[]string{"users/x.c", "users.wasm"}, "users", "", "users.wasm", ""},
		"folder of tests only": {[]string{"users/x_test.go"}, "users", "", "", "module users: looked for a Go package in"},
		"main":                 {[]string{"x.go"}, "main", ".", ".sett/build/main.wasm", ""},
		"main as it is":        {[]string{"main.wasm"}, "main", "", "main.wasm", ""},
		"JavaScript":           {[]string{"a/users.js", "a/users.wasm"}, "a/users", "./a/users.js", ".sett/build/a/users.wasm", ""},
		"Python":               {[]string{"users.py"}, "users", "./users.py", ".sett/build/users.wasm", ""},
		"C with a world":       {[]string{"users.c", "users.wit"}, "users", "./users.c", ".sett/build/users.wasm", ""},
		"C without":            {[]string{"users.c", "users.wasm"}, "users", "", "users.wasm", ""},
		"Cargo":                {[]string{"Cargo.toml"}, "main", "./Cargo.toml", ".sett/build/main.wasm", ""},
		"Cargo below":          {[]string{"a/users/Cargo.toml"}, "a/users", "./a/users/Cargo.toml", ".sett/build/a/users.wasm", ""},
		"nothing":              {nil, "users", "", "", "module users: looked for a Go package in"},
		"no file":              {nil, "users.wasm", "", "", "users.wasm is not there"},
		"a folder, not a file": {[]string{"users.wasm/"}, "users.wasm", "", "", "users.wasm is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &project{dir: tree(t, c.files...)}
			m, err := p.find(c.module)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("find(%q) error = %v, want %q", c.module, err, c.want)
				}
				return
			}
			if want := filepath.Join(p.dir, filepath.FromSlash(c.file)); err != nil || m.source != c.source || m.file != want {
				t.Errorf("find(%q) = %+v, %v; want source %q and file %s", c.module, m, err, c.source, want)
			}
		})
	}
}

func TestProjectName(t *testing.T) {
	for folder, want := range map[string]string{"hello": "hello", "My App": "my-app", "x_y.z": "x-y-z", "-a-": "a", "...": "", "/": "",
		strings.Repeat("a", 64): ""} {
		got, err := projectName(folder)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("projectName(%q) = %q, %v; want %q", folder, got, err, want)
		}
	}
}
