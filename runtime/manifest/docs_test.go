package manifest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentedManifests: the manifests in README.md and docs are read without faults and notes, and meet the schema.
func TestDocumentedManifests(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	_, compiled := readSchema(t)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	var with []string
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks.FindAllSubmatch(text, -1) {
			with = append(with, filepath.Base(page))
			app, err := Parse(page, b[1])
			if err != nil {
				t.Error(err)
				continue
			}
			if len(app.Notes) > 0 {
				t.Errorf("%s: notes = %q, want none", page, app.Notes)
			}
			if err := compiled.Validate(plainDocument(t, string(b[1]))); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	for _, page := range []string{"MANIFEST.md", "SCHEDULES.md", "QUEUES.md", "TOPICS.md", "ASYNC.md", "FETCH.md", "EFFECTS.md", "EVENTS.md", "STREAMS.md", "UPLOADS.md", "README.md"} {
		if !slices.Contains(with, page) {
			t.Errorf("%s has no manifest", page)
		}
	}
}

// TestDocumentedEvents: docs/MANIFEST.md names every event.
func TestDocumentedEvents(t *testing.T) {
	text, err := os.ReadFile("../../docs/MANIFEST.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range eventWords().offered {
		if !strings.Contains(string(text), "`"+kind+"`") {
			t.Errorf("docs/MANIFEST.md does not name the event %s", kind)
		}
	}
}
