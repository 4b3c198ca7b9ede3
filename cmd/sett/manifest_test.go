package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

func TestManifestVariables(t *testing.T) {
	dir := tree(t, "app/f.wasm", "app/conf/")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("outside.yml", "x: secret")
	write("app/conf/prod.yml", "mem: 64")
	path := filepath.Join(dir, "app", "sett.yaml")
	write("app/sett.yaml", "functions: {f: {handler: f, memorySize: '${file(conf/${opt:stage}.yml):mem}', environment: {A: '${param:a}', B: '${opt:b}', C: '${env:SETT_TEST_C}'}}}")
	t.Setenv("SETT_TEST_C", "3")
	p, err := openProject(path, variables{stage: "prod", params: []string{"a=1"}, options: []string{"b=2=2"}})
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Settings{MemoryMB: 64, Env: map[string]string{"A": "1", "B": "2=2", "C": "3"}}
	if got := p.functions[0].settings; !reflect.DeepEqual(got, want) {
		t.Errorf("settings = %+v, want %+v", got, want)
	}
	if _, err := openProject(path, variables{params: []string{"a"}}); err == nil || !strings.Contains(err.Error(), `--param "a": it is KEY=VALUE`) {
		t.Errorf("error = %v, want a wrong --param", err)
	}
	// A link does not lead out of the folder.
	if err := os.Symlink(filepath.Join(dir, "outside.yml"), filepath.Join(dir, "app", "link.yml")); err != nil {
		t.Skip(err)
	}
	write("app/sett.yaml", "functions: {f: {handler: '${file(link.yml):x}'}}")
	if _, err := openProject(path, variables{}); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), `read "link.yml"`) {
		t.Errorf("error = %v, want the link refused", err)
	}
}

func TestDiffCompares(t *testing.T) {
	settings := registry.Settings{MemoryMB: 64, Env: map[string]string{"A": "1", "B": "1", "C": "1"},
		Triggers: []registry.Trigger{{Queue: &registry.QueueSource{Queue: "q"}}}}
	one := map[string][]registry.Weight{registry.LiveAlias: {{Version: 1, Weight: 100}}}
	old := client.Function{Digest: strings.Repeat("a", 64), Settings: settings.Complete(), Aliases: one}
	if got := compare(old, old.Digest, settings); got != nil {
		t.Errorf("compare of what is live = %v, want nothing", got)
	}
	next := registry.Settings{Handler: "h", Env: map[string]string{"A": "1", "B": "2", "D": "1"}}
	old.Aliases = map[string][]registry.Weight{registry.LiveAlias: {{Version: 1, Weight: 90}, {Version: 2, Weight: 10}}}
	want := []fieldChange{{"live", "v1=90 v2=10", "the new version alone"}, {"module", "aaaaaaaaaaaa", "bbbbbbbbbbbb"},
		{"handler", "", "h"}, {"memory_mb", "64", "128"}, {"triggers", `[{"queue":{"queue":"q","batch_size":10}}]`, ""},
		{"env.B", "***", "***"}, {"env.C", "***", ""}, {"env.D", "", "***"}}
	if got := compare(old, strings.Repeat("b", 64), next); !reflect.DeepEqual(got, want) {
		t.Errorf("compare = %v\nwant %v", got, want)
	}
}
