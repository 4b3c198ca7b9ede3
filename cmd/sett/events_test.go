package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"
)

// TestDocumentedEvents: the script runs the example of docs/EVENTS.md: its manifest and its commands.
func TestDocumentedEvents(t *testing.T) {
	page, err := os.ReadFile("../../docs/EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/script/events.txtar")
	if err != nil {
		t.Fatal(err)
	}
	manifest := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if manifest == nil || !bytes.Contains(script, append([]byte("-- app/sett.yaml --\n"), manifest[1]...)) {
		t.Errorf("the script has not the manifest of the page: %s", manifest)
	}
	commands := regexp.MustCompile(`(?m)^    (sett events .*)$`).FindAllSubmatch(page, -1)
	for _, c := range commands {
		if !bytes.Contains(script, append([]byte("\nexec "), append(c[1], '\n')...)) {
			t.Errorf("the script does not run %s", c[1])
		}
	}
	if len(commands) == 0 {
		t.Error("the page has no commands")
	}
}
