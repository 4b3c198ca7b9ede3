package runtime

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/sett-run/sett/sdk/abi"
)

// TestCodeTravels has one runtime take over what another one compiled: it answers without compiling.
func TestCodeTravels(t *testing.T) {
	ctx := t.Context()
	a, _ := open(t, Config{})
	b, _ := open(t, Config{})
	v := deploy(t, a, replying(&abi.Reply{Body: []byte("from a")}).bytes())
	digest := v.Module.Digest
	if b.HasCode(digest) || !a.HasCode(digest) {
		t.Fatalf("HasCode() = %v here, %v there, want true, false", a.HasCode(digest), b.HasCode(digest))
	}
	var out bytes.Buffer
	if err := b.WriteCode(ctx, digest, &out); abi.CodeOf(err) != abi.NotFound || out.Len() != 0 {
		t.Errorf("WriteCode() of none = %v after %d bytes, want not found after none", err, out.Len())
	}
	if err := a.WriteCode(ctx, digest, &out); err != nil {
		t.Fatal(err)
	}
	whole := out.Bytes()
	for _, cut := range []int{0, 100, 600, len(whole) / 2} {
		if err := b.PutCode(ctx, digest, bytes.NewReader(whole[:cut])); abi.CodeOf(err) != abi.InvalidInput || b.HasCode(digest) {
			t.Errorf("PutCode() of the first %d bytes = %v, want invalid input", cut, err)
		}
	}
	for _, at := range []int{10, 530, len(whole) / 2, len(whole) - 2000} {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 1
		if err := b.PutCode(ctx, digest, bytes.NewReader(damaged)); abi.CodeOf(err) != abi.InvalidInput || b.HasCode(digest) {
			t.Errorf("PutCode() with byte %d damaged = %v, want invalid input", at, err)
		}
	}
	if err := b.PutCode(ctx, digest, bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	module, err := a.Modules().Open(digest)
	if err != nil {
		t.Fatal(err)
	}
	defer module.Close()
	if _, err := b.Modules().Put(ctx, digest, module); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Prepare(ctx, v); err != nil {
		t.Fatalf("Prepare() with code from elsewhere = %v", err)
	}
	var compiled dto.Metric
	if err := b.metrics.compile.Write(&compiled); err != nil || compiled.GetHistogram().GetSampleCount() != 0 {
		t.Errorf("%d modules were compiled, %v; want none", compiled.GetHistogram().GetSampleCount(), err)
	}
	if res, err := b.Invoke(ctx, v, event()); err != nil || string(res.Body) != "from a" {
		t.Errorf("Invoke() = %q, %v, want %q", res.Body, err, "from a")
	}
}

// TestCodeOfAnotherEngine is refused: it would be run as it is.
func TestCodeOfAnotherEngine(t *testing.T) {
	a, _ := open(t, Config{})
	v := deploy(t, a, replying(&abi.Reply{Body: []byte("x")}).bytes())
	name := a.codes.disk.info(v.Module.Digest)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	e.Maker = "another"
	if text, err = json.Marshal(e); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := a.WriteCode(t.Context(), v.Module.Digest, &out); err != nil {
		t.Fatal(err)
	}
	b, _ := open(t, Config{})
	if err := b.PutCode(t.Context(), v.Module.Digest, &out); abi.CodeOf(err) != abi.InvalidInput || b.HasCode(v.Module.Digest) {
		t.Errorf("PutCode() of another engine's = %v, want invalid input", err)
	}
}

// FuzzPutCode reads what another node sends.
func FuzzPutCode(f *testing.F) {
	f.Add([]byte("info"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := receiveCode(t.TempDir(), bytes.NewReader(b)); err == nil && len(b) < 1024 {
			t.Errorf("receiveCode() took %d bytes, less than an archive's", len(b))
		}
	})
}
