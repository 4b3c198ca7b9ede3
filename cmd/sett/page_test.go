package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// root is the repository's folder.
const root = "../.."

// A block is code of a page of the documentation.
type block struct {
	language string // what stands behind the fence: sh, console, go, ...
	line     int    // of the fence
	text     string
	notRun   string // why no script runs it; empty: one does
	soon     bool   // its commands are repeated until they answer what the page says
}

// shell reports whether readers type what the block says.
func (b block) shell() bool { return b.language == "sh" || b.language == "console" }

// What is wrong with a page.
var (
	errUnfenced = errors.New("code that is indented, not fenced")
	errUnknown  = errors.New("fence without a language that this test knows")
	errUnclosed = errors.New("fence that is not closed")
	errNoShell  = errors.New("comment before a block that is no sh and no console")
)

// readPage finds the blocks of a page. All code is fenced and has a language. On the line before a block may stand, unseen by
// readers, "<!-- not run: WHY -->" or "<!-- soon -->".
func readPage(name string) ([]block, error) {
	file, err := os.Open(filepath.Join(root, name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var blocks []block
	var open *block
	comment := ""
	number := 0
	for s := bufio.NewScanner(file); s.Scan(); {
		line := s.Text()
		number++
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case open != nil && fence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.text += line + "\n"
		case fence:
			if open, err = newBlock(language, comment); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, number, err)
			}
			open.line, comment = number, ""
		case strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t"):
			return nil, fmt.Errorf("%s:%d: %w", name, number, errUnfenced)
		case line != "":
			comment = line
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, open.line, errUnclosed)
	}
	return blocks, nil
}

// newBlock makes a block of the language behind its fence and the line before it.
func newBlock(language, comment string) (*block, error) {
	b := &block{language: language, soon: comment == "<!-- soon -->"}
	if why, ok := strings.CutPrefix(comment, "<!-- not run: "); ok {
		b.notRun = strings.TrimSuffix(why, " -->")
	}
	others := []string{"text", "go", "c", "js", "python", "rust", "yaml", "json", "proto"}
	if !b.shell() && !slices.Contains(others, language) {
		return nil, errUnknown
	}
	if !b.shell() && (b.soon || b.notRun != "") {
		return nil, errNoShell
	}
	return b, nil
}

// pages are all that tell readers what to type.
func pages(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"README.md", "CONTRIBUTING.md", "docs/*.md", "examples/*/README.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("glob %s: %v, %v", pattern, found, err)
		}
		for _, f := range found {
			names = append(names, strings.TrimPrefix(f, root+"/"))
		}
	}
	return names
}

// TestPagesAreRun: each page with commands is run by a script, and says why it is not of those blocks that are not.
func TestPagesAreRun(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range scripts {
		text, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(string(text), "\n")...)
	}
	for _, name := range pages(t) {
		blocks, err := readPage(name)
		if err != nil {
			t.Error(err)
		}
		run := slices.ContainsFunc(lines, func(l string) bool { return l == "page "+name || strings.HasPrefix(l, "page "+name+" ") })
		commands := slices.ContainsFunc(blocks, func(b block) bool { return b.shell() && b.notRun == "" })
		if run != commands {
			t.Errorf("%s: has commands to run: %v, has a script that runs them: %v", name, commands, run)
		}
	}
}

// TestScriptsHaveThePagesManifests: what commands of these pages are about is what the scripts that run them deploy.
func TestScriptsHaveThePagesManifests(t *testing.T) {
	for page, script := range map[string]string{"docs/EVENTS.md": "events", "docs/UPLOADS.md": "upload"} {
		blocks, err := readPage(page)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile("testdata/script/" + script + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		manifest := slices.IndexFunc(blocks, func(b block) bool { return b.language == "yaml" })
		if manifest < 0 || !strings.Contains(string(text), "sett.yaml --\n"+blocks[manifest].text) {
			t.Errorf("%s.txtar has not the manifest of %s", script, page)
		}
	}
}

// TestReadmeHasTheProjectsCode: the function in README.md is the one that sett new makes.
func TestReadmeHasTheProjectsCode(t *testing.T) {
	blocks, err := readPage("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("template/go/main.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	shop := strings.ReplaceAll(string(program), "__NAME__", "shop")
	code := slices.IndexFunc(blocks, func(b block) bool { return b.language == "go" })
	if code < 0 || !strings.Contains(shop, blocks[code].text) {
		t.Errorf("README.md has not the code of the new project:\n%s", shop)
	}
}

// TestLinks: what pages link to in this repository is there, down to the heading.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`)
	for _, name := range pages(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			file, heading := filepath.Join(root, filepath.Dir(name), m[1]), m[2]
			if m[1] == "" {
				file = filepath.Join(root, name)
			}
			if strings.Contains(m[1], "://") || strings.ContainsAny(m[1], " ,=") {
				continue
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			} else if heading != "" && !hasHeading(t, file, heading) {
				t.Errorf("%s links to #%s of %s, which is not there", name, heading, m[1])
			}
		}
	}
}

// hasHeading reports whether a page has a heading that GitHub gives this anchor.
func hasHeading(t *testing.T, file, anchor string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(strings.TrimLeft(line, "#")))
		if slug == anchor {
			return true
		}
	}
	return false
}
