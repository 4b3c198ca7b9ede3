package subject

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Up is sett up, as users run it.
type Up struct {
	*Program
	HTTP, Admin string        // addresses, HOST:PORT
	Took        time.Duration // until it was ready
}

// BuildSett builds the program sett into dir and answers its path.
func BuildSett(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "sett")
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/sett-run/sett/cmd/sett").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sett: %w: %s", err, text)
	}
	return program, nil
}

// StartUp starts sett up with its data in dir, and returns when it is ready. The caller calls Stop.
func StartUp(ctx context.Context, program, dir string) (*Up, error) {
	const free = "127.0.0.1:0"
	p := NewProgram(ctx, program, "up", "--data", dir, "--http", free, "--admin", free, "--cluster", free)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p.Stdout = w
	begin := time.Now()
	err = p.Start()
	w.Close()
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	n := &Up{Program: p, Took: time.Since(begin)}
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("start sett up: %w: %s", err, lastBytes(p.said.String(), 500))
	}
	for _, f := range strings.Fields(line) {
		if a, ok := strings.CutPrefix(f, "http="); ok {
			n.HTTP = a
		} else if a, ok := strings.CutPrefix(f, "admin="); ok {
			n.Admin = a
		}
	}
	return n, nil
}
