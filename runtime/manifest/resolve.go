package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Where there is no cloud, these stand for its account and region.
const (
	noAccount = "000000000000"
	noRegion  = "us-east-1"
)

const defaultStage = "dev"

// resolve answers n with its variables resolved; n itself when it has none. When it cannot, the fault is told once.
func (r *reader) resolve(path string, n *yaml.Node) (*yaml.Node, bool) {
	if n = follow(n); n.Kind != yaml.ScalarNode || !strings.Contains(n.Value, "${") {
		return n, true
	}
	switch done := r.resolved[n]; done {
	case nil:
	case r.broken:
		return nil, false
	case r.resolving:
		r.faultAt(n, path, "%s leads back to itself", clip(n.Value))
		r.resolved[n] = r.broken
		return nil, false
	default:
		return done, true
	}
	r.resolved[n] = r.resolving
	value, err := r.evaluate(path, n)
	if err != nil {
		if !errors.Is(err, errBroken) && r.resolved[n] != r.broken {
			r.faultAt(n, path, "%v", err)
		}
		r.resolved[n] = r.broken
		return nil, false
	}
	if r.resolved[n] == r.broken {
		return nil, false // it led back to itself, and a default does not mend that
	}
	r.resolved[n] = value
	return value, true
}

// evaluate reads the template that n holds.
func (r *reader) evaluate(path string, n *yaml.Node) (*yaml.Node, error) {
	if r.depth++; r.depth > MaxDepth {
		r.depth--
		return nil, fmt.Errorf("variables nested deeper than %d", MaxDepth)
	}
	defer func() { r.depth-- }()
	t, err := parseTemplate(n.Value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", clip(n.Value), err)
	}
	place := place{path, n}
	if len(t) == 1 && t[0].variable != nil {
		return r.variable(place, t[0].variable)
	}
	text, err := r.expand(place, t)
	if err != nil {
		return nil, err
	}
	return r.textNode(text, n), nil
}

// place is where a variable is used.
type place struct {
	path string
	node *yaml.Node
}

// expand answers a template's text.
func (r *reader) expand(p place, t template) (string, error) {
	var b strings.Builder
	for _, part := range t {
		if part.variable == nil {
			b.WriteString(part.text)
			continue
		}
		n, err := r.variable(p, part.variable)
		if err != nil {
			return "", err
		}
		if n.Kind != yaml.ScalarNode {
			return "", fmt.Errorf("%s is %s, and stands within text", clip(part.variable.written), kindName(n))
		}
		if r.expanded += len(n.Value); r.expanded > MaxExpandedBytes {
			return "", fmt.Errorf("variables make more than %d MiB of text", MaxExpandedBytes>>20)
		}
		b.WriteString(n.Value)
	}
	return b.String(), nil
}

// variable answers the value of the first source that has one.
func (r *reader) variable(p place, v *variable) (*yaml.Node, error) {
	n, err := r.firstOf(p, v)
	if n == nil && err == nil {
		return nil, fmt.Errorf("%s has no value; give it a default, as in ${env:NAME, 'default'}", clip(v.written))
	}
	return n, err
}

// firstOf is variable, but answers nil when no source has a value.
func (r *reader) firstOf(p place, v *variable) (*yaml.Node, error) {
	if !r.count(p.node) {
		return nil, errBroken
	}
	for _, s := range v.sources {
		if n, err := r.source(p, s); err != nil || n != nil && !isNull(n) {
			return n, err
		}
	}
	return nil, nil
}

// source answers a value, nil when there is none.
func (r *reader) source(p place, s source) (*yaml.Node, error) {
	switch {
	case s.inner != nil:
		return r.firstOf(p, s.inner)
	case s.literal != nil:
		text, err := r.expand(p, s.literal)
		return r.textNode(text, p.node), err
	case !s.placed && !s.called:
		return r.word(p, s.name)
	}
	address, err := r.expand(p, s.address)
	if err != nil {
		return nil, err
	}
	address = strings.TrimSpace(address)
	if s.called != (s.name == "file") {
		return nil, unknownSource(s.name)
	}
	switch s.name {
	case "self":
		if address == "" {
			return nil, fmt.Errorf("${self:} needs a path, as in ${self:custom.name}")
		}
		return r.lookup(p, r.root, address)
	case "file":
		return r.fileSource(p, s, address)
	case "env":
		if r.config.Env == nil {
			return nil, nil
		}
		value, ok := r.config.Env(address)
		return r.given(p, value, ok), nil
	case "opt":
		value, ok := r.config.Options[address]
		return r.given(p, value, ok), nil
	case "param":
		return r.param(p, address)
	}
	return r.cloudSource(p, s.name, address)
}

func (r *reader) given(p place, value string, ok bool) *yaml.Node {
	if !ok {
		return nil
	}
	return r.textNode(value, p.node)
}

// word is a literal without quotes, or CloudFormation's ${LogicalId} in a !Sub.
func (r *reader) word(p place, word string) (*yaml.Node, error) {
	logical, _, _ := strings.Cut(word, ".")
	if known, ok := r.resources[logical]; ok {
		return r.textNode(known.name, p.node), nil
	}
	n := &yaml.Node{}
	switch err := yaml.Load([]byte(word), n); {
	case err != nil || n.Kind != yaml.DocumentNode || len(n.Content) != 1 || n.Content[0].Kind != yaml.ScalarNode:
	case n.Content[0].ShortTag() != "!!str":
		literal := *n.Content[0]
		r.moveTo(&literal, p.node)
		return &literal, nil
	}
	return nil, fmt.Errorf("${%s} names no source, as in ${self:custom.x}; text stands in quotes: '%s'", clip(word), clip(word))
}

func (r *reader) fileSource(p place, s source, address string) (*yaml.Node, error) {
	name, err := r.expand(p, s.arg)
	if err != nil {
		return nil, err
	}
	root, err := r.open(strings.TrimSpace(name))
	if err != nil || root == nil || address == "" {
		return root, err
	}
	return r.lookup(p, root, address)
}

// param answers ${param:name}: as given, else of the stage in stages and params, else of default there.
func (r *reader) param(p place, name string) (*yaml.Node, error) {
	if value, ok := r.config.Params[name]; ok {
		return r.textNode(value, p.node), nil
	}
	stage, err := r.stage(p)
	if err != nil {
		return nil, err
	}
	for _, stage := range []string{stage, "default"} {
		for _, path := range [][]string{{"stages", stage, "params", name}, {"params", stage, name}} {
			if n, err := r.lookupAll(p, r.root, path); n != nil || err != nil {
				return n, err
			}
		}
	}
	return nil, nil
}

// stage answers the stage's name: that of the option, else provider's, else dev.
func (r *reader) stage(p place) (string, error) {
	if stage, ok := r.config.Options["stage"]; ok {
		return stage, nil
	}
	n, err := r.lookup(p, r.root, "provider.stage")
	if err != nil || n == nil || n.Kind != yaml.ScalarNode || isNull(n) {
		return defaultStage, err
	}
	return n.Value, nil
}

// cloudSource answers what serverless and AWS know of themselves, as far as it means something here.
func (r *reader) cloudSource(p place, source, address string) (*yaml.Node, error) {
	switch key := source + ":" + address; key {
	case "sls:stage":
		stage, err := r.stage(p)
		return r.textNode(stage, p.node), err
	case "aws:accountId", "AWS::AccountId":
		return r.standIn(p, key, noAccount), nil
	case "aws:region", "AWS::Region":
		return r.standIn(p, key, noRegion), nil
	case "AWS::Partition":
		return r.standIn(p, key, "aws"), nil
	}
	return nil, unknownSource(source)
}

// standIn answers a value for what does not exist here. Within an ARN nobody looks at it, so that it is not told of.
func (r *reader) standIn(p place, key, value string) *yaml.Node {
	if !strings.HasPrefix(p.node.Value, "arn:") {
		r.note(p.node, p.path, "${%s} stands for %s, since there is no cloud here", key, value)
	}
	return r.textNode(value, p.node)
}

func unknownSource(name string) error {
	offered := []string{"self", "env", "opt", "file", "param", "sls", "aws"}
	if slices.Contains([]string{"cf", "git", "s3", "ssm", "strToBool", "terraform", "vault", "doppler", "output", "AWS", "sls", "aws"}, name) {
		return fmt.Errorf("${%s...}: not offered; there are self, env, opt, file, param, sls:stage", name)
	}
	if near := Nearest(name, offered); near != "" && near != name {
		return fmt.Errorf("${%s...}: unknown source%s", clip(name), didYouMean(near))
	}
	return fmt.Errorf("${%s...}: unknown source; there are self, env, opt, file(...), param", clip(name))
}

// lookup follows a path of keys and of numbers of elements, separated by dots.
func (r *reader) lookup(p place, n *yaml.Node, address string) (*yaml.Node, error) {
	return r.lookupAll(p, n, strings.Split(address, "."))
}

// lookupAll answers what is there, its variables resolved, or nil.
func (r *reader) lookupAll(p place, n *yaml.Node, keys []string) (*yaml.Node, error) {
	n, ok := r.resolve(p.path, n)
	for _, key := range keys {
		if !ok {
			return nil, errBroken
		}
		next, err := r.step(n, key)
		if next == nil || err != nil {
			return nil, err
		}
		n, ok = r.resolve(p.path, next)
	}
	if !ok {
		return nil, errBroken
	}
	return n, nil
}

// step answers one field or element of n, nil when there is none. Merged fields come last.
func (r *reader) step(n *yaml.Node, key string) (*yaml.Node, error) {
	if !r.count(n) {
		return nil, errBroken
	}
	switch n.Kind {
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], nil
		}
	case yaml.MappingNode:
		var merged []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1], nil
			}
			if isMerge(n.Content[i]) {
				merged = append(merged, n.Content[i+1])
			}
		}
		for _, source := range merged {
			sources := []*yaml.Node{source}
			if m := follow(source); m.Kind == yaml.SequenceNode {
				sources = m.Content
			}
			for _, m := range sources {
				if found, err := r.step(follow(m), key); found != nil || err != nil {
					return found, err
				}
			}
		}
	}
	return nil, nil
}

// textNode is text that stands at another node's place.
func (r *reader) textNode(text string, at *yaml.Node) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: text}
	r.moveTo(n, at)
	return n
}

// moveTo makes faults of n stand where at is.
func (r *reader) moveTo(n, at *yaml.Node) {
	n.Line, n.Column = at.Line, at.Column
	if file, ok := r.origin[at]; ok {
		r.origin[n] = file
	}
}
