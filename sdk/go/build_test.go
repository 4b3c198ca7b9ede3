package sett

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

// TestGuestsImportAndExport builds guests with the ordinary Go toolchain and reads what they ask of a host.
func TestGuestsImportAndExport(t *testing.T) {
	if testing.Short() {
		t.Skip("builds WebAssembly modules")
	}
	core := []string{abi.ImportDescribe, abi.ImportEventRead, abi.ImportReplyWrite, abi.ImportRandom}
	tests := []struct {
		guest   string
		mode    string
		imports []string // from sett
		entry   string
		maxSize int // bytes, stripped; a guest that grows over it links what it should not
	}{
		{"light", "c-shared", core, abi.ExportInitialize, 2_800_000},
		{"handle", "c-shared", core, abi.ExportInitialize, 4_000_000},
		{"slog", "c-shared", append([]string{abi.ImportLogWrite}, core...), abi.ExportInitialize, 4_200_000},
		{"kv", "c-shared", append([]string{abi.ImportKVGet, abi.ImportKVList, abi.ImportKVCommit, abi.ImportAnswerRead}, core...),
			abi.ExportInitialize, 3_000_000},
		{"fetch", "c-shared", append([]string{abi.ImportFetch, abi.ImportAnswerRead}, core...), abi.ExportInitialize, 3_000_000},
		{"fetchhttp", "c-shared", append([]string{abi.ImportFetch, abi.ImportAnswerRead}, core...), abi.ExportInitialize, 10_800_000},
		{"invoke", "c-shared", append([]string{abi.ImportInvoke, abi.ImportAnswerRead}, core...), abi.ExportInitialize, 3_000_000},
		{"queue", "c-shared", append([]string{abi.ImportQueueSend, abi.ImportQueueReceive, abi.ImportQueueSettle, abi.ImportQueueStats,
			abi.ImportTopicPublish, abi.ImportAnswerRead, abi.ImportLogWrite}, core...), abi.ExportInitialize, 4_200_000},
		{"blob", "c-shared", append([]string{abi.ImportObjectHead, abi.ImportObjectOpen, abi.ImportObjectRead, abi.ImportObjectCreate,
			abi.ImportObjectWrite, abi.ImportObjectCommit, abi.ImportObjectClose, abi.ImportObjectList, abi.ImportObjectCopy, abi.ImportObjectDelete,
			abi.ImportKVCommit, abi.ImportAnswerRead}, core...), abi.ExportInitialize, 3_200_000},
		{"nethttp", "c-shared", append([]string{abi.ImportBodyRead}, core...), abi.ExportInitialize, 8_500_000},
		{"command", "c-shared", append([]string{abi.ImportRunMarker}, core...), abi.ExportInitialize, 3_400_000},
		{"command", "exe", append([]string{abi.ImportRunMarker}, core...), abi.ExportStart, 3_400_000},
		{"light", "exe", core, abi.ExportStart, 2_800_000},
	}
	for _, tt := range tests {
		t.Run(tt.guest+" "+tt.mode, func(t *testing.T) {
			data := buildGuest(t, tt.guest, tt.mode)
			imports, exports := readModule(t, data)
			var fromSett []string
			for _, im := range imports {
				module, name, _ := strings.Cut(im, ".")
				if module == abi.HostModule {
					fromSett = append(fromSett, name)
				} else if module != "wasi_snapshot_preview1" {
					t.Errorf("imports %s", im)
				}
			}
			slices.Sort(fromSett)
			slices.Sort(tt.imports)
			if !slices.Equal(fromSett, tt.imports) {
				t.Errorf("imports from %s: %v, want %v", abi.HostModule, fromSett, tt.imports)
			}
			for _, name := range []string{"memory", tt.entry, abi.ExportHandle, abi.ExportVersion, abi.ExportDescribe,
				abi.ExportWarmup, abi.ExportRandom} {
				if !slices.Contains(exports, name) {
					t.Errorf("exports %v, want %s among them", exports, name)
				}
			}
			if slices.Contains(exports, abi.ExportInitialize) && slices.Contains(exports, abi.ExportStart) {
				t.Errorf("exports both entry points: %v", exports)
			}
			t.Logf("%d bytes", len(data))
			if len(data) > tt.maxSize {
				t.Errorf("%d bytes, want %d at most", len(data), tt.maxSize)
			}
		})
	}
}

// built are the guests that tests have built, by name and mode.
var built = map[string][]byte{}

func buildGuest(t *testing.T, guest, mode string) []byte {
	t.Helper()
	if data := built[guest+mode]; data != nil {
		return data
	}
	out := filepath.Join(t.TempDir(), guest+".wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-buildmode="+mode, "-o", out, "./testdata/guests/"+guest)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", guest, err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	built[guest+mode] = data
	return data
}

// readModule answers the imports, as module.name, and the names of the exports.
// Source: WebAssembly Core Specification, 5.5.
func readModule(t *testing.T, data []byte) (imports, exports []string) {
	t.Helper()
	r := &moduleReader{b: data[8:]} // after magic number and version
	for len(r.b) > 0 {
		id := r.byte()
		section := &moduleReader{b: r.bytes()}
		switch id {
		case 2:
			for range section.number() {
				module, name := string(section.bytes()), string(section.bytes())
				imports = append(imports, module+"."+name)
				if kind := section.byte(); kind != 0 {
					t.Fatalf("import %s.%s is no function", module, name)
				}
				section.number()
			}
		case 7:
			for range section.number() {
				exports = append(exports, string(section.bytes()))
				section.byte()
				section.number()
			}
		}
	}
	return imports, exports
}

type moduleReader struct{ b []byte }

func (r *moduleReader) byte() byte {
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *moduleReader) number() int {
	v, n := binary.Uvarint(r.b)
	r.b = r.b[n:]
	return int(v)
}

func (r *moduleReader) bytes() []byte {
	n := r.number()
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
