//go:build !linux

package subject

import "syscall"

func endWithParent() *syscall.SysProcAttr { return nil }
