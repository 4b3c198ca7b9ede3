package manifest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentedManifests: the files in docs/MANIFEST.md and other pages are read without faults, and it names every event.
func TestDocumentedManifests(t *testing.T) {
	text, err := os.ReadFile("../../docs/MANIFEST.md")
	if err != nil {
		t.Fatal(err)
	}
	_, compiled := readSchema(t)
	yamlBlock := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	blocks := yamlBlock.FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Error("docs/MANIFEST.md has no manifest")
	}
	for _, b := range blocks {
		app, err := Parse("docs/MANIFEST.md", b[1])
		if err != nil {
			t.Error(err)
			continue
		}
		if len(app.Notes) > 0 {
			t.Errorf("notes = %q, want none", app.Notes)
		}
		if err := compiled.Validate(plainDocument(t, string(b[1]))); err != nil {
			t.Error(err)
		}
	}
	for _, page := range []string{"../../README.md", "../../docs/QUEUES.md", "../../docs/TOPICS.md", "../../docs/SCHEDULES.md", "../../docs/STREAMS.md", "../../docs/ASYNC.md"} {
		other, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range yamlBlock.FindAllSubmatch(other, -1) {
			if app, err := Parse(page, b[1]); err != nil {
				t.Error(err)
			} else if len(app.Notes) > 0 {
				t.Errorf("%s: notes = %q, want none", page, app.Notes)
			}
		}
	}
	for _, kind := range slices.Concat(eventWords().offered, []string{"s3", "eventBridge"}) {
		if !strings.Contains(string(text), "`"+kind+"`") {
			t.Errorf("docs/MANIFEST.md does not name the event %s", kind)
		}
	}
}
