//go:build !linux

package runtime

// yieldProcessor does nothing where there is no way to yield that needs no cgo.
func yieldProcessor() {}
