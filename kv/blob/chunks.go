package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// Chunks keeps the chunks of a node: each a file that is there whole or not at all, whatever happens meanwhile. All
// methods may be called concurrently.
type Chunks struct {
	dir    string // has a directory for each first byte of a digest that there was
	create func(dir string) (file, error)
	admit  func() error // see Config.Admit

	// mu is held while a file comes or goes, one for each directory: a chunk that is put again while it is being
	// collected is there afterwards.
	mu [256]sync.Mutex
}

// file is what a put needs of one.
type file interface {
	io.WriteCloser
	Name() string
	Sync() error
}

const partial = ".partial" // suffix of a file that is being written

// OpenChunks opens the chunks in a directory, which one process at a time does. It makes the directory and removes what
// puts that were cut off left.
func OpenChunks(dir string) (*Chunks, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	left, err := os.ReadDir(dir)
	for _, e := range left {
		if strings.HasSuffix(e.Name(), partial) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	if err = errors.Join(err, syncDir(dir)); err != nil {
		return nil, err
	}
	create := func(dir string) (file, error) { return os.CreateTemp(dir, "*"+partial) }
	return &Chunks{dir: dir, create: create, admit: func() error { return nil }}, nil
}

// Put stores what r holds, which must have the digest. It answers the size. After an error nothing is left behind:
// abi.InvalidInput for wrong bytes, abi.NoSpace for a full disk.
func (c *Chunks) Put(ctx context.Context, digest string, r io.Reader) (int64, error) {
	if !isDigest(digest) {
		return 0, errNoDigest(digest)
	}
	chunk, err := c.write(ctx, r, digest)
	return chunk.SizeBytes, err
}

// write stores up to ChunkBytes of r, and names them. Want is the digest they must have, or empty. Of an empty r nothing
// is stored. A chunk that is here already is written anew: nobody knows whether its bytes are still the right ones.
func (c *Chunks) write(ctx context.Context, r io.Reader, want string) (Chunk, error) {
	in, err := c.receive(ctx, r)
	if err != nil || in.chunk.SizeBytes == 0 {
		return in.chunk, err
	}
	if want != "" && in.chunk.Digest != want {
		in.drop()
		return in.chunk, abi.WithCode(abi.InvalidInput, fmt.Errorf("store chunk: %w", ErrDigest))
	}
	return in.chunk, c.keep(in)
}

// incoming is a chunk that was written and is not on disk yet.
type incoming struct {
	chunk Chunk
	file  file
}

func (i incoming) drop() {
	i.file.Close()
	os.Remove(i.file.Name())
}

// receive writes up to ChunkBytes of r. The caller keeps or drops what came, unless that is an error or empty.
func (c *Chunks) receive(ctx context.Context, r io.Reader) (in incoming, err error) {
	if in.file, err = c.create(c.dir); err != nil {
		return in, diskError(err)
	}
	sum := sha256.New()
	source := &source{ctx: ctx, admit: c.admit, r: io.LimitReader(r, ChunkBytes)}
	in.chunk.SizeBytes, err = io.Copy(io.MultiWriter(in.file, sum), source)
	in.chunk.Digest = digestOf(sum)
	if source.err != nil {
		err = source.err
	} else if err != nil {
		err = diskError(err)
	}
	if err != nil || in.chunk.SizeBytes == 0 {
		in.drop()
	}
	return in, err
}

// keep brings what was received to disk, under its name.
func (c *Chunks) keep(in incoming) error {
	err := errors.Join(in.file.Sync(), in.file.Close())
	if err == nil {
		err = c.place(in.file.Name(), in.chunk.Digest)
	}
	if err != nil {
		os.Remove(in.file.Name())
		return diskError(err)
	}
	return nil
}

// makeDir makes the directory of a first byte, which its first chunk does.
func (c *Chunks) makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err == nil {
		err = syncDir(c.dir)
	}
	return err
}

// place gives a file that is on disk its name.
func (c *Chunks) place(name, digest string) error {
	defer c.lock(digest)()
	now := time.Now() // the file's own time is not that of tests
	path := c.path(digest)
	err := os.Chtimes(name, now, now)
	if err == nil {
		err = c.makeDir(filepath.Dir(path))
	}
	if err == nil {
		err = os.Rename(name, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

// Has says whether the chunk is here, and if so keeps it as one that was put now: who asks is about to rely on it.
func (c *Chunks) Has(digest string) bool {
	if !isDigest(digest) {
		return false
	}
	defer c.lock(digest)()
	now := time.Now()
	return os.Chtimes(c.path(digest), now, now) == nil
}

// Open opens the chunk's file, for sending it elsewhere: its bytes are not checked. The caller closes it. The error is
// coded abi.NotFound when it is not here.
func (c *Chunks) Open(digest string) (*os.File, error) {
	if !isDigest(digest) {
		return nil, errNoDigest(digest)
	}
	f, err := os.Open(c.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, abi.WithCode(abi.NotFound, fmt.Errorf("open chunk %s: no such chunk", digest))
	}
	if err != nil {
		return nil, fmt.Errorf("open chunk %s: %w", digest, err)
	}
	return f, nil
}

// verified opens a chunk whose bytes have its digest, at its beginning. The error wraps errRotten, and the file is gone,
// when they have not.
func (c *Chunks) verified(chunk Chunk) (*os.File, error) {
	f, err := c.Open(chunk.Digest)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err == nil && (size != chunk.SizeBytes || digestOf(sum) != chunk.Digest) {
		err = errRotten
		if info, statErr := f.Stat(); statErr == nil { // another may be in its place already
			err = errors.Join(err, c.remove(chunk.Digest, info.ModTime()))
		}
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read chunk %s: %w", chunk.Digest, err)
	}
	return f, nil
}

var errRotten = errors.New("the bytes on disk are not those that were written")

// remove removes a chunk that was not put after a time.
func (c *Chunks) remove(digest string, after time.Time) error {
	defer c.lock(digest)()
	info, err := os.Stat(c.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.ModTime().After(after) {
		return err
	}
	return os.Remove(c.path(digest))
}

// found is a chunk as the directory has it.
type found struct {
	Chunk
	put time.Time
}

// in answers the chunks whose digest starts with a byte.
func (c *Chunks) in(first byte) ([]found, error) {
	dir := filepath.Join(c.dir, fmt.Sprintf("%02x", first))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("list chunks: %w", err)
	}
	var all []found
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && isDigest(e.Name()) {
			all = append(all, found{Chunk{e.Name(), info.Size()}, info.ModTime()})
		}
	}
	return all, nil
}

func (c *Chunks) path(digest string) string { return filepath.Join(c.dir, digest[:2], digest) }

// lock holds the directory of a digest until the answer is called.
func (c *Chunks) lock(digest string) (unlock func()) {
	first, _ := hex.DecodeString(digest[:2]) // a digest's
	mu := &c.mu[first[0]]
	mu.Lock()
	return mu.Unlock
}

// source keeps a reader's error apart from the writer's, and stops when the context ends or the disk is to take no more:
// the store, which is there too, ends on a disk that is full.
type source struct {
	ctx   context.Context
	admit func() error
	r     io.Reader
	err   error
}

func (s *source) Read(b []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err == nil {
		s.err = s.admit()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// diskError gives an error of this node's disk its code, so that nobody takes it for one of the body.
func diskError(err error) error {
	err = fmt.Errorf("store chunk: %w", err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return abi.WithCode(abi.NoSpace, err)
	}
	return abi.WithCode(abi.Internal, err)
}

func digestOf(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil)) }

func isDigest(s string) bool {
	return len(s) == sha256.Size*2 && strings.Trim(s, "0123456789abcdef") == ""
}

func errNoDigest(s string) error {
	return abi.WithCode(abi.InvalidInput, fmt.Errorf("%.80q is not a SHA-256 digest", s))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
