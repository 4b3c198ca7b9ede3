package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

// try runs the command line and answers what it printed.
func try(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	for _, name := range []string{"SETT_NODE", "SETT_TOKEN", "SETT_APP"} {
		t.Setenv(name, "") // a developer's own node is not for tests
	}
	var out, err bytes.Buffer
	status = run(context.Background(), args, &out, &err)
	return status, out.String(), err.String()
}

// TestWrongUsage holds the message of every wrong call: status 2, one line on stderr, nothing on stdout.
func TestWrongUsage(t *testing.T) {
	const unreached = "--node=http://127.0.0.1:1"
	for args, want := range map[string]string{
		"deplyo":                                     `unknown command "deplyo" for sett, did you mean deploy?`,
		"zzzzzz":                                     `unknown command "zzzzzz" for sett; see: sett --help`,
		"backup":                                     `unknown command "backup" for sett, did you mean sett cluster backup?`,
		"list":                                       `unknown command "list" for sett; see: sett --help`,
		"token creat":                                `unknown command "creat" for sett token, did you mean create?`,
		"deploy --rout=/x x.wasm":                    "deploy: unknown flag --rout, did you mean --route?",
		"deploy --memory=much x.wasm":                `deploy: --memory "much": it is a whole number`,
		"deploy a b":                                 "deploy: too many words; it is: sett deploy [FILE.wasm|DIR|MANIFEST]",
		"rollback a b c":                             "rollback: too many words; it is: sett rollback NAME [VERSION]",
		"rollback a vx":                              `rollback a: version "vx": it is a number such as 3 or v3`,
		"alias a live v0=1 " + unreached:             `alias a: version "v0": it is a number such as 3 or v3`,
		"alias a live v1=101 " + unreached:           `alias a: weight "101" of v1: it is a number from 1 to 100`,
		"alias a live " + unreached:                  "alias a: which versions? it is: sett alias NAME ALIAS vN[=WEIGHT]...",
		"remove " + unreached:                        "remove: give either a function's NAME or --all",
		"remove --all " + unreached:                  "remove: --all needs --app, so that it is clear whose functions go",
		"remove --all --app=x " + unreached:          "remove: --all asks first and there is no terminal to ask on; add --yes",
		"invoke a --path=x " + unreached:             `invoke a: --path "x": it starts with /`,
		"invoke a --header=x " + unreached:           `invoke a: --header "x": it is 'NAME: VALUE'`,
		"invoke a --data=1 --file=f":                 "invoke a: --data and --file are both the body: give one",
		"new --lang=cobol x":                         `new: --lang "cobol": it is go, js, c or rust`,
		"logs --since=soon":                          `logs: --since "soon": it is 10m for so long ago, or a time such as 2026-11-26T09:00:00Z`,
		"kv gte k":                                   `unknown command "gte" for sett kv, did you mean get?`,
		"kv get":                                     "kv get: too few words; it is: sett kv get KEY",
		"kv put k":                                   "kv put: too few words; it is: sett kv put KEY VALUE|-",
		"kv get k --consistency=eventual":            `kv get: consistency "eventual": it is local, session or strong`,
		"kv get --base64 *":                          `kv get: "*" is not base64`,
		"kv list --limit=0":                          "kv list: --limit 0: it is between 1 and 1000",
		"kv list --limit=1001":                       "kv list: --limit 1001: it is between 1 and 1000",
		"kv incr n much":                             `kv incr: delta "much": it is a whole number such as 5 or -5`,
		"kv incr n -1.5":                             `kv incr: delta "-1.5": it is a whole number such as 5 or -5`,
		"kv put k v --if-revision=0":                 "kv put: --if-revision 0: a key that is there has a higher one",
		"kv put k v --if-absent --if-revision=1":     "kv put: --if-revision and --if-absent exclude each other",
		"kv put k v --ttl=soon":                      `kv put: --ttl "soon": it is a time such as 90s or 24h`,
		"kv put k v --ttl=0s":                        "kv put: --ttl 0s: it is between 1ms and 87600h",
		"kv incr k --ttl=87601h":                     "kv incr: --ttl 87601h: it is between 1ms and 87600h",
		"kv put k v --if-revision=-1":                `kv put: --if-revision "-1": it is a whole number from 0`,
		"logs --follow=perhaps":                      `logs: --follow "perhaps": it is true or false`,
		"--version":                                  "unknown flag --version; see: sett --help",
		"--output=yaml":                              `--output "yaml": it is table or json`,
		"deploy --memory=0 testdata/empty.wasm":      "deploy: --memory: it is more than nothing",
		"deploy --route=x testdata/empty.wasm":       `deploy: route: pattern "x": `,
		"object put f b/k --if-match=x --if-absent":  "object put: --if-match and --if-absent exclude each other",
		"object put f b/k --if-match=":               `object put: --if-match "": it is an ETag as sett object head shows it`,
		"kv quota":                                   "kv quota: give --keys N, --bytes N or both; 0 is no limit",
		"kv quota --keys=-1":                         "kv quota: give --keys N, --bytes N or both; 0 is no limit",
		"queue sned q":                               `unknown command "sned" for sett queue, did you mean send?`,
		"queue create a/b":                           `queue create: queue name "a/b": a name is 1 to 80 letters`,
		"queue create q --visibility=0s":             "queue create: --visibility 0s: it is whole seconds, such as 30s",
		"queue create q --wait=1500ms":               "queue create: --wait 1.5s: it is whole seconds, such as 30s",
		"queue create q --delay=16m":                 "queue create: delay in seconds: 960; it is between 0 and 900",
		"queue send q":                               "queue send: give the body once: as a word, - for stdin, or by --file",
		"queue send q x --file=y":                    "queue send: give the body once: as a word, - for stdin, or by --file",
		"queue send q x --lines":                     "queue send: --lines are those of stdin or --file; leave the body out",
		"queue send q --lines --dedup=x":             "queue send: with --dedup all --lines would be the same message",
		"queue send q x --attr=y":                    `queue send: --attr "y": it is NAME=VALUE or NAME:TYPE=VALUE`,
		"queue send q x --delay=-1s":                 "queue send: --delay -1s: it is between 0 and 15m",
		"queue receive q --limit=0":                  "queue receive: --limit 0: it is between 1 and 10000",
		"queue receive q --wait=21s":                 "queue receive: --wait 21s: it is between 0 and 20s",
		"queue receive q --visibility=13h":           "queue receive: --visibility 13h: it is between 1ms and 12h",
		"queue receive q --visibility=0s":            "queue receive: --visibility 0s: it is between 1ms and 12h",
		"queue redrive q --limit=-1":                 "queue redrive: --limit -1: it is a number from 0",
		"queue delete-message q":                     "queue delete-message: too few words; it is: sett queue delete-message NAME RECEIPT...",
		"queue delete q":                             "queue delete: it asks first and there is no terminal to ask on; add --yes",
		"topic delete t":                             "topic delete: it asks first and there is no terminal to ask on; add --yes",
		"topic subscribe t mail":                     `topic subscribe: to "mail": it is queue:NAME or a URL`,
		"topic subscribe t queue:q.fifo":             `topic subscribe: to "queue:q.fifo": a FIFO queue`,
		"topic subscribe t queue:q --filter-scope=x": `topic subscribe: --filter-scope "x": it is attributes or body`,
		"up --http=8080":                             `up: http: address "8080": want HOST:PORT like 127.0.0.1:8080`,
		"up --name=a/b":                              `up: node name "a/b": a name is 1 to 63`,
		"schedule fire":                              "schedule fire: too few words; it is: sett schedule fire FUNCTION[#SCHEDULE]",
		"functions -o yaml":                          `functions: --output "yaml": it is table or json`,
		"functions --app=A":                          `functions: app name "A": a name is 1 to 63 of a-z, 0-9 and -, and neither starts nor ends with -`,
		"functions --node=ftp://x":                   `node "ftp://x": not an address like http://127.0.0.1:8081`,
		"cluster invite --role=x":                    `cluster invite: --role "x": it is voter or reader`,
		"cluster invite --ttl=169h":                  "cluster invite: --ttl 169h: it is between 1s and 168h",
		"logs --limit=0":                             "logs: --limit 0: it is between 1 and 10000",
		"logs --limit=10001":                         "logs: --limit 10001: it is between 1 and 10000",
		"invocations --limit=0":                      "invocations: --limit 0: it is between 1 and 1000",
		"events put":                                 "events put: give --source and --detail-type",
		"events test":                                "events test: give --pattern and --event",
		"completion bsh":                             `unknown command "bsh" for sett completion, did you mean bash?`,
		"functions -z":                               "functions: unknown flag -z; see: sett functions --help",
		"deploy --env=x testdata/empty.wasm":         `deploy: --env "x": it is KEY=VALUE`,
	} {
		t.Run(args, func(t *testing.T) {
			status, stdout, stderr := try(t, strings.Fields(args)...)
			if status != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "sett: "+want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("sett %s = %d, stdout %q, stderr %q; want %d and %q", args, status, stdout, stderr, exitUsage, "sett: "+want)
			}
			status, stdout, stderr = try(t, append([]string{"-o=json"}, strings.Fields(args)...)...)
			if code := `{"error":{"code":"invalid_input",`; status != exitUsage || stdout != "" || !strings.HasPrefix(stderr, code) {
				t.Errorf("sett -o=json %s = %d, %q, %q; want %d, %s", args, status, stdout, stderr, exitUsage, code)
			}
		})
	}
}

func TestErrorsAsJSON(t *testing.T) {
	for _, form := range []string{"-o json", "-ojson", "--output=json", "-o=json", "--output json"} {
		status, stdout, stderr := try(t, strings.Fields("deploy --rout=/x x "+form)...)
		want := `{"error":{"code":"invalid_input","message":"deploy: unknown flag --rout, did you mean --route?"}}` + "\n"
		if status != exitUsage || stdout != "" || stderr != want {
			t.Errorf("with %s: %d, stdout %q, stderr %s; want %d, %s", form, status, stdout, stderr, exitUsage, want)
		}
	}
	if wantsJSON([]string{"x", "--", "-o", "json"}) {
		t.Error("wantsJSON looked behind --")
	}
}

func TestUnreachableNode(t *testing.T) {
	status, stdout, stderr := try(t, "functions", "--node=http://127.0.0.1:1")
	if status != exitFailed || stdout != "" ||
		!strings.HasPrefix(stderr, "sett: functions: node http://127.0.0.1:1 is unreachable") ||
		!strings.Contains(stderr, "sett up") {
		t.Errorf("functions = %d, %q, %q; want %d, the address and how to start a node", status, stdout, stderr, exitFailed)
	}
	status, _, stderr = try(t, "functions", "--node=http://127.0.0.1:1", "-o=json")
	if status != exitFailed || !strings.HasPrefix(stderr, `{"error":{"code":"unavailable","message":"functions: node http://127.0.0.1:1`) {
		t.Errorf("functions -o json = %d, %q; want %d and the code unavailable", status, stderr, exitFailed)
	}
}

func TestErrorsAreSafeForATerminal(t *testing.T) {
	var out bytes.Buffer
	c := &cli{err: &out}
	c.report(errors.New("module imports \x1b[2J.foo\nsecond line\n"), false)
	if want := "sett: module imports \\x1b[2J.foo\nsecond line\n"; out.String() != want {
		t.Errorf("report = %q, want %q", out.String(), want)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, err bytes.Buffer
	if status := run(ctx, []string{"functions", "--node=http://127.0.0.1:1"}, &out, &err); status != exitFailed || err.String() != "sett: interrupted\n" {
		t.Errorf("interrupted run = %d, %q; want %d and that it was interrupted", status, err.String(), exitFailed)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if status, stdout, _ := try(t, "completion", shell); status != exitDone || !strings.Contains(stdout, "sett") {
			t.Errorf("completion %s = %d, %d bytes", shell, status, len(stdout))
		}
	}
}
