package subject

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestProgram checks that a program that ends, and one that does not do what is waited for, are told from each other.
func TestProgram(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	never := func() error { return errors.New("not yet") }
	p := NewProgram(t.Context(), shell, "-c", "echo no licence; exit 1")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.WaitFor(t.Context(), never); err == nil || !strings.Contains(err.Error(), "sh has ended: no licence") {
		t.Errorf("WaitFor = %v, want what the program said", err)
	}
	p.Stop() // it has ended

	p = NewProgram(t.Context(), shell, "-c", "read forever <&3")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	p.ExtraFiles = []*os.File{r}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.WaitFor(t.Context(), func() error { return nil }); err != nil {
		t.Error(err)
	}
	p.Stop()
	if p.ProcessState == nil {
		t.Error("it still runs")
	}
}

func TestFreePorts(t *testing.T) {
	ports, err := FreePorts(t.Context(), 20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range ports {
		if seen[p] {
			t.Errorf("port %s is there twice", p)
		}
		seen[p] = true
	}
}
