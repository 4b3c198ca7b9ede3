package trigger

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// text reads the argument of a condition of text.
func text(key string, argument any) (func(s string) bool, error) {
	fold := false
	if inner, ok := argument.(map[string]any); ok && len(inner) == 1 && (key == "prefix" || key == "suffix") {
		argument, fold = inner["equals-ignore-case"]
	}
	want, ok := argument.(string)
	switch {
	case !ok:
		return nil, errors.New("it is followed by text")
	case key == "equals-ignore-case":
		return func(s string) bool { return strings.EqualFold(s, want) }, nil
	case key == "wildcard":
		return wildcard(want)
	case key == "cidr":
		return network(want)
	case fold && key == "prefix":
		return func(s string) bool { return strings.EqualFold(firstRunes(s, want), want) }, nil
	case fold:
		return func(s string) bool { return strings.EqualFold(lastRunes(s, want), want) }, nil
	case key == "prefix":
		return func(s string) bool { return strings.HasPrefix(s, want) }, nil
	}
	return func(s string) bool { return strings.HasSuffix(s, want) }, nil
}

// firstRunes is as many runes of s as like has: what is equal but for case may have another number of bytes.
func firstRunes(s, like string) string {
	end := 0
	for range like {
		_, n := utf8.DecodeRuneInString(s[end:])
		end += n
	}
	return s[:end]
}

// lastRunes is firstRunes from the end.
func lastRunes(s, like string) string {
	start := len(s)
	for range like {
		_, n := utf8.DecodeLastRuneInString(s[:start])
		start -= n
	}
	return s[start:]
}

// wildcard reads text in which * stands for any text, and a backslash before * or itself takes its meaning away.
func wildcard(pattern string) (func(s string) bool, error) {
	parts := []string{""}
	star := false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '*' && star:
			return nil, errors.New("two * in a row are one too many")
		case c == '*':
			parts, star = append(parts, ""), true
			continue
		case c == '\\':
			if i++; i == len(pattern) || pattern[i] != '*' && pattern[i] != '\\' {
				return nil, errors.New(`a \ stands only before * or \`)
			}
			c = pattern[i]
		}
		star = false
		parts[len(parts)-1] += string([]byte{c})
	}
	return func(s string) bool { return matchParts(s, parts) }, nil
}

// matchParts says whether s is the parts in their order with any text between them. Each is taken where it is first found,
// so that no text costs more than its length times the pattern's.
func matchParts(s string, parts []string) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return s == first
	}
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(s, part)
		if !found {
			return false
		}
		s = after
	}
	return true
}

// network reads a range of addresses, or one address.
func network(text string) (func(s string) bool, error) {
	p, err := netip.ParsePrefix(text)
	if a, alone := netip.ParseAddr(text); alone == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil {
		return nil, errors.New("it is a range of addresses such as 10.0.0.0/24 or 2001:db8::/32")
	}
	return func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err == nil && p.Contains(a.Unmap())
	}, nil
}
