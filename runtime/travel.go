package runtime

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sett-run/sett/sdk/abi"
)

// Compiled code travels between nodes as a tar archive of an entry's three files. Whoever takes it runs it as it is:
// it must come from a node that is trusted as this one, over a connection that nobody else can write to.
const (
	travelInfo = "info"
	travelWasm = "wasm"
	travelCode = "code"

	maxInfoBytes = 1 << 20
	maxCodeBytes = 1 << 30 // of one module's native code; a larger one is compiled again
)

// Engine names what compiled code depends on besides its module, in 16 hexadecimal digits: code of the same engine may
// be taken over. The processor's features are not in it; code for others is found out and compiled again.
func Engine() string {
	sum := sha256.Sum256([]byte(maker()))
	return hex.EncodeToString(sum[:8])
}

// WriteCode writes a module's compiled code to w, for PutCode of another node with the same Engine. It is coded
// abi.NotFound, with nothing written, when there is none on disk.
func (r *Runtime) WriteCode(ctx context.Context, digest string, w io.Writer) error {
	if !isDigest(digest) {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("write code: %q is not a SHA-256 digest", digest))
	}
	d := r.codes.disk
	var files [3]*os.File
	defer func() {
		for _, f := range files {
			f.Close() // of nil: an error that nobody needs
		}
	}()
	for i, name := range []string{d.info(digest), d.wasm(digest), d.code(digest)} { // all open before anything is sent
		var err error
		if files[i], err = os.Open(name); errors.Is(err, fs.ErrNotExist) {
			return abi.WithCode(abi.NotFound, fmt.Errorf("write code of %s: there is none", digest))
		} else if err != nil {
			return fmt.Errorf("write code: %w", err)
		}
	}
	archive := tar.NewWriter(w)
	for i, name := range []string{travelInfo, travelWasm, travelCode} {
		info, err := files[i].Stat()
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: name, Size: info.Size(), Mode: 0o600})
		}
		if err == nil {
			_, err = io.Copy(archive, &source{ctx: ctx, r: files[i]})
		}
		if err != nil {
			return fmt.Errorf("write code of %s: %w", digest, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("write code of %s: %w", digest, err)
	}
	return nil
}

// HasCode says whether a module's compiled code is on disk.
func (r *Runtime) HasCode(digest string) bool {
	if !isDigest(digest) {
		return false
	}
	_, err := os.Stat(r.codes.disk.info(digest))
	return err == nil
}

// PutCode keeps the compiled code of a module that WriteCode wrote elsewhere, so that it need not be compiled here. What
// is damaged, cut off or of another engine is refused, coded abi.InvalidInput, and nothing of it is kept.
func (r *Runtime) PutCode(ctx context.Context, digest string, from io.Reader) error {
	if !isDigest(digest) {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("keep code: %q is not a SHA-256 digest", digest))
	}
	dir, err := r.codes.disk.stage()
	if err != nil {
		return fmt.Errorf("keep code: %w", err)
	}
	defer os.RemoveAll(dir)
	in := &source{ctx: ctx, r: from}
	if err := receiveCode(dir, in); err != nil {
		return fmt.Errorf("keep code of %s: %w", digest, err)
	}
	if err := r.codes.disk.adopt(digest, dir); err != nil {
		return fmt.Errorf("keep code of %s: %w", digest, err)
	}
	return nil
}

// receiveCode writes the archive's files, in their order, to a directory.
func receiveCode(dir string, from io.Reader) error {
	archive := tar.NewReader(from)
	for _, want := range []struct {
		name string
		most int64
	}{{travelInfo, maxInfoBytes}, {travelWasm, 2 * DefaultModuleBytes}, {travelCode, maxCodeBytes}} {
		h, err := archive.Next()
		if err != nil {
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("read %s: %w", want.name, err))
		}
		if h.Name != want.name || h.Typeflag != tar.TypeReg || h.Size > want.most {
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("read %s: found %.40q of %d bytes", want.name, h.Name, h.Size))
		}
		if err := writeFrom(filepath.Join(dir, want.name), archive); err != nil {
			return err
		}
	}
	return nil
}

func writeFrom(name string, r io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	read := &source{ctx: context.Background(), r: r}
	_, err = io.Copy(f, read)
	if read.err != nil {
		err = abi.WithCode(abi.InvalidInput, read.err)
	}
	return errors.Join(err, f.Close())
}

// adopt makes received files a module's entry, when they are what they say and of this engine.
func (d *disk) adopt(digest, dir string) error {
	from := parts{filepath.Join(dir, travelInfo), filepath.Join(dir, travelWasm), filepath.Join(dir, travelCode)}
	k, err := readInfo(from.info)
	if errors.Is(err, errDamaged) || errors.Is(err, errForeign) {
		return abi.WithCode(abi.InvalidInput, err)
	}
	if err != nil {
		return err
	}
	for name, want := range map[string]part{from.wasm: k.entry.Wasm, from.code: k.entry.Code} {
		got, err := checksum(name)
		if err != nil {
			return err
		}
		if got != want {
			return abi.WithCode(abi.InvalidInput, errDamaged)
		}
	}
	return d.install(digest, from)
}
