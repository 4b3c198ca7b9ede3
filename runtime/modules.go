package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// Modules keeps module files by their digest, the SHA-256 of their bytes as 64 lower-case hexadecimal digits.
// A file is there whole or not at all, whatever happens meanwhile. All methods may be called concurrently.
type Modules struct {
	dir      string
	maxBytes int64
	create   func(dir string) (moduleFile, error) // of a temporary file; tests fail it
	removed  func(digest string)                  // told of each module that Collect removed
}

// moduleFile is what Put needs of a file.
type moduleFile interface {
	io.WriteCloser
	Name() string
	Sync() error
}

const partial = ".partial" // suffix of a file that is being written

// openModules makes the directory and removes what uploads that were cut off left in it.
func openModules(dir string, maxBytes int64) (*Modules, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open modules: %w", err)
	}
	if err := removePartial(dir); err != nil {
		return nil, fmt.Errorf("open modules: %w", err)
	}
	create := func(dir string) (moduleFile, error) { return os.CreateTemp(dir, "*"+partial) }
	return &Modules{dir: dir, maxBytes: maxBytes, create: create, removed: func(string) {}}, nil
}

// removePartial removes what was being written to a directory when the process ended.
func removePartial(dir string) error {
	left, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range left {
		if strings.HasSuffix(e.Name(), partial) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// Put stores what r holds, which must have the digest. It answers the size. Errors are coded abi.InvalidInput
// for a wrong digest or a broken r, abi.TooLarge over the limit, abi.NoSpace for a full disk; after any of them
// nothing is left behind.
func (m *Modules) Put(ctx context.Context, digest string, r io.Reader) (size int64, err error) {
	if !isDigest(digest) {
		return 0, abi.WithCode(abi.InvalidInput, fmt.Errorf("store module: %q is not a SHA-256 digest", digest))
	}
	f, err := m.create(m.dir)
	if err != nil {
		return 0, storeError(err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	size, err = m.receive(ctx, f, digest, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, storeError(err)
	}
	if err = os.Rename(f.Name(), m.path(digest)); err == nil {
		err = syncDir(m.dir)
	}
	if err != nil {
		return 0, storeError(err)
	}
	return size, nil
}

// receive copies r to f on disk and checks its size and digest.
func (m *Modules) receive(ctx context.Context, f moduleFile, digest string, r io.Reader) (int64, error) {
	hash := sha256.New()
	source := &source{ctx: ctx, r: io.LimitReader(r, m.maxBytes+1)}
	size, err := io.Copy(io.MultiWriter(f, hash), source)
	switch {
	case source.err != nil:
		return 0, abi.WithCode(abi.InvalidInput, fmt.Errorf("read upload: %w", source.err))
	case err != nil:
		return 0, err
	case size > m.maxBytes:
		return 0, abi.WithCode(abi.TooLarge, fmt.Errorf("module is larger than %s", megabytes(m.maxBytes)))
	case hex.EncodeToString(hash.Sum(nil)) != digest:
		return 0, abi.WithCode(abi.InvalidInput, errors.New("module's bytes do not have the digest they were sent with"))
	}
	return size, f.Sync()
}

// source keeps a reader's error apart from the writer's, and stops when the context ends.
type source struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// storeError gives a full disk its code.
func storeError(err error) error {
	err = fmt.Errorf("store module: %w", err)
	if isNoSpace(err) {
		return abi.WithCode(abi.NoSpace, err)
	}
	return err
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Has says whether the module is here.
func (m *Modules) Has(digest string) bool {
	if !isDigest(digest) {
		return false
	}
	_, err := os.Stat(m.path(digest))
	return err == nil
}

// Read answers the module's bytes, coded abi.NotFound when it is not here.
func (m *Modules) Read(digest string) ([]byte, error) {
	f, err := m.Open(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read module %s: %w", digest, err)
	}
	return b, nil
}

// Open opens the module's file, for sending it elsewhere. The caller closes it.
func (m *Modules) Open(digest string) (*os.File, error) {
	if !isDigest(digest) {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("open module: %q is not a SHA-256 digest", digest))
	}
	f, err := os.Open(m.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, abi.WithCode(abi.NotFound, fmt.Errorf("open module %s: no such module", digest))
	}
	if err != nil {
		return nil, fmt.Errorf("open module %s: %w", digest, err)
	}
	return f, nil
}

// Collect removes the modules that keep, sizes by digest, does not name and that are older than olderThan, which leaves time
// between an upload and the deployment that names it. It answers how many went.
func (m *Modules) Collect(keep map[string]int64, olderThan time.Duration) (removed int, err error) {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return 0, fmt.Errorf("collect modules: %w", err)
	}
	limit := time.Now().Add(-olderThan)
	for _, entry := range entries {
		digest := strings.TrimSuffix(entry.Name(), ".wasm")
		if _, kept := keep[digest]; kept || !isDigest(digest) {
			continue
		}
		info, statErr := entry.Info()
		if statErr != nil || info.ModTime().After(limit) {
			continue // gone meanwhile, or young
		}
		if removeErr := os.Remove(m.path(digest)); removeErr != nil {
			err = errors.Join(err, fmt.Errorf("collect modules: %w", removeErr))
			continue
		}
		m.removed(digest)
		removed++
	}
	return removed, err
}

func (m *Modules) path(digest string) string { return filepath.Join(m.dir, digest+".wasm") }

func isDigest(s string) bool {
	if len(s) != sha256.Size*2 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// megabytes prints a size for people.
func megabytes(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
