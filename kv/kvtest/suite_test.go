package kvtest

import (
	"testing"

	"github.com/sett-run/sett/kv/op"
)

func TestMemory(t *testing.T) {
	Run(t, func(*testing.T) Store { return new(op.Memory) })
}
