package trigger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// conditionWords are the keys of conditions.
func conditionWords() []string {
	return []string{"anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix", "wildcard"}
}

// test says whether a field's value is as a pattern wants it. There is false when there is no such field.
type test func(v any, there bool) bool

// test reads a value or a condition.
func (p *filterParser) test(v any) (test, error) {
	condition, ok := v.(map[string]any)
	if !ok {
		if _, nested := v.([]any); nested {
			return nil, errors.New("an array in an array is neither a value nor a condition")
		}
		return func(got any, there bool) bool { return there && same(v, got) }, nil
	}
	if len(condition) != 1 {
		return nil, fmt.Errorf("a condition has one key; this has %d", len(condition))
	}
	for key, argument := range condition {
		t, err := p.condition(key, argument)
		if err != nil {
			return nil, fmt.Errorf("%.40q: %w", key, err)
		}
		return t, nil
	}
	return nil, errors.New("unreachable") // it has one key
}

func (p *filterParser) condition(key string, argument any) (test, error) {
	switch key {
	case "exists":
		want, ok := argument.(bool)
		if !ok {
			return nil, errors.New("it is true or false")
		}
		return func(_ any, there bool) bool { return there == want }, nil
	case "numeric":
		return numeric(argument)
	case "anything-but":
		return p.anythingBut(argument)
	case "prefix", "suffix", "equals-ignore-case", "wildcard", "cidr":
		like, err := text(key, argument)
		return func(got any, _ bool) bool {
			s, ok := got.(string)
			return ok && like(s)
		}, err
	}
	return nil, fmt.Errorf("no such condition; there are %s", strings.Join(conditionWords(), ", "))
}

// anythingBut reads a value, values, or one condition of text with one argument or several.
func (p *filterParser) anythingBut(argument any) (test, error) {
	var unlike []test
	add := func(key string, argument any) error {
		for _, a := range list(argument) {
			if p.tests++; p.tests > MaxFilterTests {
				return fmt.Errorf("over %d values and conditions", MaxFilterTests)
			}
			if key != "" {
				like, err := text(key, a)
				if err == nil && a == "" && (key == "prefix" || key == "suffix") {
					err = errors.New("every text has the empty one, so nothing would match")
				}
				if err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
				unlike = append(unlike, func(v any, _ bool) bool { s, ok := v.(string); return ok && like(s) })
				continue
			}
			switch a.(type) {
			case string, json.Number:
			default:
				return errors.New("it is followed by text, a number, an array of such, or a condition of text")
			}
			unlike = append(unlike, func(v any, _ bool) bool { return same(a, v) })
		}
		return nil
	}
	var err error
	if condition, ok := argument.(map[string]any); ok && len(condition) == 1 {
		for key, inner := range condition {
			if !slices.Contains([]string{"prefix", "suffix", "equals-ignore-case", "wildcard"}, key) {
				return nil, fmt.Errorf("%.40q: only prefix, suffix, equals-ignore-case and wildcard may stand here", key)
			}
			err = add(key, inner)
		}
	} else {
		err = add("", argument)
	}
	if err == nil && len(unlike) == 0 {
		err = errors.New("the array is empty")
	}
	return func(v any, there bool) bool {
		return there && !slices.ContainsFunc(unlike, func(t test) bool { return t(v, there) })
	}, err
}

// list is the elements of an array, or the one value that stands for it.
func list(v any) []any {
	if array, ok := v.([]any); ok {
		return array
	}
	return []any{v}
}

// numeric reads one comparison, or two that bound a range: [">", 0, "<=", 5].
func numeric(argument any) (test, error) {
	parts, ok := argument.([]any)
	if !ok || len(parts) != 2 && len(parts) != 4 {
		return nil, errors.New(`it is followed by an array such as ["=", 5] or [">", 0, "<=", 5]`)
	}
	type bound struct {
		sign  string
		value json.Number
	}
	var bounds []bound
	for i := 0; i < len(parts); i += 2 {
		sign, _ := parts[i].(string)
		value, ok := number(parts[i+1])
		if !ok || !slices.Contains([]string{"=", "<", "<=", ">", ">="}, sign) {
			return nil, errors.New("a comparison is one of = < <= > >= and a number")
		}
		bounds = append(bounds, bound{sign, value})
	}
	if len(bounds) == 2 && (bounds[0].sign[0] != '>' || bounds[1].sign[0] != '<' || compare(bounds[0].value, bounds[1].value) >= 0) {
		return nil, errors.New("a range has its lower bound first, with > or >=, then its upper one, with < or <=")
	}
	return func(v any, _ bool) bool {
		n, ok := number(v)
		for _, b := range bounds {
			if !ok {
				return false
			}
			c := compare(n, b.value)
			switch b.sign {
			case "=":
				ok = c == 0
			case "<":
				ok = c < 0
			case "<=":
				ok = c <= 0
			case ">":
				ok = c > 0
			case ">=":
				ok = c >= 0
			}
		}
		return ok
	}, nil
}

// number answers a number that a float64 is near to.
func number(v any) (json.Number, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return "", false
	}
	_, err := n.Float64()
	return n, err == nil
}

// compare is cmp.Compare of numbers by their value. Whole ones are told apart also where a float64 does not, as ids are long.
func compare(a, b json.Number) int {
	x, _ := a.Float64()
	y, _ := b.Float64()
	if x == y {
		m, whole := new(big.Int).SetString(a.String(), 10)
		n, both := new(big.Int).SetString(b.String(), 10)
		if whole && both {
			return m.Cmp(n)
		}
	}
	return cmp.Compare(x, y)
}

// same says whether two JSON values that are no arrays or objects are equal; numbers by their value.
func same(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && compare(x, y) == 0
	}
	switch b.(type) {
	case map[string]any, []any:
		return false // they cannot be compared
	}
	return a == b
}
