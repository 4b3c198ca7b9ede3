package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// What lies in a store's directory:
//
//	store.json   the record: format, which engine is the current one, the watermark
//	store.lock   locked while a process has the store open
//	engine-<n>   the engine's files; others than the record's are left over from a restore and go when it is opened
const (
	recordName   = "store.json"
	lockName     = "store.lock"
	enginePrefix = "engine-"
	firstEngine  = enginePrefix + "1"
	layoutFormat = 3
	oldestFormat = 2 // that is read as it is: it has no files of what passes
)

const maxRecordBytes = 4 << 10

// MigrationError says that a directory holds the store of an older Sett, whose records must be carried into a new
// one.
type MigrationError struct {
	Dir    string
	Format uint64
}

// Error says which format the store has.
func (e *MigrationError) Error() string {
	return fmt.Sprintf("the store has format %d and must be migrated to format %d", e.Format, layoutFormat)
}

// record is what a store knows about itself, on this node alone. It is replaced as a whole.
type record struct {
	Format  int    `json:"format"`
	Engine  string `json:"engine"`
	Durable uint64 `json:"durable"`
}

func parseRecord(b []byte) (record, error) {
	var r record
	if len(b) > maxRecordBytes {
		return record{}, fmt.Errorf("it has %d bytes", len(b))
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, err
	}
	if r.Format < oldestFormat || r.Format > layoutFormat {
		return record{}, fmt.Errorf("the store has format %d and this version of Sett reads format %d", r.Format, layoutFormat)
	}
	if _, err := engineNumber(r.Engine); err != nil {
		return record{}, err
	}
	return r, nil
}

func engineNumber(name string) (uint64, error) {
	digits, ok := strings.CutPrefix(name, enginePrefix)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || n == 0 || digits != strconv.FormatUint(n, 10) {
		return 0, fmt.Errorf("%.40q is not the name of an engine", name)
	}
	return n, nil
}

// directory is a locked store directory. The nil directory is that of a store in memory.
type directory struct {
	path string
	lock *os.File
}

// openDirectory locks the directory, makes it when it is absent, and answers its record.
func openDirectory(path string) (*directory, record, error) {
	if err := prepareDir(path); err != nil {
		return nil, record{}, err
	}
	lock, err := lockFile(filepath.Join(path, lockName))
	if err != nil {
		return nil, record{}, err
	}
	d := &directory{path: path, lock: lock}
	rec, err := d.read()
	if err != nil {
		return nil, record{}, errors.Join(err, d.close())
	}
	return d, rec, nil
}

// read answers the record, that of a new store when there is none, and removes what is left over.
func (d *directory) read() (record, error) {
	raw, err := os.ReadFile(filepath.Join(d.path, recordName))
	if errors.Is(err, fs.ErrNotExist) {
		if err := checkOlder(d.path); err != nil {
			return record{}, err
		}
		return record{Format: layoutFormat, Engine: firstEngine}, d.removeOthers("")
	}
	if err != nil {
		return record{}, err
	}
	rec, err := parseRecord(raw)
	if err != nil {
		return record{}, fmt.Errorf("read %s: %w", recordName, err)
	}
	if _, err := os.Stat(filepath.Join(d.engineDir(rec.Engine), badger.ManifestFilename)); err != nil {
		return record{}, fmt.Errorf("%s names an engine that is not there: %w", recordName, err)
	}
	return rec, d.removeOthers(rec.Engine)
}

// write makes rec the record, durably or not at all. The format is filled in.
func (d *directory) write(rec record) error {
	rec.Format = layoutFormat
	raw, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	name := filepath.Join(d.path, recordName)
	if err := writeFile(name+".new", append(raw, '\n')); err != nil {
		return err
	}
	if err := syncDir(d.path); err != nil { // the engine it names is there before it
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(d.path)
}

// removeOthers removes all engines but the one named.
func (d *directory) removeOthers(name string) error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := engineNumber(e.Name()); err != nil || e.Name() == name {
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.path, e.Name())); err != nil {
			return fmt.Errorf("remove old engine: %w", err)
		}
	}
	return nil
}

// engineDir answers where an engine's files are, nowhere when they are in memory.
func (d *directory) engineDir(name string) string {
	if d == nil {
		return ""
	}
	return filepath.Join(d.path, name)
}

// close lets other processes open the store.
func (d *directory) close() error {
	if d == nil {
		return nil
	}
	return d.lock.Close()
}

// prepareDir makes dir, whole path, and sees that files can be made in it, before less clear errors.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("directory %s cannot be written: %w", dir, err)
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	if parent := syncDir(filepath.Dir(dir)); parent != nil && !errors.Is(parent, fs.ErrPermission) {
		err = errors.Join(err, parent) // dir's own entry survives a power loss
	}
	return err
}

// checkOlder looks for a database where the first format had it.
func checkOlder(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, badger.ManifestFilename)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := badger.OpenManaged(badger.DefaultOptions(dir).WithLogger(nil).WithMetricsEnabled(false))
	if err != nil {
		if strings.Contains(err.Error(), "acquire directory lock") {
			return fmt.Errorf("in use by another process: %w", err)
		}
		return err
	}
	format, err := olderFormat(db)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	return &MigrationError{Dir: dir, Format: format}
}

func olderFormat(db *badger.DB) (format uint64, err error) {
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	item, err := txn.Get([]byte("mformat"))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, errors.New("a database is there that is not a store of Sett")
	}
	if err != nil {
		return 0, fmt.Errorf("read format: %w", err)
	}
	err = item.Value(func(raw []byte) error {
		var n int
		if format, n = binary.Uvarint(raw); n <= 0 || format == 0 || format >= oldestFormat {
			return errors.New("a database with an unknown format is there")
		}
		return nil
	})
	return format, err
}
