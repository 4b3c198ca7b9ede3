package kv

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
)

// process is a server that was started, and ends with its stop.
type process struct {
	command *exec.Cmd
	output  *bytes.Buffer // what it said, for when it fails
	ended   chan struct{}
}

// start runs a program. Nothing of it is left when ctx ends.
func start(ctx context.Context, program string, args ...string) (*process, error) {
	p := &process{command: exec.CommandContext(ctx, program, args...), output: new(bytes.Buffer), ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = p.output, p.output
	return p, p.run()
}

func (p *process) run() error {
	p.command.SysProcAttr = endWithParent()
	if err := p.command.Start(); err != nil {
		return err
	}
	go func() {
		_ = p.command.Wait() // killed, as a rule
		close(p.ended)
	}()
	return nil
}

// stop asks the process to end, and kills it when it does not.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// kill ends the process at once.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended
	<-p.ended
}

// rssMB is the process's resident memory.
func (p *process) rssMB() (float64, error) {
	kib, err := subject.ResidentKiB(p.command.Process.Pid)
	return float64(kib) / 1024, err
}

// cpu is the processor time the process has used.
func (p *process) cpu() (time.Duration, error) { return subject.CPU(p.command.Process.Pid) }

// cpuOf is the processor time of several processes together.
func cpuOf(all []*process) (sum time.Duration, err error) {
	for _, p := range all {
		used, err := p.cpu()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// freePorts answers ports of loopback that nobody listens on now.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var ports []string
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	for range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// waitFor tries until something works, or ctx ends or the process does.
func (p *process) waitFor(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-p.ended:
			return fmt.Errorf("%s has ended: %s", filepath.Base(p.command.Path), lastBytes(p.output.String(), 500))
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", filepath.Base(p.command.Path), err)
		}
	}
}

func lastBytes(s string, n int) string { return s[max(0, len(s)-n):] }
