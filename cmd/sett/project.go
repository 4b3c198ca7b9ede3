package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// project is what build and deploy work on: a folder with its functions, each with the module it needs.
type project struct {
	dir       string // everything else is relative to it
	manifest  string // path of the manifest; empty when a bare Go package or a module stands for itself
	app       string // from the manifest; empty when it names none
	functions []function
	queues    []registry.Queue
	topics    []registry.Topic
	buckets   []string
	notes     []string // of the manifest
	made      channels // what a deployment did to queues, topics and buckets
}

// variables are where a manifest's variables get their values from, besides its own folder and the environment.
type variables struct {
	stage           string
	options, params []string // KEY=VALUE
}

// flags adds the flags that set v.
func (v *variables) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&v.stage, "stage", "", "`NAME` value of the manifest's ${opt:stage} and ${sls:stage}")
	f.StringArrayVar(&v.options, "opt", nil, "`KEY=VALUE` value of the manifest's ${opt:KEY} (repeatable)")
	f.StringArrayVar(&v.params, "param", nil, "`KEY=VALUE` value of the manifest's ${param:KEY} (repeatable)")
}

// config says how to read a manifest with files below a folder.
func (v variables) config(path string, files fs.FS) (manifest.Config, error) {
	options, err := keyValues("opt", v.options)
	if err != nil {
		return manifest.Config{}, err
	}
	params, err := keyValues("param", v.params)
	if err != nil {
		return manifest.Config{}, err
	}
	if v.stage != "" {
		options["stage"] = v.stage
	}
	return manifest.Config{File: path, Env: os.LookupEnv, Options: options, Params: params, Files: files, Schedule: checkExpression,
		Filter: checkFilter, Transformer: trigger.CheckTransformer}, nil
}

// checkExpression checks one expression of a schedule.
func checkExpression(expression, timezone string) error {
	return trigger.CheckSchedule(registry.Schedule{Expressions: []string{expression}, Timezone: timezone})
}

// checkFilter checks a filter policy or pattern.
func checkFilter(pattern []byte) error {
	_, err := trigger.ParseFilter(pattern)
	return err
}

// function is a name with settings and where its module comes from.
type function struct {
	name     string
	settings registry.Settings
	module   module
}

// module is Wasm that exists or can be built.
type module struct {
	name     string   // as the manifest has it: "handlers/users"
	source   string   // what to build, relative to the project; empty when file is there as it is
	language language // of the source
	file     string   // path of the .wasm
}

// sourcePath is the path of the source of a project in dir; empty when there is none.
func (m module) sourcePath(dir string) string {
	if m.source == "" {
		return ""
	}
	return filepath.Join(dir, filepath.FromSlash(m.source))
}

// buildDir is where built modules go, below the project.
const buildDir = ".sett/build"

// openProject reads what path names: a manifest, a folder with one, a folder with a Go package, or a module.
func openProject(path string, v variables) (*project, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, notThere(path, err)
	}
	if info.IsDir() {
		return openFolder(path, v)
	}
	switch filepath.Ext(path) {
	case ".yaml", ".yml":
		return openManifest(path, v)
	case ".go", ".js", ".mjs", ".py", ".c", ".rs":
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("%s is source: give its folder, or a manifest that names it", path))
	}
	name := strings.TrimSuffix(filepath.Base(path), ".wasm")
	return &project{dir: filepath.Dir(path), functions: []function{{name: name, module: module{name: name, file: path}}}}, nil
}

func notThere(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return abi.WithCode(abi.NotFound, fmt.Errorf("%s: no such file or folder", path))
	}
	return fmt.Errorf("open %s: %w", path, err)
}

func openFolder(dir string, v variables) (*project, error) {
	for _, name := range []string{manifest.File, manifest.ServerlessFile} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return openManifest(path, v)
		}
	}
	if !hasGo(dir) {
		return nil, abi.WithCode(abi.NotFound, fmt.Errorf("%s holds no %s, no %s and no Go package; start a project with: sett new DIR",
			dir, manifest.File, manifest.ServerlessFile))
	}
	whole, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	p := &project{dir: dir}
	p.functions = []function{{name: filepath.Base(whole), module: p.built("main", ".", goLanguage)}}
	return p, nil
}

func openManifest(path string, v variables) (*project, error) {
	app, err := readManifest(path, v)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notThere(path, err)
	}
	if err != nil {
		return nil, err
	}
	p := &project{dir: filepath.Dir(path), manifest: path, app: app.Name, queues: app.Queues, topics: app.Topics, buckets: app.Buckets, notes: app.Notes}
	var faults []error
	for _, fn := range app.Functions {
		m, err := p.find(fn.Module)
		if err != nil {
			faults = append(faults, fmt.Errorf("functions.%s.handler: %w", fn.Name, err))
		}
		if err := trigger.Check(fn.Settings); err != nil { // what has no place of its own, such as an input path's inside
			return nil, fmt.Errorf("functions.%s: %w", fn.Name, err)
		}
		p.functions = append(p.functions, function{fn.Name, fn.Settings, m})
	}
	if len(faults) > 0 {
		return nil, abi.WithCode(abi.NotFound, errors.Join(faults...))
	}
	return p, nil
}

// readManifest reads a manifest and the files that its variables name, none above its folder, also by a link.
func readManifest(path string, v variables) (app *manifest.App, err error) {
	err = withManifest(path, v, func(c manifest.Config, text []byte) (err error) {
		app, err = c.Parse(text)
		return err
	})
	return app, err
}

// manifestApp answers the app that a manifest names; empty: none.
func manifestApp(path string) (name string, err error) {
	err = withManifest(path, variables{}, func(c manifest.Config, text []byte) (err error) {
		name, err = c.Service(text)
		return err
	})
	return name, err
}

// withManifest has a manifest's text read, with what is below its folder.
func withManifest(path string, v variables, read func(c manifest.Config, text []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, manifest.MaxFileBytes+1))
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	folder, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	defer folder.Close()
	config, err := v.config(path, folder.FS())
	if err != nil {
		return err
	}
	return read(config, text)
}

// find says where a manifest's module comes from. Source wins over a .wasm beside it, which may be stale, unless
// the handler names the .wasm; main is the folder's own package.
func (p *project) find(name string) (module, error) {
	base := filepath.Join(p.dir, filepath.FromSlash(name))
	if strings.HasSuffix(name, ".wasm") {
		if !isFile(base) {
			return module{}, fmt.Errorf("%s is not there", base)
		}
		return module{name: name, file: base}, nil
	}
	switch {
	case name == "main" && hasGo(p.dir), name == ".":
		return p.built("main", ".", goLanguage), nil
	case hasGo(base):
		return p.built(name, "./"+name, goLanguage), nil
	case isFile(base + ".go"):
		return p.built(name, "./"+name+".go", goLanguage), nil
	case isFile(base + ".js"):
		return p.built(name, "./"+name+".js", jsLanguage), nil
	case isFile(base + ".py"):
		return p.built(name, "./"+name+".py", pythonLanguage), nil
	case isFile(base+".c") && isFile(base+".wit"): // the world says that it is a component
		return p.built(name, "./"+name+".c", cLanguage), nil
	case name == "main" && isFile(filepath.Join(p.dir, "Cargo.toml")):
		return p.built("main", "./Cargo.toml", rustLanguage), nil
	case isFile(filepath.Join(base, "Cargo.toml")):
		return p.built(name, "./"+name+"/Cargo.toml", rustLanguage), nil
	case isFile(base + ".wasm"):
		return module{name: name, file: base + ".wasm"}, nil
	}
	return module{}, fmt.Errorf("module %s: looked for a Go package in %s, for %s.go and for %s.wasm, and for source in other languages: "+
		"%s.js, %s.py, %s.c with %s.wit, %s", name, base, base, base, base, base, base, base, filepath.Join(base, "Cargo.toml"))
}

// built is a module made from source.
func (p *project) built(name, source string, l language) module {
	return module{name, source, l, filepath.Join(p.dir, filepath.FromSlash(buildDir), filepath.FromSlash(name)+".wasm")}
}

// hasGo reports whether dir holds Go source other than tests.
func hasGo(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if n := e.Name(); e.Type().IsRegular() && strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") {
			return true
		}
	}
	return false
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
