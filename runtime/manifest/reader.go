package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// reader walks the YAML tree and collects faults. It descends only where the shape of a manifest says so, so its
// depth is bounded; fields bounds its breadth, since aliases and variables are followed where they are used.
type reader struct {
	config    Config
	root      *yaml.Node
	fields    int // read so far
	expanded  int // bytes of text made of variables
	depth     int // variables being resolved, one inside the other
	faults    Faults
	notes     []string
	files     map[string]*yaml.Node     // read for ${file(...)}; nil: not there
	origin    map[*yaml.Node]string     // file of the nodes that are not the manifest's
	resolved  map[*yaml.Node]*yaml.Node // values with variables; resolving while at it, broken when there is none
	resources map[string]resource       // by logical id
	broken    *yaml.Node                // marks in files and resolved, compared by address
	resolving *yaml.Node
	uses      []use
}

// field is one key of a mapping with its value, aliases and variables followed. For an element of a list at is the
// element.
type field struct {
	key   string
	path  string // of the value, from the root
	at    *yaml.Node
	value *yaml.Node
}

// section is the fields of a mapping.
type section []field

func (s section) find(key string) (field, bool) {
	i := slices.IndexFunc(s, func(f field) bool { return f.key == key })
	if i < 0 {
		return field{}, false
	}
	return s[i], true
}

func (r *reader) faultAt(n *yaml.Node, path, format string, args ...any) {
	r.faults = append(r.faults, Fault{r.fileOf(n), n.Line, n.Column, path, fmt.Sprintf(format, args...)})
}

func (r *reader) note(n *yaml.Node, path, format string, args ...any) {
	note := fmt.Sprintf("%s %s %s:%d:%d", path, fmt.Sprintf(format, args...), r.fileOf(n), n.Line, n.Column)
	if !slices.Contains(r.notes, note) {
		r.notes = append(r.notes, note)
	}
}

func (r *reader) fileOf(n *yaml.Node) string {
	if file, ok := r.origin[n]; ok {
		return file
	}
	return r.config.File
}

// raw answers the fields of a mapping in order, merge keys resolved and variables not: a field written out beats a
// merged one. A value that is no mapping, a key that is no word and a key given twice are faults.
func (r *reader) raw(f field) []field {
	n := f.value
	if isNull(n) || !r.plain(f, "a mapping") {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.faultAt(n, f.path, "%s where a mapping is needed", kindName(n))
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
			r.faultAt(key, f.path, "%s where a key is needed", kindName(key))
			continue
		}
		if isMerge(key) {
			merges = append(merges, value)
			continue
		}
		sub := field{key.Value, join(f.path, key.Value), key, follow(value)}
		if line, twice := lines[sub.key]; twice {
			r.faultAt(key, sub.path, "given twice, first in line %d", line)
			continue
		}
		lines[sub.key] = key.Line
		fields = append(fields, sub)
	}
	return r.merge(f, fields, merges)
}

// merge adds the fields of merged mappings that are not there yet.
func (r *reader) merge(f field, fields []field, merges []*yaml.Node) []field {
	for _, value := range merges {
		sources := []*yaml.Node{value}
		if m := follow(value); m.Kind == yaml.SequenceNode {
			sources = m.Content
		}
		for _, source := range sources {
			f.value = follow(source)
			for _, sub := range r.raw(f) {
				if !slices.ContainsFunc(fields, func(g field) bool { return g.key == sub.key }) {
					fields = append(fields, sub)
				}
			}
		}
	}
	return fields
}

// mapping answers the fields of a mapping whose keys are names.
func (r *reader) mapping(f field) []field { return r.resolveAll(r.raw(f)) }

// keys answers those fields of a mapping that w offers, and tells of the others.
func (r *reader) keys(f field, w words) []field {
	var offered []field
	for _, sub := range r.raw(f) {
		if slices.Contains(w.offered, sub.key) {
			offered = append(offered, sub)
			continue
		}
		r.other(sub, w)
	}
	return r.resolveAll(offered)
}

// list answers the elements of a list.
func (r *reader) list(f field) []field {
	if isNull(f.value) || !r.plain(f, "a list") {
		return nil
	}
	if f.value.Kind != yaml.SequenceNode {
		r.faultAt(f.value, f.path, "%s where a list is needed", kindName(f.value))
		return nil
	}
	var elements []field
	for i, item := range f.value.Content {
		if !r.count(item) {
			return nil
		}
		item = follow(item)
		elements = append(elements, field{strconv.Itoa(i), f.path, item, item})
	}
	return r.resolveAll(elements)
}

// resolveAll resolves variables and leaves out fields where that is a fault.
func (r *reader) resolveAll(fields []field) []field {
	var resolved []field
	for _, f := range fields {
		if n, ok := r.resolve(f.path, f.value); ok {
			f.value = n
			resolved = append(resolved, f)
		}
	}
	return resolved
}

// count charges for one field and reports whether reading may go on. A mapping that merges itself ends here too.
func (r *reader) count(n *yaml.Node) bool {
	r.fields++
	if r.fields == MaxFields+1 {
		r.faultAt(n, "", "more than %d fields, aliases and variables followed", MaxFields)
	}
	return r.fields <= MaxFields
}

// plain refuses CloudFormation's functions where they mean nothing.
func (r *reader) plain(f field, need string) bool {
	if tag := f.value.ShortTag(); !strings.HasPrefix(tag, "!!") {
		r.faultAt(f.value, f.path, "%s where %s is needed", clip(tag), need)
		return false
	}
	return true
}

// text reads a scalar as it is written.
func (r *reader) text(f field) (string, bool) {
	switch {
	case f.value.Kind != yaml.ScalarNode:
		r.faultAt(f.value, f.path, "%s where a word is needed", kindName(f.value))
	case f.value.ShortTag() == "!Sub":
		return f.value.Value, true
	case isNull(f.value):
		r.faultAt(f.at, f.path, "has no value")
	default:
		return f.value.Value, r.plain(f, "a word")
	}
	return "", false
}

// choice reads one of some words.
func (r *reader) choice(f field, offered ...string) string {
	text, ok := r.text(f)
	if !ok || slices.Contains(offered, text) {
		return text
	}
	r.faultAt(f.value, f.path, "%q is not %s", clip(text), strings.Join(offered, " or "))
	return ""
}

// yes reads true or false.
func (r *reader) yes(f field) bool { return r.choice(f, "true", "false") == "true" }

// texts reads a list of words, or one word.
func (r *reader) texts(f field) []string {
	elements := []field{f}
	if f.value.Kind == yaml.SequenceNode || isNull(f.value) {
		elements = r.list(f)
	}
	var texts []string
	for _, e := range elements {
		if text, ok := r.text(e); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// number reads a whole number from least to most.
func (r *reader) number(f field, least, most int, unit string) int {
	text, ok := r.text(f)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		r.faultAt(f.value, f.path, "%q is no number of %s from %d to %d", clip(text), unit, least, most)
		return 0
	}
	return n
}

// seconds reads a time in whole seconds: a number, or a duration with its unit (5m).
func (r *reader) seconds(f field, least, most int) int {
	text, ok := r.text(f)
	if !ok {
		return 0
	}
	d, err := duration(text)
	if err != nil || d%time.Second != 0 || d < time.Duration(least)*time.Second || d > time.Duration(most)*time.Second {
		r.faultAt(f.value, f.path, "%q is no time from %d to %d seconds", clip(text), least, most)
		return 0
	}
	return int(d / time.Second)
}

// duration reads seconds, as serverless has them (6, 0.5), or a duration with its unit (500ms).
func duration(text string) (time.Duration, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	return time.ParseDuration(text + "s")
}

// json answers a tree as a JSON document, variables resolved; nil when it has a fault.
func (r *reader) json(f field) json.RawMessage {
	before := len(r.faults)
	v := r.document(f, 0)
	if len(r.faults) > before {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil { // .inf and .nan
		r.faultAt(f.value, f.path, "cannot be written as JSON: %v", err)
		return nil
	}
	return text
}

func (r *reader) document(f field, depth int) any {
	switch {
	case depth > MaxDepth:
		r.faultAt(f.value, f.path, "nested deeper than %d", MaxDepth)
		return nil
	case isNull(f.value):
		return nil
	case f.value.Kind == yaml.MappingNode:
		object := map[string]any{}
		for _, sub := range r.mapping(f) {
			object[sub.key] = r.document(sub, depth+1)
		}
		return object
	case f.value.Kind == yaml.SequenceNode:
		list := []any{}
		for _, sub := range r.list(f) {
			list = append(list, r.document(sub, depth+1))
		}
		return list
	}
	text, ok := r.text(f)
	if !ok {
		return nil
	}
	switch f.value.ShortTag() {
	case "!!int", "!!float":
		if json.Valid([]byte(text)) {
			return json.Number(text)
		}
		var v float64
		if err := f.value.Decode(&v); err != nil {
			r.faultAt(f.value, f.path, "%q is no number", clip(text))
		}
		return v
	case "!!bool":
		var v bool
		if err := f.value.Decode(&v); err != nil {
			r.faultAt(f.value, f.path, "%q is neither true nor false", clip(text))
		}
		return v
	}
	return text
}

// other reports a key that has no meaning in this place: noted when it only matters in somebody's cloud, refused
// by name when we know it, refused with the nearest right word when we do not.
func (r *reader) other(f field, w words) {
	switch {
	case slices.Contains(w.noted, f.key) || strings.HasPrefix(f.key, "x-"):
		r.note(f.at, f.path, "has no effect here")
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
	r.faultAt(f.at, f.path, "unknown %s%s", what, didYouMean(near))
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return ", did you mean " + near + "?"
}

// hasKey reports whether a mapping has a key, whatever its value.
func (r *reader) hasKey(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// follow answers what an alias stands for. An alias of an alias does not exist in YAML.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isMerge(key *yaml.Node) bool {
	return key.Value == "<<" && key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0
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
