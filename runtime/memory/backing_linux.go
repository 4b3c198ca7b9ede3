//go:build linux && !sett_portable

package memory

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// backing holds an image's bytes: a file that slots map, and a view of it to copy from. The file is a sealed memory
// file, or an image file.
type backing struct {
	fd     int // -1 when the image is all zero
	offset int64
	size   uint64
	view   []byte
}

// newBacking makes a memory file of so many bytes, all zero. It is written, then sealed.
func newBacking(size uint64) (*backing, error) {
	if size == 0 {
		return &backing{fd: -1}, nil
	}
	fd, err := unix.MemfdCreate("sett-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("sett-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("create memory file: %w", err)
	}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("size memory file: %w", err)
	}
	return &backing{fd: fd, size: size}, nil
}

func (b *backing) write(offset uint64, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(b.fd, data, int64(offset))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("write memory file: %w", err)
		}
		data, offset = data[n:], offset+uint64(n)
	}
	return nil
}

// seal makes the bytes unchangeable for everyone. On an error nothing is left open.
func (b *backing) seal() (backing, error) {
	if b.fd < 0 {
		return *b, nil
	}
	seals := unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(b.fd), unix.F_ADD_SEALS, seals); err != nil {
		b.drop()
		return backing{}, fmt.Errorf("seal memory file: %w", err)
	}
	return b.look()
}

// look maps the view. On an error nothing is left open.
func (b *backing) look() (backing, error) {
	view, err := mapAt(b.fd, b.offset, nil, b.size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		b.drop()
		return backing{}, fmt.Errorf("map image: %w", err)
	}
	b.view = view
	return *b, nil
}

func (b *backing) drop() {
	if b.view != nil {
		unmap(b.view)
	}
	if b.fd >= 0 {
		unix.Close(b.fd)
	}
	b.fd, b.view = -1, nil
}

// load makes an image file the backing.
func (img *Image) load(f *file, content int64) error {
	if img.stored == 0 {
		img.backing = backing{fd: -1}
		return nil
	}
	b := &backing{fd: f.fd, offset: content, size: img.stored}
	f.fd = -1 // the backing's now
	var err error
	img.backing, err = b.look()
	return err
}

// file is an open image file, without what os.File does for files that may block.
type file struct{ fd int }

func openFile(path string) (*file, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			return &file{fd: fd}, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, err
		}
	}
}

// ReadAt is io.ReaderAt's.
func (f *file) ReadAt(b []byte, offset int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pread(f.fd, b[done:], offset+int64(done))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return done, err
		case n == 0:
			return done, io.EOF
		default:
			done += n
		}
	}
	return done, nil
}

// data is where the file system keeps something at or after offset, or offset where it does not say.
func (f *file) data(offset int64) int64 {
	at, err := unix.Seek(f.fd, offset, unix.SEEK_DATA)
	if err != nil {
		return offset
	}
	return at
}

func (f *file) identity() (identity, error) {
	var s unix.Stat_t
	if err := unix.Fstat(f.fd, &s); err != nil {
		return identity{}, err
	}
	return identity{uint64(s.Dev), s.Ino, s.Size, s.Mtim.Nano(), s.Ctim.Nano()}, nil
}

func (f *file) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
}

func pageSize() int { return os.Getpagesize() }
