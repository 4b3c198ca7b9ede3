package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataDirKeepsIdentity(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "deep")
	first, err := openDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := first.ID
	if len(id) != 16 {
		t.Errorf("id = %q, want 16 digits", id)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	second, err := openDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if second.ID != id {
		t.Errorf("id after reopening = %q, want %q", second.ID, id)
	}
}

func TestDataDirRefuses(t *testing.T) {
	t.Parallel()
	write := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir string)
		sub     string
		want    string
	}{
		"second node": {func(t *testing.T, dir string) {
			d, err := openDataDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.close() })
		}, "", "locked by another node (process "},
		"newer format":      {write(formatFile, "7\n"), "", "format 7 was written by a newer sett; this one reads formats up to 1"},
		"foreign format":    {write(formatFile, "blue"), "", "not a data directory of sett"},
		"broken identity":   {write(identityFile, "{"), "", `want {"id":"..."}`},
		"empty identity":    {write(identityFile, "{}"), "", "no id"},
		"file in the place": {write("place", ""), "place", "not a directory"},
		"file above":        {write("place", ""), "place/below", "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.prepare(t, dir)
			d, err := openDataDir(filepath.Join(dir, c.sub))
			if err == nil {
				d.close()
				t.Fatal("opened, want an error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %q, want it to hold %q", err, c.want)
			}
		})
	}
}

func TestDataDirIsFreeAfterARefusal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, formatFile), []byte("9"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(dir); err == nil {
		t.Fatal("opened a newer format")
	}
	if err := os.Remove(filepath.Join(dir, formatFile)); err != nil {
		t.Fatal(err)
	}
	d, err := openDataDir(dir)
	if err != nil {
		t.Fatalf("open after the refusal's cause is gone: %v", err)
	}
	d.close()
}
