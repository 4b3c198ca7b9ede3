//go:build !linux

package kv

import "syscall"

func endWithParent() *syscall.SysProcAttr { return nil }
