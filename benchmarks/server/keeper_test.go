package server

import (
	"bufio"
	"io"
	"os/exec"
	"testing"
)

// TestKeeper checks that what a server has started ends with its keeper: a child that holds the output open.
func TestKeeper(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 600 & echo started; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := (*Place)(nil).start(cmd); err != nil {
		t.Fatal(err)
	}
	k, err := keep(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	read := bufio.NewReader(out)
	if line, err := read.ReadString('\n'); line != "started\n" {
		t.Errorf("read %q, %v, want started", line, err)
	}
	if err := k.end(); err != nil {
		t.Errorf("end() = %v", err)
	}
	if _, err := io.Copy(io.Discard, read); err != nil { // until nobody holds it
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("Wait() = nil, want that it was killed")
	}
}
