// Package manifest reads the deployment file of an app: sett.yaml, or the serverless.yml shape people already
// have. Its main function is Parse. It guarantees that a file is either understood whole or refused with every
// fault at once, each with its place and the nearest right word: what we know of serverless and do not offer yet
// is refused by name, what only means something in somebody's cloud is noted, and nothing is ignored silently.
// Variables are resolved where a value is used. It does no I/O; the caller reads the file, and says by a Config
// where the values of variables come from.
package manifest

import (
	"cmp"
	"io/fs"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of a manifest. They bound what reading a hostile file costs; raising one costs time and memory only.
const (
	MaxFileBytes     = 256 << 10 // the manifest, and each file that ${file(...)} names
	MaxDepth         = 64        // nested lists and mappings, and variables whose value is a variable
	MaxFields        = 20000     // fields and variables read, counted again each time an alias or a variable is followed
	MaxFunctions     = 100       // one deployment is one transaction
	MaxChannels      = 100       // queues, topics, and buckets
	MaxFiles         = 64        // that ${file(...)} names
	MaxExpandedBytes = 4 << 20   // text made of variables
	MaxFaults        = 50        // reported; the rest is counted
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
	Queues    []registry.Queue
	Topics    []registry.Topic
	Buckets   []string
	Notes     []string // keys that have no effect here, with their place
}

// Function is one entry under functions.
type Function struct {
	Name     string
	Module   string            // slash path relative to the manifest's folder: "handlers/users"; "users.wasm" when the handler names the file
	Settings registry.Settings // defaults not filled in; Handler is the Handle, empty when the handler names none
}

// Config says how to read a manifest. With the zero value there are no files, options, parameters and environment
// variables to take values from, and of schedules and filters only the form is checked.
type Config struct {
	File    string                      // name to show in faults
	Env     func(string) (string, bool) // ${env:NAME}
	Options map[string]string           // ${opt:NAME}; stage is the stage
	Params  map[string]string           // ${param:NAME}; they win over those of the file
	Files   fs.FS                       // ${file(PATH)}: the manifest's folder
	// Schedule checks an expression, in a timezone that is empty for UTC. Its error is shown behind the expression's place.
	Schedule func(expression, timezone string) error
	Filter   func(pattern []byte) error // the same for a filter policy or pattern
	// Transformer is the same for an input transformer.
	Transformer func(t registry.InputTransformer) error
}

// Parse reads a manifest. File is the name to show in faults. The error joins every fault, one a line, and has
// the code abi.InvalidInput; errors.As finds the Faults.
func Parse(file string, data []byte) (*App, error) { return Config{File: file}.Parse(data) }

// Parse reads a manifest as c says. Errors are those of the function Parse.
func (c Config) Parse(data []byte) (*App, error) {
	r := c.reader()
	app := r.app(data)
	if err := r.err(); err != nil {
		return nil, err
	}
	return app, nil
}

// Service answers the app's name that a manifest gives, empty when it gives none. Faults elsewhere in the file are none
// here.
func (c Config) Service(data []byte) (string, error) {
	r := c.reader()
	var name string
	if r.root = r.load(c.File, data); r.root != nil {
		if f, ok := section(r.raw(field{value: r.root})).find("service"); ok {
			name = r.service(r.resolveAll([]field{f}))
		}
	}
	return name, r.err()
}

func (c Config) reader() *reader {
	return &reader{config: c, files: map[string]*yaml.Node{}, origin: map[*yaml.Node]string{}, resolved: map[*yaml.Node]*yaml.Node{},
		resources: map[string]resource{}, broken: &yaml.Node{Value: "broken"}, resolving: &yaml.Node{Value: "resolving"}}
}

// err answers all faults, in the order of their places, or nil.
func (r *reader) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		if file := r.config.File; a.File != b.File {
			return cmp.Or(first(b.File == file)-first(a.File == file), cmp.Compare(a.File, b.File))
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return abi.WithCode(abi.InvalidInput, r.faults)
}

func first(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// app reads the whole file. What it answers is only good when r has no faults.
func (r *reader) app(data []byte) *App {
	app := &App{}
	if r.root = r.load(r.config.File, data); r.root == nil {
		return app
	}
	sections := section(r.keys(field{value: r.root}, topWords()))
	app.Name = r.service(sections)
	defaults := r.defaults(sections)
	r.params(sections)
	functions, ok := sections.find("functions")
	if ok && functions.value.Kind == yaml.MappingNode {
		r.functionIDs(functions.value)
	}
	declared := r.channels(sections)
	app.Queues, app.Topics, app.Buckets = declared.queues, declared.topics, declared.buckets
	if !ok {
		if !r.hasKey(r.root, "functions") {
			r.faultAt(r.root, "functions", "missing: a manifest needs at least one function")
		}
		return app
	}
	app.Functions = r.functions(functions, defaults)
	r.checkNames(app)
	app.Notes = r.notes
	return app
}

// service reads the app's name: a word, or a mapping with name.
func (r *reader) service(sections section) string {
	at, ok := sections.find("service")
	if !ok {
		return ""
	}
	if at.value.Kind == yaml.MappingNode {
		before := len(r.faults)
		name, ok := section(r.keys(at, words{offered: []string{"name"}})).find("name")
		if !ok {
			if len(r.faults) == before {
				r.faultAt(at.value, at.path, "name is missing")
			}
			return ""
		}
		at = name
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

// params checks the shape of what ${param:...} reads: params.STAGE and stages.STAGE.params.
func (r *reader) params(sections section) {
	if f, ok := sections.find("params"); ok {
		for _, stage := range r.mapping(f) {
			r.raw(stage)
		}
	}
	if f, ok := sections.find("stages"); ok {
		for _, stage := range r.mapping(f) {
			for _, sub := range r.keys(stage, stageWords()) {
				r.raw(sub)
			}
		}
	}
}

// checkNames finds what names a queue, a topic, a bucket or a function that is not there, and nearly one that is.
func (r *reader) checkNames(app *App) {
	declared := map[string][]string{}
	for _, q := range app.Queues {
		declared[registry.DestinationQueue] = append(declared[registry.DestinationQueue], q.Name)
	}
	for _, t := range app.Topics {
		declared[registry.DestinationTopic] = append(declared[registry.DestinationTopic], t.Name)
	}
	declared[kindBucket] = app.Buckets
	for _, f := range app.Functions {
		declared[registry.DestinationFunction] = append(declared[registry.DestinationFunction], f.Name)
	}
	for _, u := range r.uses {
		names := declared[u.kind]
		near := Nearest(u.name, names)
		switch {
		case slices.Contains(names, u.name):
		case u.kind == registry.DestinationFunction:
			hint := didYouMean(near)
			if near == "" {
				hint = "; a queue is " + kindQueue + ":NAME, a topic " + kindTopic + ":NAME"
			}
			r.faultAt(u.at.value, u.at.path, "there is no function %q%s", clip(u.name), hint)
		case near != "":
			r.note(u.at.value, u.at.path, "%s %q is declared nowhere here%s", u.kind, clip(u.name), didYouMean(near))
		}
	}
}
