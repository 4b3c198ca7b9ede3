// Package manifest reads the deployment file of an app: sett.yaml, or the serverless.yml shape people already
// have. Its main function is Parse. It guarantees that a file is either understood whole or refused with every
// fault at once, each with its place and the nearest right word: what we know of serverless and do not offer yet
// is refused by name, what only means something in somebody's cloud is noted, and nothing is ignored silently.
// It does no I/O; the caller reads the file.
package manifest

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of a manifest. They bound what reading a hostile file costs; raising one costs time and memory only.
const (
	MaxFileBytes = 256 << 10
	MaxDepth     = 64    // nested lists and mappings
	MaxFields    = 20000 // fields read, counted again each time an alias is followed
	MaxFunctions = 100   // one deployment is one transaction
	MaxFaults    = 50    // reported; the rest is counted
)

// Names of the files that hold a manifest, in the order they are looked for.
const (
	File           = "sett.yaml"
	ServerlessFile = "serverless.yml"
)

// App is what a manifest describes.
type App struct {
	Name      string     // service; empty when the file names none
	Functions []Function // in the order of the file
	Notes     []string   // keys that have no effect here, with their place
}

// Function is one entry under functions.
type Function struct {
	Name     string
	Module   string            // slash path relative to the manifest's folder: "handlers/users"; "users.wasm" when the handler names the file
	Settings registry.Settings // defaults not filled in; Handler is the Handle, empty when the handler names none
}

// Parse reads a manifest. File is the name to show in faults. The error joins every fault, one a line, and has
// the code abi.InvalidInput; errors.As finds the Faults.
func Parse(file string, data []byte) (*App, error) {
	r := &reader{file: file}
	app := r.app(data)
	if len(r.faults) > 0 {
		return nil, abi.WithCode(abi.InvalidInput, r.faults)
	}
	return app, nil
}

// app reads the whole file. What it answers is only good when r has no faults.
func (r *reader) app(data []byte) *App {
	app := &App{}
	root := r.load(data)
	if root == nil {
		return app
	}
	var provider settings
	var functions *yaml.Node
	for _, f := range r.mapping("", root) {
		switch f.key {
		case "service":
			app.Name = r.service(f)
		case "provider":
			provider = r.provider(f)
		case "functions":
			functions = f.value
		default:
			r.other(f, topWords())
		}
	}
	if functions == nil {
		r.faultAt(root, "functions", "missing: a manifest needs at least one function")
		return app
	}
	app.Functions = r.functions(functions, provider)
	app.Notes = r.notes
	return app
}

// service reads the app's name: a word, or a mapping with name.
func (r *reader) service(f field) string {
	value, at := f.value, f
	if value.Kind == yaml.MappingNode {
		at.value = nil
		for _, sub := range r.mapping(f.path, value) {
			if sub.key == "name" {
				at = sub
				continue
			}
			r.other(sub, words{offered: []string{"name"}})
		}
		if at.value == nil {
			r.faultAt(value, f.path, "name is missing")
			return ""
		}
	}
	name, ok := r.text(at)
	if !ok {
		return ""
	}
	if err := registry.CheckName("app", name); err != nil {
		r.faultAt(at.value, at.path, "%v", err)
	}
	return name
}

// load parses data to a tree, without following aliases, and answers the root mapping.
func (r *reader) load(data []byte) *yaml.Node {
	if len(data) > MaxFileBytes {
		r.add(0, 0, "", fmt.Sprintf("file is larger than %d KiB", MaxFileBytes>>10))
		return nil
	}
	var doc yaml.Node
	limits := loaderlimits.New(loaderlimits.DepthValue(MaxDepth))
	if err := yaml.Load(data, &doc, yaml.WithPlugin(limits)); err != nil {
		r.yamlError(err)
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 || isNull(doc.Content[0]) {
		r.add(1, 1, "", "file is empty: a manifest needs at least one function")
		return nil
	}
	return doc.Content[0]
}

// yamlError turns what the YAML library says into faults.
func (r *reader) yamlError(err error) {
	var list *yaml.LoadErrors
	if errors.As(err, &list) {
		for _, e := range list.Errors {
			r.yamlFault(e)
		}
		return
	}
	var one *yaml.LoadError
	if errors.As(err, &one) {
		r.yamlFault(one)
		return
	}
	r.add(0, 0, "", "not YAML: "+err.Error())
}

func (r *reader) yamlFault(e *yaml.LoadError) {
	message := strings.TrimPrefix(e.Message, "yaml: ")
	if message == "no documents in stream" {
		r.add(1, 1, "", "file is empty: a manifest needs at least one function")
		return
	}
	if e.ContextMsg != "" {
		message = e.ContextMsg + ": " + message
	}
	r.add(e.Mark.Line, e.Mark.Column, "", "not YAML: "+message)
}
