package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/sett-run/sett/sdk/abi"
)

func TestConfigPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("http: file:1\nadmin: file:2\nname: file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := upConfig{HTTP: "flag:1", File: file}.complete([]string{"SETT_HTTP=env:1", "SETT_ADMIN=env:2", "SETT_REGION=", "HOME=/home/x"})
	if err != nil {
		t.Fatal(err)
	}
	want := upConfig{Data: "/home/x/.local/share/sett", HTTP: "flag:1", Admin: "env:2", Name: "file", File: file}
	if got != want {
		t.Errorf("complete = %+v, want %+v", got, want)
	}
	if got, err = (upConfig{}).complete([]string{"SETT_CONFIG=" + file, "SETT_DATA=d"}); err != nil || got.Name != "file" || got.Data != "d" {
		t.Errorf("with SETT_CONFIG: %+v, %v; want the file's name", got, err)
	}
}

func TestDefaultData(t *testing.T) {
	for _, c := range []struct{ xdg, home, want string }{
		{"/data", "/home/x", "/data/sett"}, {"", "/home/x", "/home/x/.local/share/sett"}, {"relative", "/home/x", "/home/x/.local/share/sett"},
		{"", "", ""}, {"", "relative", ""},
	} {
		got, err := defaultData(map[string]string{"XDG_DATA_HOME": c.xdg, "HOME": c.home})
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("defaultData(%q, %q) = %q, %v; want %q", c.xdg, c.home, got, err, c.want)
		}
	}
}

func TestConfigFileLimit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	for size, want := range map[int]abi.Code{maxConfigBytes: "", maxConfigBytes + 1: abi.TooLarge} {
		if err := os.WriteFile(file, []byte("#"+strings.Repeat("x", size-1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := new(upConfig).read(file); abi.CodeOf(err) != want {
			t.Errorf("read of %d bytes: %v, want code %q", size, err, want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	for _, seed := range []string{"data: /x\nhttp: 127.0.0.1:0", "", "- a", "a: &a [*a]", "? [x]\n: y", "data: a\ndata: b", "'", "name: ~"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c upConfig
		if err := c.parse(text, "f.yaml"); err != nil && !strings.Contains(err.Error(), "f.yaml") {
			t.Errorf("error does not name the file: %v", err)
		}
	})
}

// TestDocumentedSettings: docs/OPERATIONS.md has every flag of sett up and its environment variable.
func TestDocumentedSettings(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	(&cli{}).up().Flags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(string(text), "`--"+f.Name+"`") {
			t.Errorf("docs/OPERATIONS.md does not name --%s", f.Name)
		}
		if _, variable, ok := strings.Cut(f.Usage, "(SETT_"); ok {
			variable = "`SETT_" + variable[:strings.IndexAny(variable, ",)")] + "`"
			if !strings.Contains(string(text), variable) {
				t.Errorf("docs/OPERATIONS.md does not name %s", variable)
			}
		}
	})
}
