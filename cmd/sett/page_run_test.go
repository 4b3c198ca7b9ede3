package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdPage runs the commands of a page in one shell, as a reader types them, block by block. Every line of a block sh must
// succeed; of a block console each command, behind "$ ", must answer what stands below it, as sameAnswer compares. Addresses
// of the default ports become those of the script's node; without one, sett up listens on free ports. What the commands
// answered is printed. A page that has not come to its end shortly before the test's deadline fails.
func cmdPage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: page NAME [FOLDER]")
	}
	blocks, err := readPage(args[0])
	ts.Check(err)
	folder := ts.MkAbs(".")
	if len(args) == 2 {
		folder = ts.MkAbs(args[1])
	}
	ports := defaultPorts(ts)
	s := startShell(timeOf(ts), ts, folder)
	defer s.stop()
	for _, b := range blocks {
		if !b.shell() || b.notRun != "" {
			continue
		}
		for _, step := range b.steps(ports) {
			if err := s.do(step, b.soon); err != nil {
				ts.Fatalf("%s:%d: %v", args[0], step.line, err)
			}
		}
	}
}

// defaultPorts replaces the data and admin plane's addresses in pages.
func defaultPorts(ts *testscript.TestScript) *strings.Replacer {
	if ts.Getenv("HTTPADDR") == "" {
		ts.Setenv("HTTPADDR", freeAddress(ts))
		ts.Setenv("SETT_HTTP", ts.Getenv("HTTPADDR"))
		ts.Setenv("SETT_ADMIN", freeAddress(ts))
		ts.Setenv("SETT_CLUSTER", "127.0.0.1:0")
		ts.Setenv("SETT_NODE", "http://"+ts.Getenv("SETT_ADMIN"))
	}
	return strings.NewReplacer("127.0.0.1:8080", ts.Getenv("HTTPADDR"),
		"127.0.0.1:8081", strings.TrimPrefix(ts.Getenv("SETT_NODE"), "http://"))
}

// freeAddress is one that nobody listens at now, nor before the page's node does.
func freeAddress(ts *testscript.TestScript) string {
	l, err := net.Listen("tcp", ownLoopback("127.0.0.3"))
	ts.Check(err)
	defer l.Close()
	return l.Addr().String()
}

// A step is a block sh, or a command of a block console and its answer.
type step struct {
	line     int // of the page
	commands string
	answer   *string // nil: of a block sh
	// What a command answers in the background is not compared: it comes at any time.
	background bool
}

func (b block) steps(ports *strings.Replacer) []step {
	text := ports.Replace(b.text)
	if b.language == "sh" {
		return []step{{line: b.line + 1, commands: text}}
	}
	var steps []step
	for i, l := range strings.SplitAfter(text, "\n") {
		if command, ok := strings.CutPrefix(l, "$ "); ok {
			steps = append(steps, step{line: b.line + 1 + i, commands: command, answer: new("")})
			steps[len(steps)-1].background = strings.HasSuffix(command, " &\n")
		} else if last := len(steps) - 1; last >= 0 && strings.HasSuffix(steps[last].commands, "\\\n") {
			steps[last].commands += l
		} else if last >= 0 {
			*steps[last].answer += l
		}
	}
	return steps
}

// readerShell is a shell that runs steps. What it starts in the background lives until stop.
type readerShell struct {
	ts     *testscript.TestScript
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	folder string // of files for each step
	steps  int
}

func startShell(ctx context.Context, ts *testscript.TestScript, folder string) *readerShell {
	s := &readerShell{ts: ts, folder: filepath.Join(ts.Getenv("WORK"), ".page")}
	ts.Check(os.MkdirAll(s.folder, 0o700))
	// A reader sees that a request was refused; in a block sh the command fails.
	for mode, config := range map[string]string{"sh": "fail-with-body\n", "console": ""} {
		ts.Check(os.MkdirAll(s.home(mode), 0o700))
		ts.Check(os.WriteFile(filepath.Join(s.home(mode), ".curlrc"), []byte("silent\nshow-error\nmax-time = 300\n"+config), 0o600))
	}
	s.cmd = exec.CommandContext(ctx, "sh")
	s.cmd.Dir = folder
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Cancel = func() error { return syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) }
	s.cmd.Env = s.environ()
	var err error
	s.in, err = s.cmd.StdinPipe()
	ts.Check(err)
	out, err := s.cmd.StdoutPipe()
	ts.Check(err)
	s.out = bufio.NewReader(out)
	ts.Check(s.cmd.Start())
	return s
}

// home is a folder with curl's settings, for blocks of a language.
func (s *readerShell) home(language string) string { return filepath.Join(s.folder, language) }

// environ is the script's, with a home of the page's own.
func (s *readerShell) environ() []string {
	environ := scriptEnviron(s.ts)
	for _, name := range []string{"SETT_NODE", "SETT_HTTP", "SETT_ADMIN", "SETT_CLUSTER", "SETT_APP", "XDG_CACHE_HOME", "npm_config_cache", "CARGO_HOME", "RUSTUP_HOME", "REPO", "ECHO_PORT"} {
		if v := s.ts.Getenv(name); v != "" {
			environ = append(environ, name+"="+v)
		}
	}
	home := s.home("sh")
	// Projects stand in another folder in each run; so that Go finds in its cache what it built in the last.
	return append(environ, "HOME="+home, "GOFLAGS=-trimpath", "XDG_DATA_HOME="+filepath.Join(home, "share"))
}

// do runs a step; soon: again and again until the answer is the page's.
func (s *readerShell) do(step step, soon bool) error {
	for ; ; time.Sleep(50 * time.Millisecond) {
		got, err := s.run(step)
		if err != nil {
			return err
		}
		if step.answer == nil || step.background || sameAnswer(got, *step.answer) {
			fmt.Fprint(s.ts.Stdout(), got)
			return nil
		}
		if !soon || timeOf(s.ts).Err() != nil {
			return fmt.Errorf("%s  answers\n%s  and the page says\n%s", step.commands, got, *step.answer)
		}
	}
}

// run answers what a step printed. The shell ends at the first command of a block sh that fails.
func (s *readerShell) run(step step) (string, error) {
	s.steps++
	file := filepath.Join(s.folder, fmt.Sprintf("step%d", s.steps))
	mode, language := "set -e", "sh"
	if step.answer != nil {
		mode, language = "set +e", "console"
	}
	commands := fmt.Sprintf("%s\nexport CURL_HOME=%s\n%s", mode, s.home(language), step.commands)
	s.ts.Check(os.WriteFile(file+".sh", []byte(commands), 0o600))
	_, err := fmt.Fprintf(s.in, ". %s.sh </dev/null >%s.out 2>&1; set +e; echo done\n", file, file)
	if err == nil {
		_, err = s.out.ReadString('\n')
	}
	got, _ := os.ReadFile(file + ".out")
	if err != nil {
		return "", fmt.Errorf("%s  ended with an error:\n%s", step.commands, got)
	}
	return string(got), nil
}

// stop ends the shell and what it started.
func (s *readerShell) stop() {
	fmt.Fprintln(s.in, "trap '' TERM; kill -TERM 0; wait")
	s.in.Close()
	s.cmd.Wait()
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // what a shell that ended at a failure left
}

// sameAnswer reports whether a command answered what its page says, where ... stands for anything and space for any space.
// Ids, times and spans of time may be others.
func sameAnswer(got, want string) bool {
	got, want = plainAnswer(got), plainAnswer(want)
	parts := strings.Split(want, "...")
	for i, part := range parts {
		part = strings.TrimSpace(part)
		at := strings.Index(got, part)
		if i == len(parts)-1 && part != "" {
			at = strings.LastIndex(got, part)
		}
		if at < 0 || i == 0 && at > 0 {
			return false
		}
		got = got[at+len(part):]
	}
	return got == "" || strings.TrimSpace(parts[len(parts)-1]) == "" && len(parts) > 1
}

// plainAnswer replaces what no two runs have in common by what it is.
func plainAnswer(text string) string {
	for _, volatile := range [][2]string{
		{`\b[0-9A-HJKMNP-TV-Z]{26}\b`, "ID"},
		{`\b(\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(\.\d+)?Z?`, "TIME"},
		{`\b(\d+(\.\d+)? ?(ns|us|ms|s|m|h|d))+\b`, "SPAN"},
	} {
		text = regexp.MustCompile(volatile[0]).ReplaceAllString(text, volatile[1])
	}
	return strings.Join(strings.Fields(text), " ")
}

func TestSameAnswer(t *testing.T) {
	for _, c := range []struct {
		got, want string
		same      bool
	}{
		{"Hello, Ada!\n", "Hello, Ada!\n", true},
		{"Hello, Ada!\n", "Hello\n", false},
		{"Hello\n", "Hello, Ada!\n", false},
		{"", "", true},
		{"more", "", false},
		{"{\"id\":7,\"at\":\"x\"}", "{\"id\":7,...}", true},
		{"{\"id\":8,\"at\":\"x\"}", "{\"id\":7,...}", false},
		{"a b c", "...", true},
		{"data: 1\ndata: 2\n", "data: 1\n...\n", true},
		{"QUEUE  VISIBLE\nq      1\n", "QUEUE VISIBLE\nq 1\n", true},
		{"09:20:25.294 f 01M8BJFY6C07MZWKXYQD4J0QAN x", "10:00:00.1 f 01M8BJFY6C07MZWKXYQD4J0QAA x", true},
	} {
		if same := sameAnswer(c.got, c.want); same != c.same {
			t.Errorf("sameAnswer(%q, %q) = %v, want %v", c.got, c.want, same, c.same)
		}
	}
}
