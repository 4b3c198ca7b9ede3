//go:build !(linux || darwin || freebsd)

package store

import "math"

// freeBytes cannot ask this system, and so never refuses.
func freeBytes(string) (uint64, error) { return math.MaxUint64, nil }
