package trigger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of a Filter. Raising one lets a deploy make each message cost more.
const (
	MaxFilterDepth = 32   // objects in objects
	MaxFilterTests = 1000 // values and conditions
)

// Filter is a pattern of content. It is immutable. Source: Amazon EventBridge User Guide, "Comparison operators for use
// in event patterns"; Amazon SNS Developer Guide, "Subscription filter policies".
type Filter struct {
	fields map[string]node // all must match
	either [][]*Filter     // of each $or, one must
}

// node is what stands at a field: either a Filter for what is in it, or tests, of which one must hold.
type node struct {
	inner *Filter
	tests []test
}

// ParseFilter reads a pattern: a JSON object. An error is coded abi.InvalidInput and says where it is wrong.
func ParseFilter(text []byte) (*Filter, error) {
	f, err := parseFilter(text)
	if err != nil {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("filter: %w", err))
	}
	return f, nil
}

func parseFilters(texts []json.RawMessage) (all []*Filter, err error) {
	for _, text := range texts {
		f, err := ParseFilter(text)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func parseFilter(text []byte) (*Filter, error) {
	if len(text) > registry.MaxDocumentsBytes {
		return nil, fmt.Errorf("has %d bytes; at most %d are allowed", len(text), registry.MaxDocumentsBytes)
	}
	value, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("no JSON: %w", err)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is a JSON object")
	}
	p := filterParser{}
	return p.object(object, "", 1)
}

// decode reads one JSON value whose numbers stay as they are.
func decode(text []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the value")
	}
	return value, nil
}

type filterParser struct{ tests int }

func (p *filterParser) object(o map[string]any, at string, depth int) (*Filter, error) {
	if depth > MaxFilterDepth {
		return nil, fmt.Errorf("%.80s: over %d objects deep", at, MaxFilterDepth)
	}
	if len(o) == 0 {
		return nil, fmt.Errorf("%s: names no field", place(at))
	}
	f := &Filter{fields: map[string]node{}}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		where := strings.TrimPrefix(at+"."+name, ".")
		var err error
		switch v := o[name].(type) {
		case map[string]any:
			var n node
			n.inner, err = p.object(v, where, depth+1)
			f.fields[name] = n
		case []any:
			if name == "$or" && isEither(v) {
				var either []*Filter
				either, err = p.either(v, where, depth+1)
				f.either = append(f.either, either)
				break
			}
			var n node
			n.tests, err = p.array(v, where)
			f.fields[name] = n
		default:
			err = fmt.Errorf("%.200s: it is an array of values and conditions, or an object", where)
		}
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

func place(at string) string {
	if at == "" {
		return "the pattern"
	}
	return fmt.Sprintf("%.200s", at)
}

// isEither tells alternatives from the values and conditions of a field that is called $or.
func isEither(values []any) bool {
	for _, v := range values {
		o, ok := v.(map[string]any)
		if !ok {
			return false
		}
		for name := range o {
			if slices.Contains(conditionWords(), name) {
				return false
			}
		}
	}
	return len(values) > 1
}

func (p *filterParser) either(values []any, at string, depth int) (all []*Filter, err error) {
	for i, v := range values {
		f, err := p.object(v.(map[string]any), fmt.Sprintf("%s[%d]", at, i), depth) // isEither has looked
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func (p *filterParser) array(values []any, at string) (tests []test, err error) {
	if len(values) == 0 {
		return nil, fmt.Errorf("%.200s: the array is empty, so nothing would match", at)
	}
	for i, v := range values {
		if p.tests++; p.tests > MaxFilterTests {
			return nil, fmt.Errorf("over %d values and conditions", MaxFilterTests)
		}
		t, err := p.test(v)
		if err != nil {
			return nil, fmt.Errorf("%.200s[%d]: %w", at, i, err)
		}
		tests = append(tests, t)
	}
	return tests, nil
}

// Match says whether a JSON value matches. What is no object does not.
func (f *Filter) Match(text []byte) bool {
	value, err := decode(text)
	if err != nil {
		return false
	}
	_, isObject := value.(map[string]any)
	return isObject && f.object(value)
}

// object matches what stands where the filter does. What is neither object nor array has no fields, as nothing has: only
// {"exists": false} likes it. Of an array one element must match whole. An element that has none of the fields does not
// count, unless that is so of all of them.
func (f *Filter) object(value any) bool {
	array, isArray := value.([]any)
	if !isArray {
		o, _ := value.(map[string]any)
		return f.members(o)
	}
	bare := true
	for _, element := range array {
		_, nested := element.([]any)
		if o, isObject := element.(map[string]any); !nested && !f.names(o) {
			bare = bare && (!isObject || f.members(o))
		} else if bare = false; f.object(element) {
			return true
		}
	}
	return bare && f.members(nil)
}

// names says whether an object has a field that the filter asks for.
func (f *Filter) names(o map[string]any) bool {
	for name := range f.fields {
		if _, there := o[name]; there {
			return true
		}
	}
	return slices.ContainsFunc(f.either, func(either []*Filter) bool {
		return slices.ContainsFunc(either, func(g *Filter) bool { return g.names(o) })
	})
}

func (f *Filter) members(o map[string]any) bool {
	for name, n := range f.fields {
		if !n.matches(o, name) {
			return false
		}
	}
	for _, either := range f.either {
		if !slices.ContainsFunc(either, func(g *Filter) bool { return g.members(o) }) {
			return false
		}
	}
	return true
}

func (n node) matches(o map[string]any, name string) bool {
	v, there := o[name]
	if n.inner != nil {
		return n.inner.object(v)
	}
	if there {
		if ok, leaf := holds(n.tests, v); leaf {
			return ok
		}
	}
	return slices.ContainsFunc(n.tests, func(t test) bool { return t(nil, false) })
}

// holds says whether one of the tests holds of a value, or of an element of it; and whether there is a value at all. Objects
// and empty arrays are none: they are no leaves of the event.
func holds(tests []test, v any) (ok, leaf bool) {
	switch v := v.(type) {
	case map[string]any:
		return false, false
	case []any:
		for _, element := range v {
			ok, is := holds(tests, element)
			if leaf = leaf || is; ok {
				return true, true
			}
		}
		return false, leaf
	}
	return slices.ContainsFunc(tests, func(t test) bool { return t(v, true) }), true
}

// Unmatched answers the first place that keeps a JSON value from matching, in the order of the names, or "" when it
// matches. The error is of a value that is no JSON object.
func (f *Filter) Unmatched(text []byte) (place string, err error) {
	value, err := decode(text)
	if err != nil {
		return "", abi.WithCode(abi.InvalidInput, fmt.Errorf("event: no JSON: %w", err))
	}
	o, isObject := value.(map[string]any)
	if !isObject {
		return "", abi.WithCode(abi.InvalidInput, fmt.Errorf("event: it is a JSON object"))
	}
	return f.unmatched(o, ""), nil
}

func (f *Filter) unmatched(o map[string]any, at string) string {
	for _, name := range slices.Sorted(maps.Keys(f.fields)) {
		n := f.fields[name]
		if n.matches(o, name) {
			continue
		}
		where := strings.TrimPrefix(at+"."+name, ".")
		if inner, isObject := o[name].(map[string]any); isObject && n.inner != nil {
			return n.inner.unmatched(inner, where)
		}
		return where
	}
	if f.members(o) {
		return ""
	}
	return strings.TrimPrefix(at+".$or", ".")
}

// matchesQueue matches a record of a queue's event, whose body is a JSON object or text.
func (f *Filter) matchesQueue(m op.Message) bool {
	attributes := map[string]any{}
	for _, a := range m.Attributes {
		if !isBinary(a) {
			attributes[a.Name] = map[string]any{"stringValue": string(a.Value), "dataType": a.Type}
		}
	}
	return f.object(map[string]any{
		"messageId": m.ID, "body": bodyValue(m.Body), "eventSource": "aws:sqs", "messageAttributes": attributes,
		"attributes": map[string]any{"MessageGroupId": m.Group, "MessageDeduplicationId": m.Dedup},
	})
}

func bodyValue(body []byte) any {
	if v, err := decode(body); err == nil {
		if o, ok := v.(map[string]any); ok {
			return o
		}
	}
	return string(body)
}

// matchesTopic matches what a subscription's filter looks at: the attributes, or the body.
func (f *Filter) matchesTopic(m op.Message, scope string) bool {
	if scope == registry.FilterBody {
		return f.Match(m.Body)
	}
	attributes := map[string]any{}
	for _, a := range m.Attributes {
		switch {
		case isBinary(a) || a.Name == subjectAttribute:
		case strings.HasPrefix(a.Type, "Number"):
			attributes[a.Name] = json.Number(a.Value)
		case a.Type == "String.Array":
			if v, err := decode(a.Value); err == nil {
				attributes[a.Name] = v
			}
		default:
			attributes[a.Name] = string(a.Value)
		}
	}
	return f.object(attributes)
}
