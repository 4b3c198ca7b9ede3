package memory

import "sync"

// maxChecked is how many files a Checked remembers; above it, all are forgotten. More takes memory, some 150 bytes
// each, fewer reads files whole again.
const maxChecked = 65536

// Checked remembers which image files were read whole and found right, so that opening one again costs no more than
// mapping it. A file that changed in any way the file system tells of is checked again. It promises no less than
// checking each time would: the kernel drops a mapped file's pages and reads them from the disk again whenever it
// likes. The zero value remembers nothing yet. All methods may be called concurrently.
type Checked struct {
	mu    sync.Mutex // guards what follows
	files map[string]identity
}

// identity says which file a path led to, and when it was changed last. Inode 0 is no file's: nobody knows.
type identity struct {
	device, inode     uint64
	size              int64
	modified, changed int64 // nanoseconds
}

// has says whether the file was found right. A nil Checked has none.
func (c *Checked) has(path string, id identity) bool {
	if c == nil || id.inode == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files[path] == id
}

func (c *Checked) add(path string, id identity) {
	if c == nil || id.inode == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files == nil || len(c.files) >= maxChecked {
		c.files = map[string]identity{}
	}
	c.files[path] = id
}
