package manifest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// reader walks the YAML tree and collects faults. It descends only where the shape of a manifest says so, so its
// depth is bounded; fields bounds its breadth, since aliases are followed where they are used.
type reader struct {
	file   string
	fields int // read so far
	faults Faults
	notes  []string
}

// field is one key of a mapping with its value, aliases followed.
type field struct {
	key   string
	path  string // of the value, from the root
	at    *yaml.Node
	value *yaml.Node
}

func (r *reader) add(line, column int, path, message string) {
	r.faults = append(r.faults, Fault{r.file, line, column, path, message})
}

func (r *reader) faultAt(n *yaml.Node, path, format string, args ...any) {
	r.add(n.Line, n.Column, path, fmt.Sprintf(format, args...))
}

// mapping answers the fields of n in order, merge keys resolved: a field written out beats a merged one. A value
// that is no mapping, a key that is no word and a key given twice are faults.
func (r *reader) mapping(path string, n *yaml.Node) []field {
	n = follow(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.faultAt(n, path, "%s where a mapping is needed", kindName(n))
		return nil
	}
	var fields []field
	var merges []*yaml.Node
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !r.count(n) {
			return nil
		}
		if key.Kind != yaml.ScalarNode {
			r.faultAt(key, path, "%s where a key is needed", kindName(key))
			continue
		}
		if key.Value == "<<" && key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
			merges = append(merges, value)
			continue
		}
		f := field{key.Value, join(path, key.Value), key, follow(value)}
		if line, twice := lines[f.key]; twice {
			r.faultAt(key, f.path, "given twice, first in line %d", line)
			continue
		}
		lines[f.key] = key.Line
		fields = append(fields, f)
	}
	return r.merge(path, fields, merges)
}

// merge adds the fields of merged mappings that are not there yet.
func (r *reader) merge(path string, fields []field, merges []*yaml.Node) []field {
	for _, value := range merges {
		sources := []*yaml.Node{value}
		if m := follow(value); m.Kind == yaml.SequenceNode {
			sources = m.Content
		}
		for _, source := range sources {
			for _, f := range r.mapping(path, source) {
				if !slices.ContainsFunc(fields, func(g field) bool { return g.key == f.key }) {
					fields = append(fields, f)
				}
			}
		}
	}
	return fields
}

// count charges for one field and reports whether reading may go on. A mapping that merges itself ends here too.
func (r *reader) count(n *yaml.Node) bool {
	r.fields++
	if r.fields == MaxFields+1 {
		r.faultAt(n, "", "more than %d fields, aliases followed", MaxFields)
	}
	return r.fields <= MaxFields
}

// text reads a scalar as it is written.
func (r *reader) text(f field) (string, bool) {
	switch {
	case f.value.Kind != yaml.ScalarNode:
		r.faultAt(f.value, f.path, "%s where a word is needed", kindName(f.value))
	case isNull(f.value):
		r.faultAt(f.at, f.path, "has no value")
	case strings.Contains(f.value.Value, "${"):
		r.faultAt(f.value, f.path, "variables (${...}) are not offered yet")
	default:
		return f.value.Value, true
	}
	return "", false
}

// other reports a key that has no meaning in this place: noted when it only matters in somebody's cloud, refused
// by name when we know it, refused with the nearest right word when we do not.
func (r *reader) other(f field, w words) {
	switch {
	case slices.Contains(w.noted, f.key) || strings.HasPrefix(f.key, "x-"):
		r.notes = append(r.notes, fmt.Sprintf("%s has no effect here %s:%d:%d", f.path, r.file, f.at.Line, f.at.Column))
	case slices.Contains(w.refused, f.key):
		r.faultAt(f.at, f.path, "not offered yet")
	default:
		r.unknown(f, "key", w)
	}
}

// unknown reports a word we have never heard of.
func (r *reader) unknown(f field, what string, w words) {
	near := Nearest(f.key, w.offered)
	if near == "" {
		near = Nearest(f.key, slices.Concat(w.refused, w.noted))
	}
	if near != "" {
		r.faultAt(f.at, f.path, "unknown %s, did you mean %s?", what, near)
		return
	}
	r.faultAt(f.at, f.path, "unknown %s", what)
}

// follow answers what an alias stands for. An alias of an alias does not exist in YAML.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	return fmt.Sprintf("%q", clip(n.Value))
}

// clip keeps a message readable whatever a file holds.
func clip(s string) string {
	if len(s) > 64 {
		return s[:61] + "..."
	}
	return s
}

func join(path, key string) string {
	if path == "" {
		return clip(key)
	}
	return path + "." + clip(key)
}
