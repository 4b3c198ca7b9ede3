package wasmbin

import "encoding/binary"

// entryCheck is an empty loop: "loop, no result; end".
const entryCheck = "\x03\x40\x0b"

// Guard answers the module with two of its freedoms taken, so that the engine can hold it to its limits:
//
//   - A function from which calls can go on for ever starts with an empty loop. The engine looks at the deadline
//     where a loop starts and nowhere else; without it a function that calls itself twice, forty deep, could
//     neither be ended nor be interrupted by the collector.
//   - No table grows beyond maxTable elements, since tables are not part of the memory that is limited.
//
// In all else it behaves as before. It must be one that Read accepts; what is malformed inside of functions is
// left as it is, for the engine to refuse.
func Guard(module []byte, maxTable uint32) ([]byte, error) {
	if err := checkHeader(module); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(module)+len(module)/8)
	out = append(out, module[:8]...)
	imported := uint32(0)
	r := &reader{b: module, at: 8}
	for r.at < len(r.b) && r.err == nil {
		start := r.at
		id, size := r.byte(), r.u32()
		body := &reader{b: r.bytes(int(size)), base: r.at - int(size)}
		if r.err != nil {
			break
		}
		var changed []byte
		switch id {
		case sectionTable:
			changed = guardTables(body, maxTable)
		case sectionCode:
			changed = guardCode(body, imported)
		default:
			if id == sectionImport {
				imported = countFuncs(list(body, MaxImports, "imports", (*reader).imported))
			}
			out = append(out, module[start:r.at]...)
			continue
		}
		if body.err != nil {
			return nil, body.err
		}
		out = appendU32(append(out, id), uint32(len(changed)))
		out = append(out, changed...)
	}
	return out, r.err
}

func countFuncs(imports []Import) (n uint32) {
	for i := range imports {
		if imports[i].Kind == Func {
			n++
		}
	}
	return n
}

// function is the code of one function: b[:code] declares locals, the rest is instructions.
type function struct {
	b    []byte
	code int
}

// guardCode rewrites the content of the code section of a module with so many imported functions.
func guardCode(r *reader, imported uint32) []byte {
	functions := list(r, MaxFunctions, "functions", (*reader).function)
	if r.err != nil {
		return nil
	}
	endless := callGraph(functions, imported).endless()
	out := appendU32(make([]byte, 0, len(r.b)+len(r.b)/8), uint32(len(functions)))
	for i, f := range functions {
		check := ""
		if endless[i] {
			check = entryCheck
		}
		out = appendU32(out, uint32(len(f.b)+len(check)))
		out = append(append(append(out, f.b[:f.code]...), check...), f.b[f.code:]...)
	}
	return append(out, r.b[r.at:]...)
}

// function reads where a function's instructions start.
func (r *reader) function() function {
	size := r.u32()
	body := &reader{b: r.bytes(int(size)), base: r.base + r.at - int(size)}
	for groups := body.u32(); groups > 0 && body.err == nil; groups-- { // of locals: a count and a type
		body.u32()
		body.byte()
	}
	if r.err == nil {
		r.err = body.err
	}
	return function{b: body.b, code: body.at}
}

func callGraph(functions []function, imported uint32) *graph {
	n := uint32(len(functions))
	g := &graph{others: make([]bool, n), callees: make([]uint32, n)}
	for i, f := range functions {
		caller := uint32(i)
		r := &reader{b: f.b, at: f.code}
		g.others[i] = r.calls(func(callee uint32) {
			if callee -= imported; callee < n { // else it is a host's, which calls nobody, or does not exist
				g.callees[caller]++
				g.edges = append(g.edges, [2]uint32{caller, callee})
			}
		})
	}
	return g
}

// guardTables rewrites the content of the table section.
func guardTables(r *reader, limit uint32) []byte {
	n := r.u32()
	out := appendU32(nil, n)
	for range n {
		kind := r.byte()
		l := r.limits()
		if r.err != nil {
			return nil
		}
		most := uint64(limit)
		if l.HasMax {
			most = min(most, l.Max)
		}
		out = append(out, kind, flagMax)
		out = appendU32(out, uint32(l.Min))
		out = appendU32(out, uint32(max(most, l.Min)))
	}
	return append(out, r.b[r.at:]...)
}

func appendU32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }
