package blob

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/sett-run/sett/kv/op"
)

// Records are CBOR maps with small integers for names; numbers are not used again. Readers leave out what they do not
// know, so that nodes of two versions read each other's. Times are nanoseconds since 1970.

// digestBytes is a chunk's digest in a record.
const digestBytes = 32

// maxInline is how many chunks stand in the manifest itself; more are in a segment, so that listings, which read
// manifests, stay fast.
const maxInline = 64

// span is a run of bytes: chunks that all have chunk bytes, but for the last one.
type span struct {
	Size    int64  `cbor:"1,keyasint,omitempty"`
	Chunk   int64  `cbor:"2,keyasint,omitempty"`
	Digests []byte `cbor:"3,keyasint,omitempty"` // one after the other
}

func (s span) count() int { return len(s.Digests) / digestBytes }

func (s span) validate() error {
	n := int64(s.count())
	if s.Size < 0 || s.Chunk < 0 || s.Chunk > ChunkBytes || len(s.Digests)%digestBytes != 0 || n > op.MaxObjectPutBytes {
		return errDamaged
	}
	if n == 0 && s.Size != 0 || n > 0 && (s.Chunk == 0 || s.Size <= (n-1)*s.Chunk || s.Size > n*s.Chunk) {
		return errDamaged
	}
	return nil
}

// segment is the record of a span that does not stand in a manifest, or not yet.
type segment struct {
	Span span   `cbor:"1,keyasint"`
	MD5  []byte `cbor:"2,keyasint"`
	Put  int64  `cbor:"3,keyasint"` // when
}

// reference names a segment of a manifest's source.
type reference struct {
	_      struct{} `cbor:",toarray"`
	Number int
	Size   int64
}

// manifest is the record of an object.
type manifest struct {
	ID       string      `cbor:"1,keyasint"` // of this put
	Size     int64       `cbor:"2,keyasint"`
	ETag     string      `cbor:"3,keyasint"`
	Modified int64       `cbor:"4,keyasint"`
	About    About       `cbor:"5,keyasint,omitzero"`
	Span     span        `cbor:"6,keyasint,omitzero"`  // all of it, unless there are
	Source   string      `cbor:"7,keyasint,omitempty"` // id of the put or upload that wrote the segments
	Segments []reference `cbor:"8,keyasint,omitempty"` // in their order
}

func (m manifest) validate() error {
	if !isID(m.ID) || m.Size < 0 {
		return errDamaged
	}
	if err := m.Span.validate(); err != nil {
		return err
	}
	if len(m.Segments) == 0 {
		if m.Span.Size != m.Size {
			return errDamaged
		}
		return nil
	}
	if !isID(m.Source) || len(m.Segments) > MaxParts {
		return errDamaged
	}
	var sum int64
	for _, s := range m.Segments {
		if s.Size < 0 || s.Size > op.MaxObjectPutBytes || s.Number < 0 || s.Number > MaxParts {
			return errDamaged
		}
		sum += s.Size
	}
	if sum != m.Size {
		return errDamaged
	}
	return nil
}

// started is the record of an upload.
type started struct {
	Started int64 `cbor:"1,keyasint"`
	About   About `cbor:"2,keyasint,omitzero"`
}

var errDamaged = errors.New("record of an object is damaged")

func encode(record any) []byte {
	b, err := cbor.Marshal(record)
	if err != nil {
		panic(err) // plain structs only
	}
	return b
}

// decoding bounds what a record can hold; the store bounds its bytes.
func decoding() cbor.DecOptions {
	return cbor.DecOptions{MaxNestedLevels: 8, MaxArrayElements: MaxParts + 16, MaxMapPairs: op.MaxObjectMetadataBytes, DupMapKey: cbor.DupMapKeyEnforcedAPF}
}

// decode reads what encode wrote.
func decode(b []byte, into any) error {
	mode, err := decoding().DecMode()
	if err != nil {
		return err
	}
	if err := mode.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

func decodeManifest(b []byte) (m manifest, err error) {
	if err = decode(b, &m); err == nil {
		err = m.validate()
	}
	return m, err
}

func decodeSegment(b []byte) (s segment, err error) {
	if err = decode(b, &s); err == nil {
		err = s.Span.validate()
	}
	return s, err
}
