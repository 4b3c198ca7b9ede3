package server

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// share splits the processors this program may use: those of the load, and those of servers. With one, both have it.
func share() (load, servers unix.CPUSet, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return load, servers, fmt.Errorf("find processors: %w", err)
	}
	n := all.Count()
	for i, seen := 0, 0; seen < n; i++ {
		if !all.IsSet(i) {
			continue
		}
		if seen++; seen <= max(n/4, 1) {
			load.Set(i)
		} else {
			servers.Set(i)
		}
	}
	if n == 1 {
		servers = load
	}
	return load, servers, nil
}

// Place is where servers run: on the processors that the load leaves them. A nil one is anywhere.
type Place struct{ servers unix.CPUSet }

// Pin has the load, which is this program, use a quarter of the processors, at least one, and leaves servers the others.
func Pin() (*Place, error) {
	load, servers, err := share()
	if err != nil {
		return nil, err
	}
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return nil, err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(filepath.Base(thread))
		if err != nil {
			return nil, err
		}
		if err := unix.SchedSetaffinity(id, &load); err != nil && !errors.Is(err, unix.ESRCH) { // it may have ended
			return nil, fmt.Errorf("choose processors: %w", err)
		}
	}
	runtime.GOMAXPROCS(load.Count() + 1) // one may sleep in the kernel until the next request is due
	return &Place{servers}, nil
}

// Processors is how many servers have.
func (p *Place) Processors() int {
	if p == nil {
		return runtime.NumCPU()
	}
	return p.servers.Count()
}

// start starts a process there, which leads a process group. The kernel ends it with this one.
func (p *Place) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if p == nil {
		return cmd.Start()
	}
	runtime.LockOSThread() // a child has the processors of the thread that starts it
	defer runtime.UnlockOSThread()
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, &p.servers); err != nil {
		return err
	}
	started := cmd.Start()
	return errors.Join(started, unix.SchedSetaffinity(0, &mine))
}
