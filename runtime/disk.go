package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"strings"

	"github.com/sett-run/sett/runtime/component"
	"github.com/sett-run/sett/runtime/wasmbin"
)

// disk keeps compiled code in files, one entry a module. The engine has a cache of its own, but reads from it
// what it finds without checking all of it, so a damaged file could make it jump anywhere, and its file names do
// not say which module they belong to. So the engine sees an empty directory, live; an entry is linked into it
// for the moment of loading, after its checksum was checked.
//
// An entry of module D is D.wasm, the module as rewritten, D.code, the engine's file, and D.json, written after
// them: what made them, the name the engine knows its file by, sizes and checksums.
type disk struct {
	dir  string
	live string
}

// entry is the content of an entry's json file.
type entry struct {
	Maker  string          `json:"maker"` // of the code; another's is not looked at
	Name   string          `json:"name"`  // of the engine's file, below live
	Code   part            `json:"code"`
	Wasm   part            `json:"wasm"`
	Traits json.RawMessage `json:"traits"`
	CRC32C uint32          `json:"crc32c"` // of Traits
}

// part is a file of an entry.
type part struct {
	Size   int64  `json:"size"`
	CRC32C uint32 `json:"crc32c"`
}

// kept is a module that comes from disk.
type kept struct {
	entry  entry
	traits traits
	wasm   []byte
}

var (
	errDamaged = errors.New("entry of the code cache is damaged")
	errForeign = errors.New("entry of the code cache was made by another version")
)

// maker names what compiled code and images depend on besides the module: the engine's version and processor, and
// the rewriter's version. The engine adds the processor's features to the name of its file.
func maker() string {
	engine := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/tetratelabs/wazero" {
				engine = m.Version
			}
		}
	}
	return "wazero " + engine + " " + goruntime.GOARCH + " " + goruntime.GOOS + ", rewriter " + wasmbin.Version + ", linker " + component.Version
}

// openCache makes the directories, and removes what was cut off and the entries of modules that are gone.
func openCache(dir string, has func(digest string) bool) (*disk, error) {
	d := &disk{dir: dir, live: filepath.Join(dir, "live")}
	if err := errors.Join(removePartial(dir), os.RemoveAll(d.live), os.MkdirAll(d.live, 0o700)); err != nil {
		return nil, fmt.Errorf("open code cache: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open code cache: %w", err)
	}
	for _, e := range entries {
		if digest, _, ok := strings.Cut(e.Name(), "."); ok && isDigest(digest) && !has(digest) {
			d.remove(digest)
		}
	}
	return d, nil
}

func (d *disk) code(digest string) string { return filepath.Join(d.dir, digest+".code") }
func (d *disk) wasm(digest string) string { return filepath.Join(d.dir, digest+".wasm") }
func (d *disk) info(digest string) string { return filepath.Join(d.dir, digest+".json") }

// stage makes an empty directory for one compilation. Whoever asked removes it.
func (d *disk) stage() (string, error) { return os.MkdirTemp(d.dir, "*"+partial) }

// remove removes an entry, if it is there.
func (d *disk) remove(digest string) {
	os.Remove(d.info(digest))
	os.Remove(d.code(digest))
	os.Remove(d.wasm(digest))
}

// store makes the only file below from, where the engine wrote it, the module's entry.
func (d *disk) store(digest, from string, t traits, wasm []byte) error {
	name, err := only(from)
	if err != nil {
		return err
	}
	path := filepath.Join(from, name)
	e := entry{Maker: maker(), Name: name, Wasm: part{int64(len(wasm)), sum(wasm)}}
	if e.Code, err = checksum(path); err != nil {
		return err
	}
	if e.Traits, err = json.Marshal(t); err != nil {
		return err
	}
	e.CRC32C = sum(e.Traits)
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	module, info := filepath.Join(from, "wasm"), filepath.Join(from, "info")
	if err := errors.Join(os.WriteFile(module, wasm, 0o600), os.WriteFile(info, text, 0o600)); err != nil {
		return err
	}
	return d.install(digest, parts{info, module, path})
}

// parts are the files of an entry.
type parts struct{ info, wasm, code string }

// install moves files to where the module's entry is, the one that says what the others are last.
func (d *disk) install(digest string, from parts) error {
	d.remove(digest)
	for _, move := range [][2]string{{from.code, d.code(digest)}, {from.wasm, d.wasm(digest)}, {from.info, d.info(digest)}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			return err
		}
	}
	return nil
}

// only answers the name of the one file below dir.
func only(dir string) (string, error) {
	found := ""
	err := filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		found, err = filepath.Rel(dir, path)
		return err
	})
	if err == nil && found == "" {
		err = fs.ErrNotExist
	}
	return found, err
}

// link puts the module's entry where the engine looks for it, and answers it. The error is fs.ErrNotExist when
// there is none, errForeign when another engine or rewriter made it, errDamaged when it is not what was written; it
// is removed then.
func (d *disk) link(digest string) (*kept, error) {
	k, err := d.open(digest)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.remove(digest)
		}
		return nil, err
	}
	to := filepath.Join(d.live, k.entry.Name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return nil, err
	}
	if err := os.Link(d.code(digest), to); err != nil {
		return nil, fmt.Errorf("link code: %w", err)
	}
	return k, nil
}

// open reads and checks an entry.
func (d *disk) open(digest string) (*kept, error) {
	k, err := readInfo(d.info(digest))
	if err != nil {
		return nil, err
	}
	if code, err := checksum(d.code(digest)); err != nil || code != k.entry.Code {
		return nil, errDamaged
	}
	k.wasm, err = os.ReadFile(d.wasm(digest))
	if err != nil || k.entry.Wasm != (part{int64(len(k.wasm)), sum(k.wasm)}) {
		return nil, errDamaged
	}
	return k, nil
}

// readInfo reads an entry's json file, and answers what it says.
func readInfo(name string) (*kept, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	k := new(kept)
	e := &k.entry
	if json.Unmarshal(text, e) != nil || !filepath.IsLocal(e.Name) || sum(e.Traits) != e.CRC32C {
		return nil, errDamaged
	}
	if e.Maker != maker() {
		return nil, errForeign
	}
	if json.Unmarshal(e.Traits, &k.traits) != nil {
		return nil, errDamaged
	}
	return k, nil
}

// unlink empties live after the engine loaded the entry called name. A file the engine wrote itself, because
// the entry was made for another processor, becomes the module's entry.
func (d *disk) unlink(digest, name string, t traits, wasm []byte) {
	if name != "" {
		os.Remove(filepath.Join(d.live, name))
	}
	if other, err := only(d.live); err == nil {
		if err := d.store(digest, d.live, t, wasm); err != nil {
			os.Remove(filepath.Join(d.live, other))
		}
		os.Remove(filepath.Join(d.live, "wasm"))
		os.Remove(filepath.Join(d.live, "info"))
	}
}

func sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// checksum reads a file.
func checksum(path string) (part, error) {
	f, err := os.Open(path)
	if err != nil {
		return part{}, err
	}
	defer f.Close()
	hash := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	size, err := io.Copy(hash, f)
	if err != nil {
		return part{}, fmt.Errorf("read code: %w", err)
	}
	return part{size, hash.Sum32()}, nil
}
