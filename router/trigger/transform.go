package trigger

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// maxInputBytes is what an input transformer makes at most: as long as an event may be.
const maxInputBytes = registry.MaxMessageBytes

// names that a template has without paths. Source: Amazon EventBridge User Guide, "Input transformation", "Predefined
// variables".
const (
	varEvent     = "aws.events.event" // without its detail
	varEventJSON = "aws.events.event.json"
	varIngestion = "aws.events.event.ingestion-time"
	varRuleARN   = "aws.events.rule-arn"
	varRuleName  = "aws.events.rule-name"
)

// template is an input transformer, read.
type template struct {
	paths     map[string]path
	fragments []fragment
}

// fragment is some text of a template, and the name of what follows it.
type fragment struct {
	text   string
	name   string // empty: nothing follows
	quoted bool   // what follows is within a JSON string
}

// rule is what a template knows of the rule it belongs to.
type rule struct{ name, arn string }

// CheckTransformer names the first fault of an input transformer, coded abi.InvalidInput.
func CheckTransformer(t registry.InputTransformer) error {
	if _, err := parseTransformer(t); err != nil {
		return abi.WithCode(abi.InvalidInput, err)
	}
	return nil
}

func parseTransformer(t registry.InputTransformer) (*template, error) {
	out := &template{paths: map[string]path{}}
	for name, text := range t.Paths {
		p, err := parsePath(text)
		if err != nil {
			return nil, fmt.Errorf("input path %s: %w", name, err)
		}
		out.paths[name] = p
	}
	if err := out.read(t.Template); err != nil {
		return nil, fmt.Errorf("input template: %w", err)
	}
	var example strings.Builder
	for _, p := range out.fragments {
		example.WriteString(p.text)
		if p.name != "" && !p.quoted {
			example.WriteString("null")
		}
	}
	if !json.Valid([]byte(example.String())) {
		return nil, errors.New(`input template: it is no JSON, as {"order": <order>} or "order <order>" is`)
	}
	return out, nil
}

// read cuts a template into fragments. Within strings \< is a < that begins no name.
func (t *template) read(text string) error {
	quoted := false
	var fragment fragment
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
			fragment.text += `"`
		case quoted && c == '\\' && i+1 < len(text):
			if i++; text[i] != '<' {
				fragment.text += `\`
			}
			fragment.text += text[i : i+1]
		case c == '<':
			name, _, closed := strings.Cut(text[i+1:], ">")
			if !closed || !t.knows(name) {
				return fmt.Errorf("<%.80s is no name of the input paths", text[i+1:])
			}
			fragment.name, fragment.quoted = name, quoted
			t.fragments = append(t.fragments, fragment)
			fragment.text, fragment.name = "", ""
			i += len(name) + 1
		default:
			fragment.text += text[i : i+1]
		}
	}
	fragment.name = ""
	t.fragments = append(t.fragments, fragment)
	return nil
}

func (t *template) knows(name string) bool {
	switch name {
	case varEvent, varEventJSON, varIngestion, varRuleARN, varRuleName:
		return true
	}
	_, known := t.paths[name]
	return known
}

// apply makes JSON of an event that came in at a time. What a path does not find is null, and nothing within a string.
func (t *template) apply(event []byte, at time.Time, of rule) ([]byte, error) {
	value, err := decode(event)
	if err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	var out []byte
	for _, p := range t.fragments {
		out = append(out, p.text...)
		if p.name == "" {
			continue
		}
		text, err := marshalText(t.value(p.name, value, at, of))
		if err != nil {
			return nil, err
		}
		if p.quoted {
			text = within(text)
		}
		if out = append(out, text...); len(out) > maxInputBytes {
			return nil, abi.WithCode(abi.TooLarge, fmt.Errorf("the input template makes over %d bytes", maxInputBytes))
		}
	}
	return out, nil
}

// value is what a name stands for.
func (t *template) value(name string, event any, at time.Time, of rule) any {
	switch name {
	case varEvent:
		object, _ := event.(map[string]any)
		outer := maps.Clone(object)
		delete(outer, "detail")
		return outer
	case varEventJSON:
		return event
	case varIngestion:
		return at.UTC().Format(timestampFormat)
	case varRuleARN:
		return of.arn
	case varRuleName:
		return of.name
	}
	return t.paths[name].in(event)
}

// within is JSON as part of a JSON string: a string's own text, else the JSON; nothing for null.
func within(text []byte) []byte {
	switch {
	case string(text) == "null":
		return nil
	case text[0] != '"':
		text, _ = marshalText(string(text)) // strings always can
	}
	return text[1 : len(text)-1]
}
