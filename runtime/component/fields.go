package component

import (
	"slices"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// fields are HTTP headers or trailers.
type fields struct {
	list      []abi.Field
	immutable bool
	size      int // of names and values, counted as held
}

func (*fields) resource() string { return "fields" }
func (f *fields) drop(c *Call)   { c.free(f.size) }

// fieldBytes is what a field takes besides its name and its value.
const fieldBytes = 64

// fieldFunctions are those of wasi:http's fields. Source: WASI 0.2, wit/deps/http/types.wit.
func fieldFunctions() []function {
	return append(group(typesName,
		function{"[constructor]fields", ":i", false, func(c *Call, p []uint64) { p[0] = uint64(c.own(new(fields), 0)) }},
		function{"[static]fields.from-list", "iii:", false, fieldsFromList},
		function{"[method]fields.get", "iiii:", true, fieldsGet},
		function{"[method]fields.has", "iii:i", false, fieldsHas},
		function{"[method]fields.set", "iiiiii:", false, fieldsSet},
		function{"[method]fields.delete", "iiii:", false, fieldsDelete},
		function{"[method]fields.append", "iiiiii:", false, fieldsAppend},
		function{"[method]fields.entries", "ii:", true, fieldsEntries},
		function{"[method]fields.clone", "i:i", false, func(c *Call, p []uint64) {
			p[0] = uint64(c.own(use[*fields](c, p[0]).clone(c), 0))
		}},
	), dropped[*fields]())
}

// headerError is why a field is not changed, as the specification numbers it.
type headerError uint8

const (
	headerFine headerError = iota
	headerSyntax
	headerForbidden
	headerImmutable
)

// check says whether a field may be given by a guest.
func checkField(name, value string) headerError {
	switch {
	case !abi.ValidHeader(abi.Field{Name: name, Value: value}):
		return headerSyntax
	case forbidden(name):
		return headerForbidden
	}
	return headerFine
}

// forbidden says whether a field belongs to the connection, and so is the host's to set.
func forbidden(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "transfer-encoding",
		"upgrade", "host", "http2-settings":
		return true
	}
	return false
}

// add appends a field. Names of what came are in small letters, as HTTP/2 has them and guests compare them with.
func (f *fields) add(c *Call, name, value string) {
	if f.immutable {
		name = strings.ToLower(name)
	}
	if len(f.list) == abi.MaxHeaders {
		trap("more than %d fields", abi.MaxHeaders)
	}
	n := len(name) + len(value) + fieldBytes
	c.hold(n)
	f.size += n
	f.list = append(f.list, abi.Field{Name: name, Value: value})
}

func (f *fields) remove(c *Call, name string) {
	f.list = slices.DeleteFunc(f.list, func(x abi.Field) bool {
		if !strings.EqualFold(x.Name, name) {
			return false
		}
		n := len(x.Name) + len(x.Value) + fieldBytes
		c.free(n)
		f.size -= n
		return true
	})
}

// received answers fields that came with a message, which nobody may change, without those of its connection.
func (c *Call) received(list []abi.Field) *fields {
	f := &fields{immutable: true}
	for _, x := range list {
		if !forbidden(x.Name) {
			f.add(c, x.Name, x.Value)
		}
	}
	return f
}

func (f *fields) clone(c *Call) *fields {
	c.hold(f.size)
	return &fields{list: slices.Clone(f.list), size: f.size}
}

func (f *fields) values(name string) (list []string) {
	for _, x := range f.list {
		if strings.EqualFold(x.Name, name) {
			list = append(list, x.Value)
		}
	}
	return list
}

func fieldsFromList(c *Call, p []uint64) {
	f := new(fields)
	at, failed := c.at(p[2], 4), headerFine
	entries := c.elements(p[0], p[1], 16, 4)
	for ; len(entries) > 0 && failed == headerFine; entries = entries[16:] {
		name := c.text(uint64(le32(entries)), uint64(le32(entries[4:])))
		value := string(c.copyBytes(uint64(le32(entries[8:])), uint64(le32(entries[12:]))))
		if failed = checkField(name, value); failed == headerFine {
			f.add(c, name, value)
		}
	}
	if failed != headerFine {
		f.drop(c)
		c.put8(at, 1)
		c.put8(at+4, byte(failed-1))
		return
	}
	c.put8(at, 0)
	c.put32(at+4, c.own(f, 0))
}

func fieldsGet(c *Call, p []uint64) {
	values := use[*fields](c, p[0]).values(c.text(p[1], p[2]))
	c.putTexts(c.at(p[3], 4), values)
}

func fieldsHas(c *Call, p []uint64) {
	p[0] = uint64(bit(len(use[*fields](c, p[0]).values(c.text(p[1], p[2]))) > 0))
}

// changed writes the result of a change.
func (c *Call) changed(ret uint64, failed headerError) {
	at := c.at(ret, 1)
	c.put8(at, byte(bit(failed != headerFine)))
	if failed != headerFine {
		c.put8(at+1, byte(failed-1))
	}
}

// change answers the fields to change, or why not.
func change(c *Call, handle uint64, name string, values ...string) (*fields, headerError) {
	f := use[*fields](c, handle)
	if f.immutable {
		return nil, headerImmutable
	}
	if failed := checkField(name, ""); failed != headerFine {
		return nil, failed
	}
	for _, v := range values {
		if failed := checkField(name, v); failed != headerFine {
			return nil, failed
		}
	}
	return f, headerFine
}

func fieldsSet(c *Call, p []uint64) {
	name := c.text(p[1], p[2])
	var values []string
	for list := c.elements(p[3], p[4], 8, 4); len(list) > 0; list = list[8:] {
		values = append(values, string(c.copyBytes(uint64(le32(list)), uint64(le32(list[4:])))))
	}
	f, failed := change(c, p[0], name, values...)
	if failed == headerFine {
		f.remove(c, name)
		for _, v := range values {
			f.add(c, name, v)
		}
	}
	c.changed(p[5], failed)
}

func fieldsDelete(c *Call, p []uint64) {
	name := c.text(p[1], p[2])
	f, failed := change(c, p[0], name)
	if failed == headerFine {
		f.remove(c, name)
	}
	c.changed(p[3], failed)
}

func fieldsAppend(c *Call, p []uint64) {
	name, value := c.text(p[1], p[2]), string(c.copyBytes(p[3], p[4]))
	f, failed := change(c, p[0], name, value)
	if failed == headerFine {
		f.add(c, name, value)
	}
	c.changed(p[5], failed)
}

func fieldsEntries(c *Call, p []uint64) {
	f := use[*fields](c, p[0])
	pairs := make([][2]string, len(f.list))
	for i, x := range f.list {
		pairs[i] = [2]string{x.Name, x.Value}
	}
	c.putPairs(c.at(p[1], 4), pairs)
}
