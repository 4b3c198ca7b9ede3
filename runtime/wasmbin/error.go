package wasmbin

import (
	"errors"
	"fmt"
	"strings"
)

// What an Error may unwrap to.
var (
	ErrNotWasm   = errors.New("not a WebAssembly binary")
	ErrTruncated = errors.New("WebAssembly binary is truncated")
	ErrComponent = errors.New("WebAssembly component, not a core module")
)

// Fault says what kind of thing is wrong with a module.
type Fault string

const (
	Malformed   Fault = "malformed"   // the bytes break a rule of the WebAssembly specification
	Unsupported Fault = "unsupported" // a feature that is not offered, or a name that is reserved
	TooLarge    Fault = "too large"   // over one of the limits of this package
)

// Error says what is wrong with a module, and where.
type Error struct {
	Fault   Fault
	Section string // "import", "code", ...; "module" where no section is at fault
	Offset  int    // of the byte at fault, from the module's start
	Reason  string // what is there and what would be right
	Err     error  // one of the errors above, or nil
}

// Error answers "SECTION section, offset OFFSET: REASON".
func (e *Error) Error() string {
	return fmt.Sprintf("%s section, offset %#x: %s", e.Section, e.Offset, e.Reason)
}

// Unwrap answers Err.
func (e *Error) Unwrap() error { return e.Err }

// maxNamed is how many names an error tells.
const maxNamed = 20

// Enumerate joins names for an error, the first maxNamed of them.
func Enumerate(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}
