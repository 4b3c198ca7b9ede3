package node

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sett-run/sett/cluster/trust"
)

// dataFormat is the version of the data directory's layout. A node refuses a directory with a higher one.
const dataFormat = 1

// Names inside a data directory.
const (
	lockFile     = "LOCK"      // held by the running node; holds its process id
	formatFile   = "FORMAT"    // dataFormat as decimal text
	identityFile = "node.json" // identity
	storeDir     = "store"     // replicated records (Badger)
	runtimeDir   = "runtime"   // modules and compiled code
	logsDir      = "logs"      // guests' output
)

// identity is what a node remains across restarts.
type identity struct {
	ID string `json:"id"` // 16 hexadecimal digits, drawn once
}

// dataDir is a locked data directory.
type dataDir struct {
	path string
	lock *os.File
	identity
}

// openDataDir creates or opens the directory at path (mode 0700) and locks it against a second node. The
// error says what stands in the way: another node's process, permissions, or a newer format.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", path, cause(err))
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open data directory %s: not writable: %w", path, cause(err))
	}
	if err := flock(lock); err != nil {
		pid, _ := os.ReadFile(lock.Name())
		lock.Close()
		return nil, fmt.Errorf("open data directory %s: locked by another node (process %s); stop it or choose another --data",
			path, strings.TrimSpace(string(pid)))
	}
	d := &dataDir{path: path, lock: lock}
	if err := d.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open data directory %s: %w", path, err), d.close())
	}
	return d, nil
}

func (d *dataDir) prepare() error {
	if err := d.lock.Truncate(0); err != nil {
		return fmt.Errorf("write %s: %w", lockFile, cause(err))
	}
	if _, err := d.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("write %s: %w", lockFile, cause(err))
	}
	if err := d.checkFormat(); err != nil {
		return err
	}
	return d.readIdentity()
}

func (d *dataDir) checkFormat() error {
	text, err := os.ReadFile(d.join(formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		return writeFile(d.join(formatFile), []byte(strconv.Itoa(dataFormat)+"\n"))
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", formatFile, cause(err))
	}
	format, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || format < 1 {
		return fmt.Errorf("%s says %q, want a number like %d: not a data directory of sett", formatFile, text, dataFormat)
	}
	if format > dataFormat {
		return fmt.Errorf("format %d was written by a newer sett; this one reads formats up to %d: upgrade sett", format, dataFormat)
	}
	return nil
}

func (d *dataDir) readIdentity() error {
	text, err := os.ReadFile(d.join(identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		var id [8]byte
		rand.Read(id[:]) // never fails, crypto/rand
		d.ID = hex.EncodeToString(id[:])
		text, err = json.Marshal(d.identity)
		if err != nil {
			return fmt.Errorf("write %s: %w", identityFile, err)
		}
		return writeFile(d.join(identityFile), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", identityFile, cause(err))
	}
	if err := json.Unmarshal(text, &d.identity); err != nil || d.ID == "" {
		return fmt.Errorf("read %s: want {\"id\":\"...\"}: %w", identityFile, errors.Join(err, errors.New("no id")))
	}
	return nil
}

func (d *dataDir) join(name string) string { return filepath.Join(d.path, name) }

// close releases the lock. The lock file stays: removing it would race with a node that waits for it.
func (d *dataDir) close() error { return d.lock.Close() }

// writeFile is trust.WriteFile that says which file it was.
func writeFile(path string, data []byte) error {
	if err := trust.WriteFile(path, data); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), cause(err))
	}
	return nil
}

// cause drops the operation and path from a file error whose context the message already gives.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
