package component

// resource is what a handle stands for.
type resource interface {
	resource() string // its type's name
	drop(c *Call)     // nobody uses it any more
}

// table holds a guest's handles. Source: canonical ABI, "Table State": the first is 1, and the one freed last is given
// again first.
type table struct {
	entries []entry
	free    []uint32
}

type entry struct {
	resource resource
	parent   uint32 // handle of what it is part of; 0: nothing
	children int    // handles of its parts
}

// own gives the guest a handle of r, which is part of parent's, or of nothing where that is 0. A resource that has parts
// must not be dropped.
func (c *Call) own(r resource, parent uint32) uint32 {
	t := &c.handles
	if n := len(t.free); n > 0 {
		h := t.free[n-1]
		t.free = t.free[:n-1]
		t.entries[h] = entry{resource: r, parent: parent}
		t.adopt(parent)
		return h
	}
	if len(t.entries) == 0 {
		t.entries = append(t.entries, entry{})
	}
	if len(t.entries) > MaxHandles {
		trap("more than %d handles", MaxHandles)
	}
	t.entries = append(t.entries, entry{resource: r, parent: parent})
	t.adopt(parent)
	return uint32(len(t.entries) - 1)
}

func (t *table) adopt(parent uint32) {
	if parent != 0 {
		t.entries[parent].children++
	}
}

// use answers what a handle stands for, which must be a T.
func use[T resource](c *Call, handle uint64) T {
	h := uint32(handle)
	var want T
	if int64(h) >= int64(len(c.handles.entries)) || c.handles.entries[h].resource == nil {
		trap("handle %d stands for nothing, want a %s", h, want.resource())
	}
	r, ok := c.handles.entries[h].resource.(T)
	if !ok {
		trap("handle %d stands for a %s, want a %s", h, c.handles.entries[h].resource.resource(), want.resource())
	}
	return r
}

// take takes a handle from the guest, and answers what it stood for.
func take[T resource](c *Call, handle uint64) T {
	r := use[T](c, handle)
	h := uint32(handle)
	e := &c.handles.entries[h]
	if e.children > 0 {
		trap("handle %d, a %s, is given away while %d of its parts are in use", h, r.resource(), e.children)
	}
	if e.parent != 0 {
		c.handles.entries[e.parent].children--
	}
	*e = entry{}
	c.handles.free = append(c.handles.free, h)
	return r
}

// dropped is the function that drops handles of type T.
func dropped[T resource]() function {
	var r T
	return function{name: drop + r.resource(), sig: "i:", run: func(c *Call, p []uint64) {
		r := take[T](c, p[0])
		r.drop(c)
	}}
}

// drop is what the names of functions that drop handles start with. They are the same for all interfaces, since the names of
// resources are.
const drop = "[resource-drop]"

// resourceName is what a type of resources is called where it is defined.
func resourceName(alias string) string {
	switch alias {
	case "headers", "trailers":
		return "fields"
	case "io-error", "stream-error":
		return "error"
	}
	return alias
}
