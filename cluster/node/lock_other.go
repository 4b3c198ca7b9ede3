//go:build !unix

package node

import "os"

// flock relies on the store's own directory lock, which every system has.
func flock(*os.File) error { return nil }
