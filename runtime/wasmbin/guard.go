package wasmbin

import (
	"encoding/binary"
	"math"
)

// entryCheck is an empty loop: "loop, no result; end".
const entryCheck = "\x03\x40\x0b"

// Guard answers the module with two of its freedoms taken, so that an engine that looks at deadlines where loops
// start can hold it to its limits:
//
//   - A function from which calls can go on for ever starts with an empty loop. Without it a function that calls
//     itself twice, forty deep, could neither be ended nor be interrupted by the collector.
//   - No table grows beyond maxTable elements, since tables are not part of the memory that is limited.
//
// In all else it behaves as before. What is malformed inside of functions is left as it is, for the engine to
// refuse. A module that Rewrite has rewritten needs no guard.
func Guard(module []byte, maxTable uint32) ([]byte, error) {
	m, err := decode(module)
	if err != nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint32(append(make([]byte, 0, len(module)+len(module)/8), magic...), coreVersion)
	for place := byte(1); place < sections; place++ {
		id := sectionAt(place)
		if !m.has[id] {
			continue
		}
		content := m.content(id)
		switch id {
		case tableSection:
			content = m.guardTables(maxTable)
		case codeSection:
			if content, err = m.guardCode(); err != nil {
				return nil, err
			}
		}
		out = appendSection(out, id, content)
	}
	if m.names.to > 0 {
		out = appendSection(out, customSection, append(appendName(nil, "name"), module[m.names.from:m.names.to]...))
	}
	return out, nil
}

// sectionAt is the section at a place in a module.
func sectionAt(place byte) byte {
	for id := range byte(sections) {
		if sectionOrder[id] == place {
			return id
		}
	}
	return customSection
}

// guardCode rewrites the content of the code section.
func (m *module) guardCode() ([]byte, *Error) {
	code := make([]int, len(m.bodies)) // where each function's instructions start
	for i, body := range m.bodies {
		r := &reader{data: m.data, at: body.from, end: body.to, section: sectionName(codeSection)}
		for range r.count("groups of locals", 2, MaxLocals) {
			r.u32()
			r.valType(len(m.types))
		}
		if r.failed() {
			return nil, r.err
		}
		code[i] = r.at
	}
	endless := m.callGraph(code).endless()
	out := appendU32(nil, uint32(len(m.bodies)))
	for i, body := range m.bodies {
		check := ""
		if endless[i] {
			check = entryCheck
		}
		out = appendU32(out, uint32(body.len()+len(check)))
		out = append(append(append(out, m.data[body.from:code[i]]...), check...), m.data[code[i]:body.to]...)
	}
	return out, nil
}

func (m *module) callGraph(code []int) *graph {
	n := uint32(len(m.bodies))
	g := &graph{others: make([]bool, n), callees: make([]uint32, n)}
	for i, body := range m.bodies {
		caller := uint32(i)
		r := &reader{data: m.data, at: code[i], end: body.to}
		g.others[i] = r.calls(func(callee uint32) {
			if callee -= uint32(m.importedFunctions); callee < n { // else it is a host's, which calls nobody, or does not exist
				g.callees[caller]++
				g.edges = append(g.edges, [2]uint32{caller, callee})
			}
		})
	}
	return g
}

// guardTables rewrites the content of the table section.
func (m *module) guardTables(limit uint32) []byte {
	own := m.tables[m.importedTables:]
	out := appendU32(nil, uint32(len(own)))
	for _, t := range own {
		l := t.Limits
		l.Max, l.HasMax = max(min(l.most(math.MaxUint32), uint64(limit)), l.Min), true
		out = append(out, m.data[t.at.from:t.bounds.from]...)
		out = appendLimits(out, l)
		out = append(out, m.data[t.bounds.to:t.at.to]...)
	}
	return out
}
