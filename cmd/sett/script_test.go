package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
)

// In scripts the test binary plays sett. Without SETT_TEST_ALL tests wait for processes most of the time, so that more than
// there are processors run at once; with it, nodes of three clusters would starve.
func TestMain(m *testing.M) {
	if os.Getenv("SETT_TEST_ALL") == "" {
		if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
	}
	testscript.Main(m, map[string]func(){"sett": main})
}

// untilDeadline is the time of a test: it ends a little before the test's deadline, so that what has not come can be told.
func untilDeadline(t *testing.T) (context.Context, context.CancelFunc) {
	if end, ok := t.Deadline(); ok {
		return context.WithDeadline(t.Context(), end.Add(-20*time.Second))
	}
	return context.WithCancel(t.Context())
}

// TestScripts runs testdata/script. The condition [missing:TOOL] holds when a tool is not in PATH, [rustwasi] when
// Rust can build for WASI, [components:LANGUAGE] when what makes components of js, python or rust is installed,
// [published:PACKAGE] when its sources were downloaded, [all] when SETT_TEST_ALL is set; then the others pretend that all is
// there, so that what is missing fails. [root] holds for the superuser. Beside testscript's own commands there are:
//
//	node [@NAME] start [FLAG...]  run sett up on free ports; sets $SETT_NODE, $HTTP, $HTTPADDR, $ADMIN, $PID, and of
//	                       node @NAME, which has a directory of its own, $NAME_NODE, $NAME_HTTP, ...
//	node stop | kill       SIGTERM, which must end with status 0, or SIGKILL
//	node signal            SIGTERM, without waiting
//	node gone              wait for the end after a signal, which must not be status 0
//	node log               print what the node wrote to stderr
//	http [-X M] [-d BODY|-size N] [-H 'K: V'] [-until TEXT] [-o FILE] PATH|URL    one request; prints status, headers, body;
//	                       the body goes to FILE instead
//	await FILE|URL REGEXP  look again and again until it matches
//	wasm KIND FILE [TEXT]  write a module; see testModule
//	example NAME           copy an example and the SDK it needs to a project of its own, in folder NAME
//	crate NAME@VERSION EXAMPLE...  build examples that a crate carries, to EXAMPLE.wasm
//	sdist NAME==VERSION    set $SOURCES to where the sources of a Python package are
//	page NAME [FOLDER]     run the commands of a page of the documentation, in FOLDER; see cmdPage
//	shape FILE             print the keys and kinds of JSON, one a line
//	table                  hold that what the last command printed is a table of maxWidth columns at most
//	capture NAME REGEXP    set a variable to the group in what the last command printed
//
// What they wait for must come before the test's deadline.
func TestScripts(t *testing.T) {
	t.Parallel()
	environ, err := goEnviron()
	if err != nil {
		t.Fatal(err)
	}
	caches, err := cacheEnviron()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := untilDeadline(t)
	t.Cleanup(cancel) // behind the scripts, which are parallel
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, slices.Concat(environ, caches)...)
			e.Values[nodeKey{}] = map[string]*running{}
			e.Values[timeKey{}] = ctx
			sett, err := settPath(e.Getenv("PATH"))
			e.Setenv("SETT", sett)
			return err
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil
			}
			if cond == "all" {
				return os.Getenv("SETT_TEST_ALL") != "", nil
			}
			if cond == "rustwasi" {
				return hasRustForWASI() || os.Getenv("SETT_TEST_ALL") != "", nil
			}
			if l, ok := strings.CutPrefix(cond, "components:"); ok {
				return makesComponents(t.Context(), language(l)) || os.Getenv("SETT_TEST_ALL") != "", nil
			}
			if name, ok := strings.CutPrefix(cond, "published:"); ok {
				return hasPublished(name) || os.Getenv("SETT_TEST_ALL") != "", nil
			}
			if tool, ok := strings.CutPrefix(cond, "missing:"); ok {
				_, err := exec.LookPath(tool)
				return err != nil && os.Getenv("SETT_TEST_ALL") == "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node": cmdNode, "http": cmdHTTP, "await": cmdAwait, "wasm": cmdWasm, "example": cmdExample, "shape": cmdShape, "table": cmdTable, "capture": cmdCapture,
			"crate": cmdCrate, "sdist": cmdSdist, "page": cmdPage,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// hasRustForWASI reports whether a compiler that examples/rust/build.sh tries has the standard library it needs.
func hasRustForWASI() bool {
	for _, rustc := range []string{"rustc", "/usr/bin/rustc"} {
		for _, target := range []string{"wasm32-wasip1", "wasm32-wasi"} {
			out, err := exec.Command(rustc, "--print", "target-libdir", "--target", target).Output()
			if err != nil {
				continue
			}
			if _, err := os.Stat(strings.TrimSpace(string(out))); err == nil {
				return true
			}
		}
	}
	return false
}

// makesComponents reports whether components can be built of a language without downloading what builds them.
func makesComponents(ctx context.Context, l language) bool {
	dir, err := nodeDir()
	if _, missing := exec.LookPath("node"); l == rustLanguage {
		crates, _ := filepath.Glob(filepath.Join(cmp.Or(os.Getenv("CARGO_HOME"), os.ExpandEnv("$HOME/.cargo")), "registry", "src", "*", "wasip2-2*"))
		return len(crates) > 0 && checkRustTarget(ctx, ".") == nil
	} else if err == nil && (missing != nil || !isFile(filepath.Join(dir, "package.json"))) {
		return false
	}
	if tool, missing := pythonTool(); l == pythonLanguage && (missing != nil || !isFile(tool)) {
		return false
	}
	return err == nil
}

// cacheEnviron lets scripts use what makes components: the user's cache, and Rust's folders.
func cacheEnviron() ([]string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	return []string{"XDG_CACHE_HOME=" + cache, "npm_config_cache=" + filepath.Join(home, ".npm"),
		"CARGO_HOME=" + cmp.Or(os.Getenv("CARGO_HOME"), filepath.Join(home, ".cargo")),
		"RUSTUP_HOME=" + cmp.Or(os.Getenv("RUSTUP_HOME"), filepath.Join(home, ".rustup"))}, nil
}

// goEnviron lets scripts use Go's caches, and nothing from the network.
func goEnviron() ([]string, error) {
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("run go env: %w", err)
	}
	var values map[string]string
	if err := json.Unmarshal(out, &values); err != nil {
		return nil, fmt.Errorf("read go env: %w", err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return nil, err
	}
	return []string{"GOCACHE=" + values["GOCACHE"], "GOMODCACHE=" + values["GOMODCACHE"], "GOPROXY=off", "GOFLAGS=",
		"GOTOOLCHAIN=local", "REPO=" + root}, nil
}

// Keys of what a script has: nodeKey of its nodes, a map[string]*running by name, timeKey of the time of all scripts, a
// context.Context.
type (
	nodeKey struct{}
	timeKey struct{}
)

func timeOf(ts *testscript.TestScript) context.Context { return ts.Value(timeKey{}).(context.Context) }

// running is a node of a script.
type running struct {
	name   string // empty: the one without a name
	cmd    *exec.Cmd
	stderr string        // file
	lines  chan []string // what it printed, once it ended
}

func cmdNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: node [@NAME] start [FLAG...] | stop | kill | log")
	}
	nodes := ts.Value(nodeKey{}).(map[string]*running)
	name := ""
	if named, ok := strings.CutPrefix(args[0], "@"); ok && len(args) > 1 {
		name, args = named, args[1:]
	}
	state := nodes[name]
	if state == nil {
		state = &running{name: name}
		nodes[name] = state
	}
	switch args[0] {
	case "start":
		ts.Defer(func() { state.cleanUp(ts) })
		state.start(ts, args[1:])
	case "stop":
		lines := state.end(ts, syscall.SIGTERM)
		if status := state.cmd.ProcessState.ExitCode(); status != 0 {
			ts.Fatalf("node ended with status %d:\n%s", status, ts.ReadFile(state.stderr))
		}
		if len(lines) != 1 {
			ts.Fatalf("node printed %d lines, want the ready line alone: %q", len(lines), lines)
		}
	case "kill":
		state.end(ts, syscall.SIGKILL)
	case "signal":
		ts.Check(state.cmd.Process.Signal(syscall.SIGTERM))
	case "gone":
		state.end(ts, syscall.SIGTERM)
		if state.cmd.ProcessState.Success() {
			ts.Fatalf("node ended with status 0, want it cut short")
		}
	case "log":
		fmt.Fprint(ts.Stdout(), ts.ReadFile(state.stderr))
	default:
		ts.Fatalf("unknown: node %s", args[0])
	}
}

func (r *running) cleanUp(ts *testscript.TestScript) {
	if r.cmd != nil && r.cmd.ProcessState == nil {
		r.cmd.Process.Kill()
		<-r.lines
		ts.Logf("node's log:\n%s", ts.ReadFile(r.stderr))
	}
}

func (r *running) start(ts *testscript.TestScript, flags []string) {
	if r.cmd != nil && r.cmd.ProcessState == nil {
		ts.Fatalf("node runs already")
	}
	r.stderr = ts.MkAbs(r.name + "node.stderr")
	log, err := os.Create(r.stderr)
	ts.Check(err)
	defer log.Close()
	given := strings.Join(flags, " ")
	args := []string{"up"}
	for _, d := range [][2]string{{"--data", ts.MkAbs(r.name + "data")}, {"--http", "127.0.0.1:0"},
		{"--admin", "127.0.0.1:0"}, {"--cluster", "127.0.0.1:0"}, {"--name", cmp.Or(r.name, "test")}} {
		if !strings.Contains(given, d[0]) {
			args = append(args, d[0], d[1])
		}
	}
	r.cmd = exec.Command(ts.Getenv("SETT"), append(args, flags...)...)
	r.cmd.Dir = ts.MkAbs(".")
	r.cmd.Env = scriptEnviron(ts)
	r.cmd.Stderr = log
	stdout, err := r.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(r.cmd.Start())
	ready := make(chan string, 1)
	r.lines = make(chan []string, 1)
	go r.read(stdout, ready)
	select {
	case line, ok := <-ready:
		if !ok {
			ts.Fatalf("node ended before it was ready:\n%s", ts.ReadFile(r.stderr))
		}
		r.export(ts, line)
	case <-timeOf(ts).Done():
		ts.Fatalf("node is not ready:\n%s", ts.ReadFile(r.stderr))
	}
}

// read collects what the node prints; the first line goes to ready.
func (r *running) read(stdout io.Reader, ready chan<- string) {
	var lines []string
	for s := bufio.NewScanner(stdout); s.Scan(); {
		if lines = append(lines, s.Text()); len(lines) == 1 {
			ready <- s.Text()
		}
	}
	close(ready)
	r.cmd.Wait()
	r.lines <- lines
}

func (r *running) export(ts *testscript.TestScript, line string) {
	set := ts.Setenv
	if r.name != "" {
		set = func(name, value string) { ts.Setenv(r.name+"_"+strings.TrimPrefix(name, "SETT_"), value) }
	}
	fields, ok := strings.CutPrefix(line, "sett: ready ")
	if !ok {
		ts.Fatalf("first line is %q, want the ready line", line)
	}
	for _, f := range strings.Fields(fields) {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "http":
			set("HTTP", "http://"+value)
			set("HTTPADDR", value)
		case "cluster":
			set("CLUSTER", value)
		case "admin":
			set("ADMIN", value)
			set("SETT_NODE", "http://"+value)
		}
	}
	set("PID", strconv.Itoa(r.cmd.Process.Pid))
	fmt.Fprintln(ts.Stdout(), line)
}

func (r *running) end(ts *testscript.TestScript, signal syscall.Signal) []string {
	if r.cmd == nil || r.cmd.ProcessState != nil {
		ts.Fatalf("no node runs")
	}
	ts.Check(r.cmd.Process.Signal(signal))
	select {
	case lines := <-r.lines:
		return lines
	case <-timeOf(ts).Done():
		ts.Fatalf("node does not end after %s:\n%s", signal, ts.ReadFile(r.stderr))
		return nil
	}
}

func settPath(path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, "sett"); isFile(file) {
			return file, nil
		}
	}
	return "", errors.New("sett is not in PATH")
}

func scriptEnviron(ts *testscript.TestScript) []string {
	var environ []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "WORK", "GOCOVERDIR", "SETT_REGION", "SETT_NAME", "GOCACHE",
		"GOMODCACHE", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN"} {
		if v := ts.Getenv(name); v != "" {
			environ = append(environ, name+"="+v)
		}
	}
	return environ
}

func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	method, body, until, file := "", "", "", ""
	headers := http.Header{}
	for len(args) > 1 {
		switch args[0] {
		case "-X":
			method = args[1]
		case "-d":
			body = args[1]
		case "-size":
			n, err := strconv.Atoi(args[1])
			ts.Check(err)
			body = strings.Repeat("a", n)
		case "-o":
			file = args[1]
		case "-until":
			until = args[1]
		case "-H":
			k, v, _ := strings.Cut(args[1], ":")
			headers.Set(k, strings.TrimSpace(v))
		default:
			ts.Fatalf("unknown: http %s", args[0])
		}
		args = args[2:]
	}
	if len(args) != 1 {
		ts.Fatalf("usage: [!] http [-X METHOD] [-d BODY|-size BYTES] [-H 'K: V'] [-until TEXT] [-o FILE] PATH|URL")
	}
	if method == "" && body != "" {
		method = "POST"
	}
	url := args[0]
	if strings.HasPrefix(url, "/") {
		url = ts.Getenv("HTTP") + url
	}
	req, err := http.NewRequestWithContext(timeOf(ts), method, url, strings.NewReader(body))
	ts.Check(err)
	maps.Copy(req.Header, headers)
	res, err := http.DefaultTransport.RoundTrip(req)
	ts.Check(err)
	defer res.Body.Close()
	text, err := readUntil(res.Body, until)
	if failed := err != nil || res.StatusCode >= 500; neg && !failed {
		ts.Fatalf("status %d and a whole reply, want one that is an error or breaks off", res.StatusCode)
	} else if neg {
		return
	}
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n", res.StatusCode)
	for _, k := range slices.Sorted(maps.Keys(res.Header)) {
		fmt.Fprintf(ts.Stdout(), "%s: %s\n", k, strings.Join(res.Header[k], " | "))
	}
	if file != "" {
		ts.Check(os.WriteFile(ts.MkAbs(file), text, 0o600))
		return
	}
	fmt.Fprintf(ts.Stdout(), "\n%s", text)
}

// readUntil reads until text stands in what was read, or for an empty one to the end.
func readUntil(r io.Reader, text string) ([]byte, error) {
	if text == "" {
		return io.ReadAll(r)
	}
	var all []byte
	for buffer := make([]byte, 4096); !bytes.Contains(all, []byte(text)); {
		n, err := r.Read(buffer)
		if all = append(all, buffer[:n]...); err != nil {
			return all, fmt.Errorf("read until %q: %w", text, err)
		}
	}
	return all, nil
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE|URL REGEXP")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	var text []byte
	for ctx := timeOf(ts); ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		var err error
		if strings.HasPrefix(args[0], "http://") {
			text, err = get(ctx, args[0])
		} else {
			text, err = os.ReadFile(ts.MkAbs(args[0]))
		}
		if err == nil && want.Match(text) {
			return
		}
	}
	ts.Fatalf("no match for %s in %s:\n%s", args[1], args[0], text)
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

func cmdWasm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: wasm KIND FILE [TEXT]")
	}
	text := ""
	if len(args) > 2 {
		text = args[2]
	}
	module, err := testModule(args[0], text)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), module, 0o600))
}

func cmdExample(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: example NAME")
	}
	files, err := exampleProject(args[0])
	ts.Check(err)
	ts.Check(writeFiles(ts.MkAbs("."), files))
	for name := range files {
		if strings.HasSuffix(name, ".sh") {
			ts.Check(os.Chmod(ts.MkAbs(name), 0o755))
		}
	}
}

func cmdShape(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: shape FILE")
	}
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	for {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return
		}
		ts.Check(err)
		var b bytes.Buffer
		shape(&b, "", v)
		fmt.Fprint(ts.Stdout(), b.String())
	}
}

func cmdTable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: table")
	}
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\n"), "\n")
	if len(lines) < 2 || lines[0] != strings.ToUpper(lines[0]) {
		ts.Fatalf("no header, or no row")
	}
	for _, line := range lines {
		if width := utf8.RuneCountInString(line); width > maxWidth {
			ts.Fatalf("%d columns: %s", width, line)
		}
	}
}

// shape writes a line for each leaf: its path and kind. Of a list only the first element counts.
func shape(w io.Writer, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			shape(w, strings.TrimPrefix(path+"."+k, "."), v[k])
		}
		if len(v) == 0 {
			fmt.Fprintf(w, "%s {}\n", path)
		}
	case []any:
		if len(v) == 0 {
			fmt.Fprintf(w, "%s []\n", path)
			return
		}
		shape(w, path+"[]", v[0])
	case string:
		fmt.Fprintf(w, "%s string\n", path)
	case float64:
		fmt.Fprintf(w, "%s number\n", path)
	case bool:
		fmt.Fprintf(w, "%s bool\n", path)
	default:
		fmt.Fprintf(w, "%s null\n", path)
	}
}

func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("no match for %s with one group", args[1])
	}
	ts.Setenv(args[0], found[1])
}
