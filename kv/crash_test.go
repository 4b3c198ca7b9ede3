//go:build unix

package kv

import "io"

func load(dir string, out io.Writer) error { return nil }
