package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// isTestName reports whether a word could be the name of a test or a fuzz target.
func isTestName(word string) bool {
	return regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`).MatchString(word)
}

// testsOf finds the names of all tests, with the folders that have one of the name.
func testsOf(t *testing.T) map[string][]string {
	t.Helper()
	heading := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	tests := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		for _, m := range heading.FindAllSubmatch(text, -1) {
			tests[string(m[1])] = append(tests[string(m[1])], filepath.ToSlash(folder))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// TestNamedTestsExist: each test and script that a page names is there, in the package that the page says.
func TestNamedTestsExist(t *testing.T) {
	tests := testsOf(t)
	for _, page := range pages(t) {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Split(string(text), "`") // those at odd places are code
		for i := 1; i < len(words); i += 2 {
			word, before := words[i], strings.TrimSpace(words[i-1])
			if script := strings.TrimSuffix(word, ".txtar"); strings.HasSuffix(before, "script") && !isFile("testdata/script/"+script+".txtar") {
				t.Errorf("%s names script %s, which is not there", page, script)
			}
			if !isTestName(word) {
				continue
			}
			folders := tests[word]
			if len(folders) == 0 {
				t.Errorf("%s names %s, which is not there", page, word)
			} else if i >= 2 && before == "" && isDirectory(filepath.Join(root, words[i-2])) && !slices.Contains(folders, words[i-2]) {
				t.Errorf("%s names %s of %s, which is in %v", page, word, words[i-2], folders)
			}
		}
	}
}

// TestGuaranteesNameTests: each promise of docs/GUARANTEES.md names a test, a fuzz target or a script that holds it.
func TestGuaranteesNameTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "GUARANTEES.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, promise := range strings.Split(string(text), "\n- ")[1:] {
		promise, _, _ = strings.Cut(promise, "\n\n")
		if strings.HasPrefix(promise, "**Not promised**") {
			continue
		}
		words := strings.Split(promise, "`")
		if !slices.ContainsFunc(words, isTestName) && !strings.Contains(promise, "script") {
			t.Errorf("this promise names no test: %s", promise)
		}
	}
}
