// Package server starts what is compared: Sett, servers of ours as yardsticks, and what people would take instead, each
// in processes of its own, set up as its makers advise, and answering all works that it can do.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sett-run/sett/benchmarks/load"
	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/benchmarks/work"
)

// Kind is a server that can be started.
type Kind struct {
	Name  string
	How   string   // its settings, for the reader of a table
	Works []string // that it can do
	// State says what becomes of the state of the work "kv": nothing if it is not done.
	State string
	// Program is looked for in PATH; empty: this program, with the arguments "serve Name ADDRESS DIR".
	Program string
	Get     string   // how to get the program
	Version []string // arguments that have it print its version
	// Prepare writes what the server needs into its directory; nil: nothing.
	Prepare func(ctx context.Context, at Site) error
	// Arguments are those with which the program serves.
	Arguments func(at Site) []string
}

// Site is what a server is given.
type Site struct {
	Dir        string // of its own, in which it is started
	Address    string // HOST:PORT, at which it is to serve
	Processors int    // that it may use
}

// startTime is how long a server may take until its first reply: it may have to compile first.
const startTime = 3 * time.Minute

// stopTime is how long a server may take to end before it is killed.
const stopTime = 5 * time.Second

// Server is one that answers at Address. The caller calls Stop.
type Server struct {
	Kind
	Address string // HOST:PORT
	Version string
	Started time.Duration // from its start until its first reply, with what it had to compile

	command *exec.Cmd
	keeper  *keeper
	said    *bytes.Buffer // for when it fails
	ended   chan struct{}
	dir     string
	began   time.Time
}

// ErrMissing is the error of a kind whose program is not here. Its text says how to get it.
var ErrMissing = errors.New("is not installed")

// Start starts a server at its place.
func (p *Place) Start(ctx context.Context, k Kind) (*Server, error) {
	s := &Server{Kind: k}
	program, err := k.find()
	if err != nil {
		return nil, err
	}
	if s.Version, err = k.version(ctx, program); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "sett-benchmark-server-"); err != nil {
		return nil, err
	}
	if err := s.start(ctx, p, program); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", k.Name, err), os.RemoveAll(s.dir))
	}
	if err := s.wait(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", k.Name, err), s.Stop())
	}
	return s, nil
}

// StartAll starts those that are installed, and notes their versions and those that are left out. What it answers is for
// StopAll, also when there is an error.
func (p *Place) StartAll(ctx context.Context, kinds []Kind, out *record.Output) (servers []*Server, err error) {
	for _, k := range kinds {
		s, err := p.Start(ctx, k)
		if errors.Is(err, ErrMissing) {
			out.File.LeftOut[k.Name] = k.Get
			fmt.Fprintf(out.Out, "%-14s is left out: %v\n", k.Name, err)
			continue
		}
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
		if s.Version != "" {
			out.File.Versions[k.Program] = s.Version
		}
		fmt.Fprintf(out.Out, "%-14s %s. %s\n", k.Name, k.How, s.Version)
	}
	return servers, nil
}

// StopAll stops servers.
func StopAll(servers []*Server) (err error) {
	for _, s := range servers {
		err = errors.Join(err, s.Stop())
	}
	return err
}

func (k Kind) find() (program string, err error) {
	if k.Program == "" {
		return os.Executable()
	}
	program, err = exec.LookPath(k.Program)
	if err != nil {
		return "", fmt.Errorf("%s %w: %s", k.Program, ErrMissing, k.Get)
	}
	return filepath.Abs(program)
}

// version is what the program says of itself, in its first line.
func (k Kind) version(ctx context.Context, program string) (string, error) {
	if len(k.Version) == 0 {
		return "", nil
	}
	out, err := exec.CommandContext(ctx, program, k.Version...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %v: %w: %.200s", k.Program, k.Version, err, out)
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return string(line), nil
}

func (s *Server) start(ctx context.Context, p *Place, program string) (err error) {
	ports, err := subject.FreePorts(ctx, 1)
	if err != nil {
		return err
	}
	s.Address = net.JoinHostPort("127.0.0.1", ports[0])
	if s.Prepare != nil {
		if err := s.Prepare(ctx, s.site(p)); err != nil {
			return err
		}
	}
	return s.launch(ctx, p, program)
}

func (s *Server) site(p *Place) Site {
	return Site{Dir: s.dir, Address: s.Address, Processors: p.Processors()}
}

// launch starts the program with what was prepared.
func (s *Server) launch(ctx context.Context, p *Place, program string) (err error) {
	s.said, s.ended = new(bytes.Buffer), make(chan struct{})
	args := []string{"serve", s.Name, s.Address, s.dir}
	if s.Arguments != nil {
		args = s.Arguments(s.site(p))
	}
	s.command = exec.CommandContext(ctx, program, args...)
	s.command.Dir, s.command.Stdout, s.command.Stderr = s.dir, s.said, s.said
	s.command.WaitDelay = time.Second // a child may hold its output open
	began := time.Now()
	if err := p.start(s.command); err != nil {
		return err
	}
	s.began = began
	go func(command *exec.Cmd, ended chan struct{}) {
		_ = command.Wait() // killed, as a rule
		close(ended)
	}(s.command, s.ended)
	if s.keeper, err = keep(s.command.Process.Pid); err != nil {
		return errors.Join(err, s.command.Process.Kill())
	}
	return nil
}

// wait waits until the server does its first work.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	first, err := work.Find(s.Works[0])
	if err != nil {
		return err
	}
	for {
		err := load.Probe(ctx, s.Address, first)
		if err == nil {
			s.Started = time.Since(s.began)
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("it has ended: %s", lastBytes(s.said.String(), 1000))
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// CPU is the processor time that the server's processes have used.
func (s *Server) CPU() (time.Duration, error) { return subject.CPUOfTree(s.command.Process.Pid) }

// Restart ends the server and starts it again, at the same address and with what it has on disk by now. The caller calls Stop
// also after an error.
func (s *Server) Restart(ctx context.Context, p *Place) error {
	program, err := s.find()
	if err == nil {
		err = s.end()
	}
	if err == nil {
		err = s.launch(ctx, p, program)
	}
	if err == nil {
		err = s.wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("restart %s: %w", s.Name, err)
	}
	return nil
}

// Stop ends the server and removes its directory.
func (s *Server) Stop() error { return errors.Join(s.end(), os.RemoveAll(s.dir)) }

func (s *Server) end() error {
	keeper := s.keeper
	if keeper == nil { // it does not run
		return nil
	}
	s.keeper = nil
	_ = syscall.Kill(-s.command.Process.Pid, syscall.SIGINT) // its group; it may have ended
	select {
	case <-s.ended:
	case <-time.After(stopTime):
		_ = s.command.Process.Kill()
		<-s.ended
	}
	return keeper.end()
}

func lastBytes(s string, n int) string { return s[max(0, len(s)-n):] }
