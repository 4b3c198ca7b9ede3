package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// devModule is a module that is watched: what it was made of when it was last built.
type devModule struct {
	module
	path     string      // of the .wasm, or of the source in another language than Go, without links
	packages []goPackage // from this machine's folders, not the module cache; empty for a module without Go source
	fresh    bool        // its file is what its sources make
}

// touched says whether a change concerns the module.
func (m *devModule) touched(c change) bool {
	for path := range c.paths {
		if path == everything || m.source == "" && path == m.path || m.source != "" && m.madeOf(path) {
			return true
		}
	}
	return false
}

// otherSources are the files of components in other languages than Go, by extension.
const otherSources = " .js .mjs .py .c .h .wit .rs .toml .json "

// madeOf says whether a file takes part in building the module, going by its name: a package's sources are the files in
// its folder, what it embeds may be anywhere below. Sources in other languages may be anywhere below the folder.
func (m *devModule) madeOf(path string) bool {
	if m.language != goLanguage {
		return below(path, filepath.Dir(m.path)) && strings.Contains(otherSources, " "+filepath.Ext(path)+" ")
	}
	switch filepath.Base(path) {
	case "go.mod", "go.sum", "go.work", "go.work.sum":
		return true
	}
	folder, ext := filepath.Dir(path), filepath.Ext(path)
	source := (ext == ".go" || ext == ".s" || ext == ".h") && !strings.HasSuffix(path, "_test.go")
	return slices.ContainsFunc(m.packages, func(p goPackage) bool {
		return source && folder == p.Dir || len(p.EmbedPatterns) > 0 && below(path, p.Dir)
	})
}

func below(path, folder string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(folder, string(filepath.Separator))+string(filepath.Separator))
}

// localPackages are those packages that a person may be editing: neither Go's own nor downloaded. Their folders are
// without links.
func localPackages(packages []goPackage) ([]goPackage, error) {
	var local []goPackage
	for _, p := range packages {
		if p.Standard || p.downloaded() {
			continue
		}
		dir, err := whole(p.Dir)
		if err != nil {
			return nil, err
		}
		p.Dir = dir
		local = append(local, p)
	}
	return local, nil
}

// downloaded says whether the package lies in the module cache: its module, or what replaces it, has a version.
func (p goPackage) downloaded() bool {
	switch {
	case p.Module == nil:
		return false
	case p.Module.Replace != nil:
		return p.Module.Replace.Version != ""
	}
	return p.Module.Version != ""
}

// folders are where what the module is made of lies.
func (m *devModule) folders() []string {
	if m.language != goLanguage {
		return []string{filepath.Dir(m.path)}
	}
	var folders []string
	for _, p := range m.packages {
		folders = append(folders, p.Dir)
		if p.Module != nil && p.Module.GoMod != "" {
			folders = append(folders, filepath.Dir(p.Module.GoMod))
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

// whole makes a path absolute and takes links out of it, the way the watcher names what changes.
func whole(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	return path, nil
}
