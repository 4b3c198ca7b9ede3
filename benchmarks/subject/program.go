package subject

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Times of programs.
const (
	programReady = 3 * time.Minute // until it answers: it may have to compile first
	programStop  = 10 * time.Second
)

// Program is a process of a program that is not this one. What Cmd's fields say may be changed until Start.
type Program struct {
	*exec.Cmd
	said  *bytes.Buffer // for when it fails
	ended chan struct{}
}

// NewProgram makes a program that is not started yet. Nothing of it is left when ctx, or this process, ends.
func NewProgram(ctx context.Context, program string, args ...string) *Program {
	p := &Program{Cmd: exec.CommandContext(ctx, program, args...), said: new(bytes.Buffer), ended: make(chan struct{})}
	p.Stdout, p.Stderr, p.SysProcAttr = p.said, p.said, endWithParent()
	return p
}

// Start starts it. The caller calls Stop.
func (p *Program) Start() error {
	if err := p.Cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = p.Wait() // killed, as a rule
		close(p.ended)
	}()
	return nil
}

// Stop asks the process to end, and kills it when it does not.
func (p *Program) Stop() {
	_ = p.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(programStop):
		_ = p.Process.Kill() // it may have ended
		<-p.ended
	}
}

// PID is the process's id.
func (p *Program) PID() int { return p.Process.Pid }

// WaitFor tries until something works, or ctx ends or the process does.
func (p *Program) WaitFor(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, programReady)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-p.ended:
			return fmt.Errorf("%s has ended: %s", filepath.Base(p.Path), lastBytes(p.said.String(), 500))
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", filepath.Base(p.Path), err)
		}
	}
}

func lastBytes(s string, n int) string { return s[max(0, len(s)-n):] }

// FreePorts answers ports of loopback that nobody listens on now.
func FreePorts(ctx context.Context, n int) (ports []string, err error) {
	for range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // not before all are found
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}
