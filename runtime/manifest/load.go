package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// load parses data to a tree, without following aliases, and answers its root.
func (r *reader) load(file string, data []byte) *yaml.Node {
	if len(data) > MaxFileBytes {
		r.faults = append(r.faults, Fault{File: file, Message: fmt.Sprintf("file is larger than %d KiB", MaxFileBytes>>10)})
		return nil
	}
	var doc yaml.Node
	limits := loaderlimits.New(loaderlimits.DepthValue(MaxDepth))
	if err := yaml.Load(data, &doc, yaml.WithPlugin(limits)); err != nil {
		r.yamlError(file, err)
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 || isNull(doc.Content[0]) {
		r.emptyFile(file)
		return nil
	}
	return doc.Content[0]
}

func (r *reader) emptyFile(file string) {
	message := "file is empty"
	if file == r.config.File {
		message += ": a manifest needs at least one function"
	}
	r.faults = append(r.faults, Fault{file, 1, 1, "", message})
}

// yamlError turns what the YAML library says into faults.
func (r *reader) yamlError(file string, err error) {
	var list *yaml.LoadErrors
	if errors.As(err, &list) {
		for _, e := range list.Errors {
			r.yamlFault(file, e)
		}
		return
	}
	var one *yaml.LoadError
	if errors.As(err, &one) {
		r.yamlFault(file, one)
		return
	}
	r.faults = append(r.faults, Fault{File: file, Message: "not YAML: " + err.Error()})
}

func (r *reader) yamlFault(file string, e *yaml.LoadError) {
	message := strings.TrimPrefix(e.Message, "yaml: ")
	if message == "no documents in stream" {
		r.emptyFile(file)
		return
	}
	if e.ContextMsg != "" {
		message = e.ContextMsg + ": " + message
	}
	r.faults = append(r.faults, Fault{file, e.Mark.Line, e.Mark.Column, "", "not YAML: " + message})
}

// errBroken says that the fault is told already.
var errBroken = errors.New("told already")

// open answers the content of a file of the project, nil when it is not there. YAML and JSON are trees; anything
// else is text.
func (r *reader) open(name string) (*yaml.Node, error) {
	clean := path.Clean(name)
	switch ext := path.Ext(clean); {
	case !fs.ValidPath(clean) || clean == "." || strings.Contains(clean, "\\"):
		return nil, fmt.Errorf("%q is no file below the manifest's folder", clip(name))
	case ext == ".js" || ext == ".cjs" || ext == ".mjs" || ext == ".ts":
		return nil, fmt.Errorf("%q is a program; files of YAML, JSON and text are offered", clip(name))
	case r.config.Files == nil:
		return nil, errors.New("there are no files to read here")
	}
	if n, seen := r.files[clean]; seen {
		if n == r.broken {
			return nil, errBroken
		}
		return n, nil
	}
	if len(r.files) == MaxFiles {
		return nil, fmt.Errorf("more than %d files", MaxFiles)
	}
	n, err := r.read(clean)
	r.files[clean] = n
	if err != nil {
		r.files[clean] = r.broken
	}
	return n, err
}

func (r *reader) read(name string) (*yaml.Node, error) {
	info, err := fs.Stat(r.config.Files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is no regular file", clip(name))
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", clip(name), err)
	}
	f, err := r.config.Files.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", clip(name), err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", clip(name), err)
	}
	shown := path.Join(path.Dir(r.config.File), name)
	if ext := path.Ext(name); ext != ".yml" && ext != ".yaml" && ext != ".json" {
		if len(data) > MaxFileBytes {
			return nil, fmt.Errorf("%q is larger than %d KiB", clip(name), MaxFileBytes>>10)
		}
		n := r.textNode(string(data), &yaml.Node{Line: 1, Column: 1})
		r.origin[n] = shown
		return n, nil
	}
	root := r.load(shown, data)
	if root == nil {
		return nil, errBroken
	}
	r.mark(root, shown)
	return root, nil
}

// mark remembers which file the nodes of a tree stand in. Aliases lead back into the tree, so they are not followed.
func (r *reader) mark(n *yaml.Node, file string) {
	r.origin[n] = file
	for _, sub := range n.Content {
		r.mark(sub, file)
	}
}
