package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sett-run/sett/sdk/abi"
)

// commands are all that can be typed, those that only group others among them.
func commands(root *cobra.Command) (all []*cobra.Command) {
	for _, cmd := range root.Commands() {
		all = append(append(all, cmd), commands(cmd)...)
	}
	return all
}

// TestHelp holds that help reads as if one person had written it, in maxWidth columns.
func TestHelp(t *testing.T) {
	for _, cmd := range append(commands((&cli{}).root()), (&cli{}).root()) {
		path := cmd.CommandPath()
		first, _ := utf8.DecodeRuneInString(cmd.Short)
		if !unicode.IsUpper(first) || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help %q is no sentence without its full stop", path, cmd.Short)
		}
		if strings.HasPrefix(cmd.Long, cmd.Short) {
			t.Errorf("%s: long help repeats the short one", path)
		}
		if cmd.HasSubCommands() && cmd.Name() != "completion" && !cmd.HasExample() {
			t.Errorf("%s: a group without an example", path)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			form, text := flagText(f)
			switch first, _ := utf8.DecodeRuneInString(text); {
			case unicode.IsUpper(first) && unicode.IsLower([]rune(text)[1]) || strings.HasSuffix(text, ".") || strings.Contains(text, "default:"):
				t.Errorf("%s --%s: %q is not as other flags' texts", path, f.Name, text)
			case f.Value.Type() != "bool" && !regexp.MustCompile(`--\S+ ['A-Z]`).MatchString(form):
				t.Errorf("%s --%s: no word for its value", path, f.Name)
			case f.Value.Type() == "stringArray" && !strings.Contains(text, "repeatable"):
				t.Errorf("%s --%s: does not say that it is repeatable", path, f.Name)
			}
		})
		status, stdout, stderr := try(t, append(strings.Fields(path)[1:], "--help")...)
		if status != exitDone || stderr != "" || !strings.HasPrefix(stdout, cmd.Short+".\n") || !strings.Contains(stdout, "Usage:\n  "+path) {
			t.Errorf("%s --help = %d, %q, %q", path, status, stdout, stderr)
		}
		for line := range strings.Lines(stdout) {
			if width := utf8.RuneCountInString(line) - 1; width > maxWidth {
				t.Errorf("%s --help: %d columns: %s", path, width, line)
			}
		}
	}
}

// TestFlagsHaveOneText holds that flags of one name mean one thing; where the thing differs, the reason stands here.
func TestFlagsHaveOneText(t *testing.T) {
	differ := []string{ // what they limit, name, choose or delay is the command's
		"data", "dead-letter", "delay", "events", "from", "limit", "lines", "method", "name", "once", "retention", "s3", "to", "ttl", "visibility", "wait",
	}
	texts := map[string]string{}
	for _, cmd := range commands((&cli{}).root()) {
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			_, text := flagText(f)
			if other, ok := texts[f.Name]; ok && other != text && !slices.Contains(differ, f.Name) {
				t.Errorf("--%s is %q and, of %s, %q", f.Name, other, cmd.CommandPath(), text)
			}
			texts[f.Name] = text
		})
	}
}

// TestEveryCommandHasGoldenJSON holds that each command has -o json, and a script that compares its shape with what it
// has to be.
func TestEveryCommandHasGoldenJSON(t *testing.T) {
	other := map[string]string{
		"up": "prints the ready line", "dev": "dev.txtar has its lines", "demo": "a story for people",
		"help": "help", "kv watch": "always prints lines of JSON, see kv.txtar",
		"completion bash": "a script", "completion zsh": "a script", "completion fish": "a script", "completion powershell": "a script",
	}
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var scripts strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(text)
	}
	for _, cmd := range commands((&cli{}).root()) {
		path := verb(cmd)
		if cmd.HasSubCommands() || other[path] != "" {
			continue
		}
		golden := regexp.MustCompile(`(?m)^exec sett ` + path + `( .*)? -o json\n(capture .*\n)?shape stdout\ncmp stdout \S+\.want$`)
		if cmd.InheritedFlags().Lookup("output") == nil || !golden.MatchString(scripts.String()) {
			t.Errorf("no script compares sett %s -o json with what it has to be", path)
		}
	}
}

// asking are the commands that ask a node, with words they may be called with.
func asking() map[string]string {
	return map[string]string{
		"functions": "", "versions": "f", "rollback": "f", "alias": "f live v1", "remove": "f", "invoke": "f", "logs": "f", "invocations": "", "bench": "f",
		"schedule list": "", "schedule fire": "f#1", "schedule enable": "f#1", "schedule disable": "f#1",
		"kv get": "k", "kv put": "k v", "kv delete": "k", "kv list": "", "kv incr": "k", "kv touch": "k", "kv watch": "", "kv usage": "", "kv quota": "--keys=1",
		"object put": "MODULE pics/k", "object get": "pics/k", "object list": "pics", "object head": "pics/k", "object copy": "pics/k pics/l",
		"object delete": "pics/k",
		"bucket create": "pics", "bucket list": "", "bucket show": "pics", "bucket delete": "pics",
		"queue create": "q", "queue list": "", "queue show": "q", "queue send": "q x", "queue receive": "q", "queue delete-message": "q r",
		"queue purge": "q --yes", "queue redrive": "q", "queue delete": "q --yes",
		"topic create": "t", "topic list": "", "topic publish": "t x", "topic subscribe": "t queue:q", "topic unsubscribe": "t s",
		"topic subscriptions": "t", "topic delete": "t --yes",
		"events put": "--source=s --detail-type=d", "events replay": "a", "events archive create": "a", "events archive list": "",
		"events archive delete": "a --yes",
		"token create":          "", "token list": "", "token revoke": "id", "top": "--once --every=100ms",
		"cluster members": "", "cluster status": "", "cluster invite": "", "cluster leave": "", "cluster remove": "n", "cluster rotate": "keys",
		"cluster backup": "-", "deploy": "MODULE", "diff": "MODULE",
	}
}

// TestExitStatus holds of every command how it ends: 2 when it is called wrongly, 1 when its node cannot be reached, has
// not what it asks for, or refuses, with a code and a message that begins with the command.
func TestExitStatus(t *testing.T) {
	alone := []string{"up", "demo", "new", "validate", "build", "dev", "version", "help", "events test", "cluster restore", "cluster recover",
		"completion bash", "completion zsh", "completion fish", "completion powershell"}
	answer := func(status int, code abi.Code) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"status":%d,"code":%q,"detail":"no"}`, status, code)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	nodes := map[abi.Code]string{
		abi.Unavailable: "http://127.0.0.1:1", abi.NotFound: answer(http.StatusNotFound, abi.NotFound), abi.Forbidden: answer(http.StatusForbidden, abi.Forbidden),
	}
	text, err := testModule("text", "x")
	module := filepath.Join(t.TempDir(), "text.wasm")
	if err := errors.Join(err, os.WriteFile(module, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range commands((&cli{}).root()) {
		path := verb(cmd)
		if cmd.HasSubCommands() || slices.Contains(alone, path) {
			continue
		}
		words, known := asking()[path]
		if !known {
			t.Errorf("sett %s: nothing holds how it ends", path)
			continue
		}
		call := strings.Fields(path + " " + strings.ReplaceAll(words, "MODULE", module))
		if status, stdout, stderr := try(t, append(call, "--no-such-flag")...); status != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "sett: "+path+": ") {
			t.Errorf("sett %s --no-such-flag = %d, %q, %q; want %d", path, status, stdout, stderr, exitUsage)
		}
		for code, node := range nodes {
			call := append(call, "--node="+node)
			if status, stdout, stderr := try(t, call...); status != exitFailed || stdout != "" || !strings.HasPrefix(stderr, "sett: "+path) {
				t.Errorf("sett %s with a node that answers %s = %d, %q, %q; want %d and an error of %s", path, code, status, stdout, stderr, exitFailed, path)
			}
			want := fmt.Sprintf(`{"error":{"code":%q,"message":"%s`, code, path)
			if status, _, stderr := try(t, append(call, "-o=json")...); status != exitFailed || !strings.HasPrefix(stderr, want) {
				t.Errorf("sett %s -o json with a node that answers %s = %d, %q; want %d, %s", path, code, status, stderr, exitFailed, want)
			}
		}
	}
}
