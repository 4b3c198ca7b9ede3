//go:build !linux

package server

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
)

// Place is where servers run. Only Linux lets this program choose.
type Place struct{}

// Pin answers an error: processors cannot be chosen here.
func Pin() (*Place, error) { return nil, errors.ErrUnsupported }

// Processors is how many servers have.
func (*Place) Processors() int { return runtime.NumCPU() }

// start starts a process, which leads a process group.
func (*Place) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}
