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

// isEither tells alternatives from the values of a field that is called $or.
func isEither(values []any) bool {
	for _, v := range values {
		if _, ok := v.(map[string]any); !ok {
			return false
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
	return err == nil && f.object(value)
}

// object matches what stands where the filter does; nil when nothing does, which only {"exists": false} likes.
func (f *Filter) object(value any) bool {
	if array, ok := value.([]any); ok {
		return slices.ContainsFunc(array, f.object)
	}
	o, isObject := value.(map[string]any)
	if !isObject && value != nil {
		return false
	}
	for name, n := range f.fields {
		v, there := o[name]
		if n.inner != nil && !n.inner.object(v) || n.inner == nil && !holds(n.tests, v, there) {
			return false
		}
	}
	for _, either := range f.either {
		if !slices.ContainsFunc(either, func(g *Filter) bool { return g.object(value) }) {
			return false
		}
	}
	return true
}

// holds says whether one of the tests holds of a field's value, or of one of its elements.
func holds(tests []test, v any, there bool) bool {
	if array, ok := v.([]any); ok && len(array) > 0 {
		return slices.ContainsFunc(array, func(v any) bool { return holds(tests, v, true) })
	}
	return slices.ContainsFunc(tests, func(t test) bool { return t(v, there) })
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
