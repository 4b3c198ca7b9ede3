package wasmbin

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// specFolder is where the engine's module archive keeps the specification's test scripts.
func specFolder(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("find the engine's sources: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
}

// specs are the folders of scripts and what the engine must be able to do for them.
func specs() map[string]api.CoreFeatures {
	return map[string]api.CoreFeatures{
		"v1":                 api.CoreFeaturesV1,
		"v2":                 api.CoreFeaturesV2,
		"tail-call":          api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall,
		"extended-const":     api.CoreFeaturesV2 | experimental.CoreFeaturesExtendedConst,
		"threads":            api.CoreFeaturesV2 | experimental.CoreFeaturesThreads,
		"exception-handling": allFeatures &^ (experimental.CoreFeaturesThreads | experimental.CoreFeaturesExtendedConst),
		"typed-function-references": api.CoreFeaturesV2 | experimental.CoreFeaturesTypedFunctionReferences |
			experimental.CoreFeaturesTailCall,
	}
}

type script struct {
	Commands []command `json:"commands"`
}

type command struct {
	Type       string `json:"type"`
	Line       int    `json:"line"`
	Name       string `json:"name"`
	Filename   string `json:"filename"`
	As         string `json:"as"`
	ModuleType string `json:"module_type"`
	Action     struct {
		Type   string  `json:"type"`
		Field  string  `json:"field"`
		Module string  `json:"module"`
		Args   []value `json:"args"`
	} `json:"action"`
}

type value struct {
	Type  string          `json:"type"`
	Lane  string          `json:"lane_type"`
	Value json.RawMessage `json:"value"`
}

// bits are the words of a value on the engine's stack.
func (v value) bits(t testing.TB) []uint64 {
	var one string
	if json.Unmarshal(v.Value, &one) == nil {
		if one == "null" {
			return []uint64{0}
		}
		n, err := strconv.ParseUint(one, 10, 64)
		if err != nil {
			s, err := strconv.ParseInt(one, 10, 64)
			if err != nil {
				t.Fatalf("argument %q: %v", one, err)
			}
			n = uint64(s)
		}
		switch v.Type {
		case "externref":
			n++
		case "i32", "f32":
			n = uint64(uint32(n))
		}
		return []uint64{n}
	}
	var lanes []string
	if err := json.Unmarshal(v.Value, &lanes); err != nil {
		return []uint64{0}
	}
	width := 128 / len(lanes)
	out := make([]uint64, 2)
	for i, lane := range lanes {
		n, err := strconv.ParseUint(lane, 10, 64)
		if err != nil {
			t.Fatalf("lane %q: %v", lane, err)
		}
		out[i*width/64] |= n << (i * width % 64)
	}
	return out
}

// play is a script in one world.
type play struct {
	*world
	folder string
	named  map[string]*instance
	last   *instance
	all    []*instance
}

func newPlay(t *testing.T, folder string, features api.CoreFeatures, rewritten bool) *play {
	p := &play{world: newWorld(t, features, rewritten), folder: folder, named: map[string]*instance{}}
	p.memory = sharedMemory
	host, err := os.ReadFile(filepath.Join(folder, "..", "..", "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Instantiate(context.Background(), host); err != nil {
		t.Fatal(err)
	}
	return p
}

// module instantiates a script's module under the name it is registered by, if any.
func (p *play) module(t *testing.T, c command, as string) string {
	data, err := os.ReadFile(filepath.Join(p.folder, c.Filename))
	if err != nil {
		t.Fatal(err)
	}
	i, err := p.load(data, as)
	if err != nil {
		return "rejected"
	}
	if c.Type != "module" {
		return "accepted"
	}
	p.last = i
	p.all = append(p.all, i)
	if c.Name != "" {
		p.named[c.Name] = i
	}
	return "accepted"
}

func (p *play) action(t *testing.T, c command) string {
	i := p.last
	if c.Action.Module != "" {
		i = p.named[c.Action.Module]
	}
	if c.Action.Type == "get" {
		g := i.ExportedGlobal(c.Action.Field)
		return outcome([]uint64{g.Get(), 0}, []api.ValueType{g.Type()}, nil)
	}
	f := i.ExportedFunction(c.Action.Field)
	var args []uint64
	for _, a := range c.Action.Args {
		args = append(args, a.bits(t)...)
	}
	results, err := f.Call(context.Background(), args...)
	if err != nil {
		for _, i := range p.all {
			i.restoreStack()
		}
	}
	return outcome(results, f.Definition().ResultTypes(), err)
}

// TestSpecification plays the specification's scripts with modules as they are and rewritten: every command must
// come out the same; and, for modules that can be reset, again after a reset.
func TestSpecification(t *testing.T) {
	folder := specFolder(t)
	var compared, replayed int
	all := os.Getenv("SETT_TEST_ALL") != ""
	for name, features := range specs() {
		if name == "v1" && (!all || testing.Short()) {
			continue // most of it is in v2
		}
		t.Run(name, func(t *testing.T) {
			scripts, _ := filepath.Glob(filepath.Join(folder, name, "testdata", "*.json"))
			if len(scripts) == 0 {
				t.Fatal("no scripts")
			}
			for _, s := range scripts {
				t.Run(strings.TrimSuffix(filepath.Base(s), ".json"), func(t *testing.T) {
					c, r := playScript(t, s, features)
					compared, replayed = compared+c, replayed+r
				})
			}
		})
	}
	t.Logf("%d commands compared, %d replayed after a reset", compared, replayed)
	least := 50_000
	if all {
		least = 70_000
	}
	if !testing.Short() && (compared < least || replayed < 40_000) {
		t.Errorf("%d commands compared and %d replayed, want %d and 40,000", compared, replayed, least)
	}
}

func playScript(t *testing.T, file string, features api.CoreFeatures) (compared, replayed int) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	original := newPlay(t, filepath.Dir(file), features, false)
	rewritten := newPlay(t, filepath.Dir(file), features, true)
	before := make([]string, len(s.Commands))
	linked := false
	for i, c := range s.Commands {
		var want, got string
		switch c.Type {
		case "register":
			linked = true
			continue
		case "module", "assert_invalid", "assert_malformed", "assert_unlinkable", "assert_uninstantiable":
			if c.ModuleType == "text" {
				continue
			}
			as := ""
			if i+1 < len(s.Commands) && s.Commands[i+1].Type == "register" {
				as = s.Commands[i+1].As
			}
			want, got = original.module(t, c, as), rewritten.module(t, c, as)
		default:
			want, got = original.action(t, c), rewritten.action(t, c)
			before[i] = got
		}
		compared++
		if got != want {
			t.Errorf("line %d, %s %s: %s, want %s", c.Line, c.Type, c.Action.Field+c.Filename, got, want)
			if c.Type == "module" {
				return compared, 0
			}
		}
	}
	if linked {
		return compared, 0
	}
	return compared, rewritten.replay(t, s, before)
}

// replay resets every instance and does all actions again.
func (p *play) replay(t *testing.T, s script, before []string) (replayed int) {
	for _, i := range p.all {
		if i.rewritten.Flags.Has(Shared) || i.writes() != i.written {
			return 0
		}
	}
	for _, i := range p.all {
		i.reset(t)
		if !i.same() {
			t.Error("a reset instance differs from its image")
		}
	}
	next := 0
	for k, c := range s.Commands {
		switch c.Type {
		case "module":
			p.last = p.all[next]
			next++
		case "action", "assert_return", "assert_trap", "assert_exhaustion", "assert_exception":
			replayed++
			if got := p.action(t, c); got != before[k] {
				t.Errorf("line %d, %s %s after a reset: %s, want %s", c.Line, c.Type, c.Action.Field, got, before[k])
			}
		}
	}
	return replayed
}
