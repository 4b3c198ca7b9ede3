package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk"
	"github.com/sett-run/sett/sdk/abi"
)

// templates are the files of new projects, a folder a language; __NAME__ stands for the project's name.
//
//go:embed template
var templates embed.FS

// sdkDir is where a project keeps the SDK's sources.
const sdkDir = ".sett/sdk"

// new makes a project that builds, deploys and has a test, without a network.
func (c *cli) new() *cobra.Command {
	lang := ""
	cmd := &cobra.Command{
		Use:   "new DIR",
		Short: "Create a project that builds, deploys and has a test",
		Long: "A project in Go builds without a network; the others are wasi:http components, whose first build\n" +
			"downloads what their README names.",
		Example: "  sett new my-app\n" +
			"  sett new my-app --lang js",
		Args: arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			test, known := projectTests()[language(lang)]
			if !known {
				return usage("new: --lang %q: it is go, js, c or rust", lang)
			}
			name, err := makeProject(args[0], language(lang))
			if err != nil {
				return fmt.Errorf("new %s: %w", args[0], err)
			}
			if c.format == formatJSON {
				return c.json(map[string]string{"dir": args[0], "function": name})
			}
			_, err = fmt.Fprintf(c.out, "%s holds function %s. Next:\n\n  cd %s\n%s  sett deploy      with a node running: sett up\n", args[0], name, args[0], test)
			return err
		},
	}
	cmd.Flags().StringVar(&lang, "lang", "go", "`LANGUAGE` language of the project: go, js, c or rust")
	return cmd
}

// projectTests are the languages there are projects in, each with the line that tells how its test is run before it is
// deployed, if it can.
func projectTests() map[language]string {
	return map[language]string{goLanguage: "  go test .\n", jsLanguage: "  node --test\n", rustLanguage: "  cargo test\n", cLanguage: ""}
}

// makeProject fills a folder that is empty or not there yet, and answers the function's name. On an error nothing
// is left in it.
func makeProject(dir string, l language) (name string, err error) {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if name, err = projectName(filepath.Base(whole)); err != nil {
		return "", err
	}
	switch entries, err := os.ReadDir(whole); {
	case err == nil && len(entries) > 0:
		return "", abi.WithCode(abi.Conflict, fmt.Errorf("the folder is not empty: it holds %s", entries[0].Name()))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", abi.WithCode(abi.Conflict, err)
	}
	files, err := projectFiles(name, l)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(whole, 0o755); err != nil {
		return "", err
	}
	if err := writeFiles(whole, files); err != nil {
		return "", errors.Join(err, empty(whole))
	}
	return name, nil
}

// projectName makes a function's name of a folder's: lower case, with - for what a name cannot hold.
func projectName(folder string) (string, error) {
	dash := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}
	name := strings.Trim(strings.Map(dash, strings.ToLower(folder)), "-")
	if err := registry.CheckName("function", name); err != nil {
		return "", fmt.Errorf("the folder's name does not make a function's: %w", err)
	}
	return name, nil
}

// projectFiles are a new project's files with their content, by slash path.
func projectFiles(name string, l language) (map[string][]byte, error) {
	files := map[string][]byte{}
	folder := "template/" + string(l)
	err := fs.WalkDir(templates, folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(templates, path)
		if err != nil {
			return err
		}
		file := strings.TrimSuffix(strings.TrimPrefix(path, folder+"/"), ".txt")
		if file == "gitignore" {
			file = ".gitignore"
		}
		files[file] = []byte(strings.ReplaceAll(string(text), "__NAME__", name))
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read templates: %w", err)
	case l != goLanguage:
		return files, nil
	}
	return files, addSDK(files, sdkDir)
}

// addSDK adds the SDK's sources below dir, as a module of its own.
func addSDK(files map[string][]byte, dir string) error {
	sources := sdk.Sources()
	return fs.WalkDir(sources, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(sources, path)
		if err != nil {
			return fmt.Errorf("read SDK: %w", err)
		}
		files[dir+"/"+path] = text
		return nil
	})
}

func writeFiles(dir string, files map[string][]byte) error {
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// empty removes what is in a folder.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}
