package wasmbin

import "unicode/utf8"

// Parts of the name section.
const (
	namesOfModule    = 0
	namesOfFunctions = 1
)

// functionName is the name of a function.
type functionName struct {
	function uint32
	at       span // the name, without its length
}

// functionNames answers the names of functions, ascending by function, and the module's name. Names are for people
// only, so what is malformed is left out, without an error.
func (m *module) functionNames() (list []functionName, own span) {
	outer := &reader{data: m.data, at: m.names.from, end: m.names.to, section: "name"}
	for outer.left() > 0 {
		id := outer.byte()
		n := outer.length("bytes")
		r := &reader{data: m.data, at: outer.at, end: outer.at + n, section: "name"}
		outer.skip(n)
		if outer.failed() {
			break
		}
		switch id {
		case namesOfModule:
			own = r.text()
		case namesOfFunctions:
			list = m.readFunctionNames(r)
		}
	}
	return list, own
}

func (m *module) readFunctionNames(r *reader) []functionName {
	list := make([]functionName, 0, r.count("names", 2, len(m.functions)))
	next := 0
	for range cap(list) {
		n := functionName{function: r.u32(), at: r.text()}
		if r.failed() || int(n.function) < next || int(n.function) >= len(m.functions) {
			break
		}
		next = int(n.function) + 1
		list = append(list, n)
	}
	return list
}

// text reads a string and answers where it stands.
func (r *reader) text() span {
	n := r.length("bytes of a name")
	at := r.skip(n)
	return span{at, at + n}
}

// appendNames appends a name section with the functions' names and those of what is added.
func (w *rewriter) appendNames(dst []byte) []byte {
	m := w.m
	list, own := m.functionNames()
	content := appendName(make([]byte, 0, m.names.len()+512), "name")
	if own.len() > 0 {
		content = appendSection(content, namesOfModule, appendName(nil, m.text(own)))
	}
	names := make([]byte, 0, m.names.len()+512)
	imported := 0
	if w.refills() {
		imported = 1
	}
	names = appendU32(names, uint32(len(list)+imported+len(w.routines)))
	for _, n := range list {
		if imported > 0 && int(n.function) >= m.importedFunctions {
			names, imported = w.appendImportName(names), 0
		}
		names = appendU32(names, w.newIndex(n.function))
		names = appendName(names, m.text(n.at))
	}
	if imported > 0 {
		names = w.appendImportName(names)
	}
	for i, r := range w.routines {
		names = appendU32(names, uint32(len(m.functions)+1+i))
		names = appendName(names, Reserved+r.kind.name())
	}
	content = appendSection(content, namesOfFunctions, names)
	return appendSection(dst, customSection, content)
}

func (w *rewriter) appendImportName(dst []byte) []byte {
	return appendName(appendU32(dst, w.refillImport()), RefillModule+"."+RefillName)
}

// text is the string at s, empty when it is not UTF-8.
func (m *module) text(s span) string {
	b := m.data[s.from:s.to]
	if !utf8.Valid(b) {
		return ""
	}
	return string(b)
}
