// Package sdk carries the sources of the Go SDK inside the binary, so that "sett new" can vendor them and a project
// builds without network and outside a checkout.
package sdk

import (
	"archive/zip"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/sett-run/sett/kv/op"
)

// Module is the module path of what Sources holds.
const Module = "github.com/sett-run/sett"

// goMod has no requirements: the SDK uses the standard library only, so a guest's go.sum stays empty. The go line
// is that of our own go.mod; a test compares them.
const goMod = `// Sett's Go SDK. Apache License 2.0: https://www.apache.org/licenses/LICENSE-2.0
module ` + Module + `

go 1.26.0
`

//go:embed abi/*.go go
var source embed.FS

// Sources answers the files of module github.com/sett-run/sett that a guest needs: go.mod, sdk/abi, sdk/go and
// kv/op, without tests. A project uses a copy of it with
//
//	require github.com/sett-run/sett v0.0.0
//	replace github.com/sett-run/sett => ./.sett/sdk
//
// It panics when the binary's own files cannot be read, which is a bug.
func Sources() fs.FS {
	tree, err := collect()
	if err != nil {
		panic(fmt.Sprintf("collect SDK sources: %v", err))
	}
	return tree
}

// collect packs the files in memory, as the simplest tree that is a file system.
func collect() (fs.FS, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	if err := add(w, "go.mod", []byte(goMod)); err != nil {
		return nil, err
	}
	if err := addTree(w, source, "sdk"); err != nil {
		return nil, err
	}
	if err := addTree(w, op.Source, "kv/op"); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
}

// addTree adds the Go files of a tree under a folder, but tests and what only serves to embed.
func addTree(w *zip.Writer, tree fs.FS, folder string) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir(), path.Ext(name) != ".go", strings.HasSuffix(name, "_test.go"), path.Base(name) == "source.go":
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		return add(w, path.Join(folder, name), data)
	})
}

func add(w *zip.Writer, name string, data []byte) error {
	f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return err
}
