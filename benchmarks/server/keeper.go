package server

import (
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"
)

// keeper is a process that ends a server's process group when it is told to, or this program has ended, however that
// came: what a server starts would outlive it else.
type keeper struct {
	command *exec.Cmd
	told    io.Closer
}

// keep starts the keeper of a group. The caller calls end.
func keep(group int) (*keeper, error) {
	k := &keeper{command: exec.Command("sh", "-c", `read -r _; kill -KILL -"$0" 2>/dev/null || true`, strconv.Itoa(group))}
	k.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of this program's group is not for it
	in, err := k.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	k.told = in
	if err := k.command.Start(); err != nil {
		return nil, fmt.Errorf("start a server's keeper: %w", err)
	}
	return k, nil
}

// end ends what is left of the group.
func (k *keeper) end() error {
	k.told.Close() //nolint:errcheck // a pipe
	return k.command.Wait()
}
