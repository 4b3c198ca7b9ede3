package component

import "slices"

// fileFunctions are wasi:filesystem's. There are no directories to begin with, and so no descriptors: whoever calls a
// method of one holds no handle of it. Source: WASI 0.2, wit/deps/filesystem.
func fileFunctions() []function {
	methods := methodsOf[descriptor]([][2]string{
		{"read-via-stream", "ili:"}, {"write-via-stream", "ili:"}, {"append-via-stream", "ii:"}, {"advise", "illii:"},
		{"sync-data", "ii:"}, {"get-flags", "ii:"}, {"get-type", "ii:"}, {"set-size", "ili:"}, {"set-times", "iiliilii:"},
		{"read", "illi:"}, {"write", "iiili:"}, {"read-directory", "ii:"}, {"sync", "ii:"},
		{"create-directory-at", "iiii:"}, {"stat", "ii:"}, {"stat-at", "iiiii:"}, {"set-times-at", "iiiiiliilii:"},
		{"link-at", "iiiiiiii:"}, {"open-at", "iiiiiii:"}, {"readlink-at", "iiii:"}, {"remove-directory-at", "iiii:"},
		{"rename-at", "iiiiiii:"}, {"symlink-at", "iiiiii:"}, {"unlink-file-at", "iiii:"}, {"is-same-object", "ii:i"},
		{"metadata-hash", "ii:"}, {"metadata-hash-at", "iiiii:"},
	})
	methods = append(methods, methodsOf[directory]([][2]string{{"read-directory-entry", "ii:"}})...)
	methods = append(methods, function{"filesystem-error-code", "ii:", false, func(c *Call, p []uint64) {
		use[*streamError](c, p[0])
		c.put8(c.at(p[1], 1), 0)
	}})
	return slices.Concat(group("wasi:filesystem/types@0.2", methods...), group("wasi:filesystem/preopens@0.2",
		function{"get-directories", "i:", true, func(c *Call, p []uint64) {
			at := c.at(p[0], 4)
			c.put32(at, c.allocate(4, 0))
			c.put32(at+4, 0)
		}}), []function{dropped[descriptor](), dropped[directory]()})
}

// There are no files: nobody has a handle of one.
type (
	descriptor struct{ nothing }
	directory  struct{ nothing }
)

func (descriptor) resource() string { return "descriptor" }
func (directory) resource() string  { return "directory-entry-stream" }
