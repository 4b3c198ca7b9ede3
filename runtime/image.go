package runtime

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/runtime/memory"
	"github.com/sett-run/sett/runtime/registry"
)

// image is what the instances of a version start from, and what they are reset to. It never changes.
type image struct {
	memory *memory.Image
	about
}

// about is what belongs to an image besides the memory.
type about struct {
	// starts: the image was taken before the module's start function and _initialize, which run in every
	// request. Else it was taken after them.
	starts      bool
	fresh       bool          // an instance answers once: its state cannot be wholly restored
	reason      string        // why it is fresh or starts
	random      uint32        // address of the state of the guest's random numbers, to be drawn anew; 0: none
	quick       bool          // the state of its quick generator stands behind that
	monotonic   time.Duration // what the monotonic clock showed last
	globals     []uint64      // in the order of traits.Globals
	description []byte        // what the module says of itself, as it wrote it; nil: nothing
}

// isolation says how the invocations of a version with this image are kept apart, and why.
func (a *about) isolation(v *registry.Version) (mode registry.Isolation, reason string) {
	switch {
	case a.fresh:
		return registry.IsolationStrict, a.reason
	case v.Settings.Isolation == registry.IsolationStrict:
		return registry.IsolationStrict, joinReasons("the settings ask for it", a.reason)
	}
	return registry.IsolationReset, a.reason
}

func joinReasons(a, b string) string {
	if b == "" {
		return a
	}
	return a + "; " + b
}

// imageKey names all that the image of v is made from.
func imageKey(v *registry.Version) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\nmodule %s\nfunction %q\nmemory %d\nseed %q\n", maker(), v.Module.Digest, v.Function, memoryLimit(v), v.Seed)
	for _, env := range settingsEnv(v) {
		fmt.Fprintf(&s, "env %q\n", env)
	}
	return s.String()
}

// images keeps images in files.
type images struct {
	dir     string
	checked memory.Checked
}

const imageSuffix = ".image"

func openImages(dir string) (*images, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open images: %w", err)
	}
	return &images{dir: dir}, nil
}

func (s *images) path(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:])+imageSuffix)
}

// save writes an image. Its file is readable by this process's user alone.
func (s *images) save(key string, img *image) error {
	return img.memory.Save(s.path(key), []byte(key), img.about.append(nil))
}

// open answers a saved image: fs.ErrNotExist when there is none, memory.ErrCorrupt or memory.ErrForeign when it must
// be built again.
func (s *images) open(key string, globals int) (*image, error) {
	m, extra, err := memory.OpenImage(s.path(key), []byte(key), &s.checked)
	if err != nil {
		return nil, err
	}
	img := &image{memory: m}
	if err = img.about.parse(extra); err == nil && len(img.globals) != globals {
		err = fmt.Errorf("%w: %d globals, want %d", memory.ErrCorrupt, len(img.globals), globals)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return img, nil
}

// collect removes the files of images that keep does not name and that are older than olderThan.
func (s *images) collect(keep map[string]bool, olderThan time.Duration) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("collect images: %w", err)
	}
	limit := time.Now().Add(-olderThan)
	for _, entry := range entries {
		path := filepath.Join(s.dir, entry.Name())
		info, statErr := entry.Info()
		if keep[path] || statErr != nil || info.ModTime().After(limit) {
			continue
		}
		if removeErr := os.Remove(path); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("collect images: %w", removeErr))
		}
	}
	return err
}

// Marks of an about's first byte.
const (
	aboutVersion = 1
	aboutQuick   = 1 << 5
	aboutStarts  = 1 << 6
	aboutFresh   = 1 << 7
)

// append appends a's encoding: version and marks, random u32, monotonic u64, the globals as u64 and the texts behind
// their length as u32; all little-endian.
func (a *about) append(b []byte) []byte {
	mark := byte(aboutVersion)
	if a.starts {
		mark |= aboutStarts
	}
	if a.fresh {
		mark |= aboutFresh
	}
	if a.quick {
		mark |= aboutQuick
	}
	b = binary.LittleEndian.AppendUint32(append(b, mark), a.random)
	b = binary.LittleEndian.AppendUint64(b, uint64(a.monotonic))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(a.globals)))
	for _, g := range a.globals {
		b = binary.LittleEndian.AppendUint64(b, g)
	}
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(a.reason))), a.reason...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(a.description))), a.description...)
}

var errAbout = fmt.Errorf("%w: what belongs to the image cannot be read", memory.ErrCorrupt)

// parse reads what append wrote, with nothing behind it.
func (a *about) parse(b []byte) error {
	if len(b) < 17 || b[0]&^(aboutStarts|aboutFresh|aboutQuick) != aboutVersion {
		return errAbout
	}
	a.starts, a.fresh, a.quick = b[0]&aboutStarts != 0, b[0]&aboutFresh != 0, b[0]&aboutQuick != 0
	a.random = binary.LittleEndian.Uint32(b[1:])
	a.monotonic = time.Duration(binary.LittleEndian.Uint64(b[5:]) & math.MaxInt64)
	n := int(binary.LittleEndian.Uint32(b[13:]))
	b = b[17:]
	if n > len(b)/8 {
		return errAbout
	}
	a.globals = make([]uint64, n)
	for i := range a.globals {
		a.globals[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	b = b[8*n:]
	var reason []byte
	for _, to := range []*[]byte{&reason, &a.description} {
		if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
			return errAbout
		}
		n := int(binary.LittleEndian.Uint32(b))
		*to, b = slices.Clone(b[4:4+n]), b[4+n:]
	}
	if len(a.description) == 0 {
		a.description = nil
	}
	if a.reason = string(reason); len(b) != 0 {
		return errAbout
	}
	return nil
}
