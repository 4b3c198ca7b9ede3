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
	"strings"
)

// disk keeps compiled code in files, one entry a module. The engine has a cache of its own, but reads from it
// what it finds without checking all of it, so a damaged file could make it jump anywhere, and its file names do
// not say which module they belong to. So the engine sees an empty directory, live; an entry is linked into it
// for the moment of loading, after its checksum was checked.
//
// An entry of module D is D.code, the engine's file, and D.json, written after it: the name the engine knows the
// file by, its size and checksum.
type disk struct {
	dir  string
	live string
}

// entry is the content of an entry's json file.
type entry struct {
	Name   string `json:"name"` // of the engine's file, below live
	Size   int64  `json:"size"`
	CRC32C uint32 `json:"crc32c"`
}

var errDamaged = errors.New("entry of the code cache is damaged")

// openCache makes the directories, and removes what was cut off and the entries of modules that are gone.
func openCache(dir string, has func(digest string) bool) (*disk, error) {
	d := &disk{dir: dir, live: filepath.Join(dir, "live")}
	left, _ := filepath.Glob(filepath.Join(dir, "*"+partial)) // the pattern is right
	for _, name := range append(left, d.live) {
		if err := os.RemoveAll(name); err != nil {
			return nil, fmt.Errorf("open code cache: %w", err)
		}
	}
	if err := os.MkdirAll(d.live, 0o700); err != nil {
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
func (d *disk) info(digest string) string { return filepath.Join(d.dir, digest+".json") }

// stage makes an empty directory for one compilation. Whoever asked removes it.
func (d *disk) stage() (string, error) { return os.MkdirTemp(d.dir, "*"+partial) }

// remove removes an entry, if it is there.
func (d *disk) remove(digest string) {
	os.Remove(d.info(digest))
	os.Remove(d.code(digest))
}

// store makes the only file below from, where the engine wrote it, the module's entry.
func (d *disk) store(digest, from string) error {
	name, err := only(from, "")
	if err != nil {
		return err
	}
	path := filepath.Join(from, name)
	e := entry{Name: name}
	if e.Size, e.CRC32C, err = checksum(path); err != nil {
		return err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	temporary := filepath.Join(from, "info")
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	d.remove(digest)
	if err := os.Rename(path, d.code(digest)); err != nil {
		return err
	}
	return os.Rename(temporary, d.info(digest))
}

// only answers the name of the one file below dir that is not called except.
func only(dir, except string) (string, error) {
	found := ""
	err := filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil && name != except {
			found = name
		}
		return err
	})
	if err == nil && found == "" {
		err = fs.ErrNotExist
	}
	return found, err
}

// link puts the module's entry where the engine looks for it, and answers its name there and its size. The
// error is fs.ErrNotExist when there is none, errDamaged when it is not what was written; it is removed then.
func (d *disk) link(digest string) (name string, size int64, err error) {
	text, err := os.ReadFile(d.info(digest))
	if err != nil {
		return "", 0, err
	}
	var e entry
	if json.Unmarshal(text, &e) != nil || !filepath.IsLocal(e.Name) {
		d.remove(digest)
		return "", 0, errDamaged
	}
	size, sum, err := checksum(d.code(digest))
	if err != nil || size != e.Size || sum != e.CRC32C {
		d.remove(digest)
		return "", 0, errDamaged
	}
	to := filepath.Join(d.live, e.Name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", 0, err
	}
	if err := os.Link(d.code(digest), to); err != nil {
		return "", 0, fmt.Errorf("link code: %w", err)
	}
	return e.Name, e.Size, nil
}

// unlink empties live after the engine loaded the entry called name. A file the engine wrote itself, because
// the entry was made by another version or for another processor, becomes the module's entry.
func (d *disk) unlink(digest, name string) {
	if name != "" {
		os.Remove(filepath.Join(d.live, name))
	}
	if other, err := only(d.live, ""); err == nil {
		if err := d.store(digest, d.live); err != nil {
			os.Remove(filepath.Join(d.live, other))
		}
	}
}

// checksum reads a file.
func checksum(path string) (size int64, sum uint32, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	hash := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if size, err = io.Copy(hash, f); err != nil {
		return 0, 0, fmt.Errorf("read code: %w", err)
	}
	return size, hash.Sum32(), nil
}
