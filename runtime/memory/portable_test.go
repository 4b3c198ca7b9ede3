//go:build !linux || sett_portable

package memory

import "testing"

// ways are all ways in which slots can be reset on this system.
func ways(testing.TB) []way { return []way{{"copy", func(*Slots) {}}} }
