//go:build !linux

package server

import (
	"errors"
	"os/exec"
)

// Place is where servers run. Only Linux lets this program choose.
type Place struct{}

// Pin answers an error: processors cannot be chosen here.
func Pin() (*Place, error) { return nil, errors.ErrUnsupported }

// Processors is how many servers have; 0: all.
func (*Place) Processors() int { return 0 }

func (*Place) start(cmd *exec.Cmd) error { return cmd.Start() }
