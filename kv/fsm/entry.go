package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Limits of entries.
const (
	// MaxCommands is how many commands share an entry, and how far the revisions of two entries are apart.
	MaxCommands = 4096
	// MaxEntryBytes is the size of an entry. Larger ones take longer to replicate, and everything waits meanwhile;
	// one that is below MaxCommandBytes fits a largest command no more.
	MaxEntryBytes = 4 << 20
)

const latest = 1 << 62 // nanoseconds: the last leader time, in the year 2116; expiries later still fit

// Revision is that of the command at a position of the entry at an index. LastRevision is the highest an entry can
// have.
func Revision(index uint64, position int) uint64 { return index*MaxCommands + uint64(position) }

// LastRevision answers the highest revision that the entry at an index and those before it can have.
func LastRevision(index uint64) uint64 { return Revision(index, MaxCommands-1) }

// Index answers that of the entry a revision comes from.
func Index(revision uint64) uint64 { return revision / MaxCommands }

// AppendEntry appends an entry of encoded commands and the leader's clock. Whoever makes entries keeps them within
// MaxCommands and MaxEntryBytes; what is larger does nothing when it is applied.
func AppendEntry(b []byte, now time.Time, commands ...[]byte) []byte {
	b = append(b, entryFormat)
	b = binary.AppendUvarint(b, uint64(max(0, now.UnixNano())))
	b = binary.AppendUvarint(b, uint64(len(commands)))
	for _, c := range commands {
		b = appendText(b, c)
	}
	return b
}

const entryFormat = 1

var errEntry = errors.New("malformed entry")

// decodeEntry reads what AppendEntry wrote. The commands are parts of b; each may be malformed in itself.
func decodeEntry(b []byte) (now time.Time, commands [][]byte, err error) {
	if len(b) > MaxEntryBytes {
		return time.Time{}, nil, fmt.Errorf("%d bytes, at most %d are allowed: %w", len(b), MaxEntryBytes, errEntry)
	}
	f := fields{rest: b}
	if format := f.byte(); format != entryFormat {
		return time.Time{}, nil, fmt.Errorf("format %d: %w", format, errEntry)
	}
	nanos := f.natural()
	commands = make([][]byte, f.count(MaxCommands))
	for i := range commands {
		commands[i] = f.text()
	}
	if !f.whole() || nanos > latest {
		return time.Time{}, nil, errEntry
	}
	return time.Unix(0, nanos), commands, nil
}
