package subject

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sett-run/sett/cluster/node"
)

// closeTime is how long a node has for what still runs in it.
const closeTime = 100 * time.Millisecond

// Process is a node in a process of its own.
type Process struct {
	HTTP, Admin string // addresses, HOST:PORT

	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// Start runs this program again, with other arguments, with which it prints two addresses and ends when its input does. The
// caller calls Stop.
func Start(ctx context.Context, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{command: exec.CommandContext(ctx, self, args...)}
	p.command.Stderr = os.Stderr
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	line, err := p.ReadLine()
	if err == nil {
		_, err = fmt.Sscan(line, &p.HTTP, &p.Admin)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start node: %w", err), p.Stop())
	}
	return p, nil
}

// ReadLine answers the next line that the process says, without its end.
func (p *Process) ReadLine() (string, error) {
	line, err := p.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// Ask answers the line that the process says to one that it is told.
func (p *Process) Ask(question string) (string, error) {
	if _, err := fmt.Fprintln(p.in, question); err != nil {
		return "", err
	}
	return p.ReadLine()
}

// Stop ends the process. What still runs in its node is cut off after a moment.
func (p *Process) Stop() error { return errors.Join(p.in.Close(), p.command.Wait()) }

// Kill ends the process at once, as kill -9 does, instead of Stop.
func (p *Process) Kill() error {
	if err := p.command.Process.Kill(); err != nil {
		return fmt.Errorf("kill node: %w", err)
	}
	_ = p.command.Wait() // it says that it was killed
	return nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.command.Process.Pid }

// serve is the process: it tells where n is and closes it when in ends.
func serve(ctx context.Context, n *node.Node, in io.Reader, out io.Writer) error {
	fmt.Fprintln(out, n.HTTPAddr(), n.AdminAddr())
	_, err := io.Copy(io.Discard, in)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if closed := n.Close(ctx); !errors.Is(closed, context.DeadlineExceeded) {
		err = errors.Join(err, closed)
	}
	return err
}
