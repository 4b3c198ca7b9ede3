package trigger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxPathSteps is how deep a path goes into an event.
const maxPathSteps = 32

// path is a JSONPath that names one place: $.detail, $['detail-type'], $.resources[0]. A step is a string or an int.
type path []any

// parsePath reads a path. Source: RFC 9535, of which these are the singular queries, without negative indices.
func parsePath(text string) (path, error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return nil, fmt.Errorf("path %.80q: it starts with $", text)
	}
	var p path
	for rest != "" {
		step, after, err := cutStep(rest)
		if err != nil {
			return nil, fmt.Errorf("path %.80q, column %d: %w", text, len(text)-len(rest)+1, err)
		}
		if len(p) == maxPathSteps {
			return nil, fmt.Errorf("path %.80q: at most %d steps are allowed", text, maxPathSteps)
		}
		p, rest = append(p, step), after
	}
	return p, nil
}

func cutStep(s string) (step any, rest string, err error) {
	if name, dotted := strings.CutPrefix(s, "."); dotted {
		end := strings.IndexAny(name, ".[")
		if end < 0 {
			end = len(name)
		}
		if end == 0 || strings.ContainsAny(name[:end], "*]'\" ") {
			return nil, "", errors.New("a name follows the full stop")
		}
		return name[:end], name[end:], nil
	}
	inside, rest, closed := strings.Cut(strings.TrimPrefix(s, "["), "]")
	if s[0] != '[' || !closed {
		return nil, "", errors.New("it goes on with .name, ['name'] or [0]")
	}
	if n := len(inside); n > 2 && (inside[0] == '\'' || inside[0] == '"') && inside[n-1] == inside[0] {
		return inside[1 : n-1], rest, nil
	}
	n, err := strconv.Atoi(inside)
	if err != nil || n < 0 || strconv.Itoa(n) != inside {
		return nil, "", errors.New("it goes on with .name, ['name'] or [0]")
	}
	return n, rest, nil
}

// of answers the place of a document that p names; null where there is none.
func (p path) of(document []byte) ([]byte, error) {
	value, err := decode(document)
	if err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	return marshalText(p.in(value))
}

// in is of for a document that is decoded: nil where there is no such place.
func (p path) in(at any) any {
	for _, step := range p {
		switch s := step.(type) {
		case string:
			object, _ := at.(map[string]any)
			at = object[s]
		case int:
			array, _ := at.([]any)
			if at = nil; s < len(array) {
				at = array[s]
			}
		}
	}
	return at
}

// marshalText is json.Marshal that leaves < > and & as they are.
func marshalText(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
