package kv

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// cursorVersion is the first byte of an encoded cursor.
const cursorVersion = 1

// cursor says where a listing goes on: the state it reads, the time it looks at, and the first key of the next page.
type cursor struct {
	index uint64
	now   time.Time
	key   string
}

// String is the cursor as callers hand it back: base64url of the version, the index as unsigned varint, nanoseconds
// since 1970 as signed varint, and the key.
func (c cursor) String() string {
	b := binary.AppendUvarint([]byte{cursorVersion}, c.index)
	b = binary.AppendVarint(b, c.now.UnixNano())
	return base64.RawURLEncoding.EncodeToString(append(b, c.key...))
}

// parseCursor reads what String wrote for a listing of prefix, or answers op.ErrInvalid.
func parseCursor(text, prefix string) (cursor, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) == 0 || b[0] != cursorVersion {
		return cursor{}, errCursor
	}
	index, n := binary.Uvarint(b[1:])
	if n <= 0 || index == 0 || index > math.MaxUint64/2 {
		return cursor{}, errCursor
	}
	b = b[1+n:]
	now, n := binary.Varint(b)
	if n <= 0 || len(b)-n > op.MaxKeyBytes || !strings.HasPrefix(string(b[n:]), prefix) {
		return cursor{}, errCursor
	}
	return cursor{index, time.Unix(0, now), string(b[n:])}, nil
}

var errCursor = fmt.Errorf("cursor is not one that this listing answered: %w", op.ErrInvalid)
