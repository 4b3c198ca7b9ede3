package manifest

import (
	"errors"
	"fmt"
	"strings"
)

// variable is ${SOURCE, SOURCE, ...}: the first source that has a value gives it.
//
//	variable = "${" source { "," source } "}"
//	source   = name [ "(" text ")" ] [ ":" text ] | quoted | word | variable
//
// The texts may hold variables in turn.
type variable struct {
	written string
	sources []source
}

// source is one place a value may come from. With a name alone it is a word: 5, true, or a resource's logical id.
type source struct {
	name    string // self, env, ...; empty: literal or inner
	called  bool   // name(argument)
	arg     template
	placed  bool // name:address
	address template
	literal template
	inner   *variable
}

// template is text with variables.
type template []part

// part is text, or a variable when that is not nil.
type part struct {
	text     string
	variable *variable
}

// parser reads a template. Depth is how many variables it is in.
type parser struct {
	text  string
	at    int
	depth int
}

var errOpen = errors.New("a ${ is not closed")

// parseTemplate reads a whole value. \${ stands for ${ itself.
func parseTemplate(text string) (template, error) {
	p := &parser{text: text}
	t, err := p.template("")
	if err == nil && p.at < len(text) {
		err = fmt.Errorf("stray %q", text[p.at])
	}
	return t, err
}

// template reads up to one of the bytes of end, which stays unread, or to the end of the text.
func (p *parser) template(end string) (template, error) {
	var t template
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			t = append(t, part{text: plain.String()})
			plain.Reset()
		}
	}
	for p.at < len(p.text) {
		rest := p.text[p.at:]
		switch {
		case strings.HasPrefix(rest, `\${`):
			plain.WriteString("${")
			p.at += len(`\${`)
		case strings.HasPrefix(rest, "${"):
			flush()
			v, err := p.variable()
			if err != nil {
				return nil, err
			}
			t = append(t, part{variable: v})
		case end != "" && strings.IndexByte(end, rest[0]) >= 0:
			flush()
			return t, nil
		default:
			plain.WriteByte(rest[0])
			p.at++
		}
	}
	flush()
	return t, nil
}

// variable reads from "${" to its "}".
func (p *parser) variable() (*variable, error) {
	if p.depth++; p.depth > MaxDepth {
		return nil, fmt.Errorf("variables nested deeper than %d", MaxDepth)
	}
	defer func() { p.depth-- }()
	start := p.at
	p.at += len("${")
	v := &variable{}
	for {
		s, err := p.source()
		if err != nil {
			return nil, err
		}
		v.sources = append(v.sources, s)
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			v.written = p.text[start:p.at]
			return v, nil
		case 0:
			return nil, errOpen
		default:
			return nil, fmt.Errorf("%q where , or } is needed", p.peek())
		}
	}
}

// source reads one source, and what it is called with.
func (p *parser) source() (s source, err error) {
	p.space()
	switch c := p.peek(); {
	case c == '\'' || c == '"':
		p.at++
		if s.literal, err = p.template(string(c)); err != nil {
			return s, err
		}
		if p.peek() != c {
			return s, fmt.Errorf("a %c is not closed", c)
		}
		p.at++
		if s.literal == nil {
			s.literal = template{{}}
		}
		return s, nil
	case strings.HasPrefix(p.text[p.at:], "${"):
		s.inner, err = p.variable()
		return s, err
	}
	start := p.at
	for p.at < len(p.text) && isWordByte(p.text[p.at]) {
		p.at++
	}
	if s.name = p.text[start:p.at]; s.name == "" {
		if p.at == len(p.text) {
			return s, errOpen
		}
		return s, errors.New("it is written ${source:name} or ${source:name, 'default'}")
	}
	if p.peek() == '(' {
		p.at++
		s.called = true
		if s.arg, err = p.template(")"); err != nil {
			return s, err
		}
		if p.peek() != ')' {
			return s, errors.New("a ( is not closed")
		}
		p.at++
	}
	if p.peek() == ':' {
		p.at++
		s.placed = true
		s.address, err = p.template(",}")
	}
	return s, err
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// peek answers the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}
