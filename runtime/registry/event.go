package registry

import (
	"encoding/json"
	"maps"
	"strings"
)

// Limits of a rule on the event bus. They are EventBridge's.
const (
	MaxInputPaths     = 100  // of an input transformer
	MaxTemplateBytes  = 8192 // an input transformer's template
	maxInputNameBytes = 256  // one of an input transformer's names
)

// EventSource is a rule on the app's event bus: it gives a function the events that match a pattern. At most one of Input,
// InputPath and Transformer is set.
type EventSource struct {
	Name        string            `json:"name,omitempty"`       // unique in the function; empty: its number, from 1
	Pattern     json.RawMessage   `json:"pattern"`              // as EventBridge has it
	Input       json.RawMessage   `json:"input,omitempty"`      // what the function gets instead of the event
	InputPath   string            `json:"input_path,omitempty"` // JSONPath of the part of the event that it gets
	Transformer *InputTransformer `json:"input_transformer,omitempty"`
	DeadLetter  string            `json:"dead_letter,omitempty"` // queue for what could not be delivered
}

// InputTransformer makes JSON of an event, as EventBridge's does.
type InputTransformer struct {
	Paths    map[string]string `json:"paths,omitempty"` // JSONPaths by the name that the template has in < and >
	Template string            `json:"template"`
}

// complete answers e with no memory shared.
func (e EventSource) complete() *EventSource {
	e.Pattern, e.Input = canonicalJSON(e.Pattern), canonicalJSON(e.Input)
	if e.Transformer != nil {
		t := *e.Transformer
		t.Paths = maps.Clone(t.Paths)
		e.Transformer = &t
	}
	return &e
}

// documentBytes is how much JSON of a person's e holds.
func (e *EventSource) documentBytes() int {
	n := len(e.Pattern) + len(e.Input)
	if e.Transformer != nil {
		n += len(e.Transformer.Template)
		for name, path := range e.Transformer.Paths {
			n += len(name) + len(path)
		}
	}
	return n
}

// validate checks all but the inside of the pattern, the paths and the template, which package router/trigger reads.
func (e *EventSource) validate(faults *faults) {
	if e.Name != "" {
		if err := checkWord("rule", e.Name, MaxNameBytes); err != nil {
			faults.add("%w", err)
		} else if strings.Trim(e.Name, "0123456789") == "" {
			faults.add("rule name %q: reads as a rule's number; choose another", e.Name)
		}
	}
	if !isObject(e.Pattern) {
		faults.add("rule: pattern %.80q is no JSON object", e.Pattern)
	}
	ways := 0
	for _, set := range []bool{len(e.Input) > 0, e.InputPath != "", e.Transformer != nil} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		faults.add("rule: has several of input, input path and input transformer; one is allowed")
	}
	if len(e.Input) > 0 && !json.Valid(e.Input) {
		faults.add("rule: input is no JSON")
	}
	if e.InputPath != "" && !isPath(e.InputPath) {
		faults.add("rule: input path %.80q is no path such as $.detail", e.InputPath)
	}
	if e.Transformer != nil {
		e.Transformer.validate(faults)
	}
	if e.DeadLetter != "" {
		if err := CheckQueueName(e.DeadLetter); err != nil {
			faults.add("rule: dead letters: %w", err)
		}
	}
}

func (t *InputTransformer) validate(faults *faults) {
	if len(t.Template) == 0 || len(t.Template) > MaxTemplateBytes {
		faults.add("rule: template of %d bytes; 1 to %d are allowed", len(t.Template), MaxTemplateBytes)
	}
	if len(t.Paths) > MaxInputPaths {
		faults.add("rule: %d input paths; at most %d are allowed", len(t.Paths), MaxInputPaths)
		return
	}
	for name, path := range t.Paths {
		if err := checkWord("input path", name, maxInputNameBytes); err != nil {
			faults.add("%w", err)
		}
		if !isPath(path) {
			faults.add("rule: input path %.80q is no path such as $.detail", path)
		}
	}
}

func isPath(s string) bool { return strings.HasPrefix(s, "$") && len(s) <= MaxPathBytes && isText(s) }
