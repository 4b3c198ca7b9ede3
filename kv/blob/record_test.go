package blob

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// records are valid ones, for fuzzing to begin with.
func records() [][]byte {
	id := newID(time.Unix(1, 0))
	small := manifest{ID: id, Size: 5, ETag: "x", Modified: 1, Span: span{Size: 5, Chunk: ChunkBytes, Digests: make([]byte, digestBytes)},
		About: About{Headers: Headers{ContentType: "text/plain"}, Metadata: map[string]string{"a": "b"}}}
	large := manifest{ID: id, Size: 7, Source: id, Segments: []reference{{Number: 1, Size: 5}, {Number: 3, Size: 2}}}
	return [][]byte{encode(manifest{ID: id}), encode(small), encode(large), encode(segment{Span: small.Span, MD5: make([]byte, 16)}),
		encode(Bucket{Created: time.Unix(5, 0), Events: true}), encode(started{Started: 1}), encode(Quota{Objects: 1}), encode(eventRecord{Name: CreatedPut})}
}

func FuzzRecords(f *testing.F) {
	for _, r := range records() {
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeManifest(b); err == nil {
			again, err := decodeManifest(encode(m))
			if err != nil || !reflect.DeepEqual(again, m) && !(len(m.About.Metadata) == 0 || len(m.Span.Digests) == 0) {
				t.Errorf("%+v is read as %+v, %v", m, again, err)
			}
			for i := range m.Span.count() {
				if c := m.Span.chunk(i); c.SizeBytes <= 0 || c.SizeBytes > ChunkBytes {
					t.Errorf("chunk %d has %d bytes", i, c.SizeBytes)
				}
			}
		}
		if s, err := decodeSegment(b); err == nil && s.Span.Size > 0 {
			s.Span.at(s.Span.Size - 1)
		}
		decodeEvent(op.Item{Key: "e/x", Value: b})
		partOf("00001", b)
		decode(b, new(Bucket))
		decode(b, new(started))
	})
}

func FuzzToken(f *testing.F) {
	f.Add(token{from: "a", cursor: "c"}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := parseToken(text); err == nil {
			if again, err := parseToken(k.String()); err != nil || again != k {
				t.Errorf("%q is read as %+v, and that as %+v, %v", text, k, again, err)
			}
		}
	})
}

// TestLargestManifest has as many parts as there can be: its record is a value, and its completion a transaction.
func TestLargestManifest(t *testing.T) {
	m := manifest{ID: newID(time.Now()), Source: newID(time.Now()), ETag: strings.Repeat("x", 38), About: About{
		Headers: Headers{ContentType: strings.Repeat("x", op.MaxObjectHeaderBytes)}, Metadata: map[string]string{"k": strings.Repeat("x", op.MaxObjectMetadataBytes-1)}}}
	for n := range MaxParts {
		m.Segments = append(m.Segments, reference{Number: n + 1, Size: op.MaxObjectPutBytes})
		m.Size += op.MaxObjectPutBytes
	}
	b := encode(m)
	if len(b) > op.MaxValueBytes/4 {
		t.Errorf("the manifest has %d bytes", len(b))
	}
	if again, err := decodeManifest(b); err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("it is read as another: %v", err)
	}
	s := segment{Span: span{Size: op.MaxObjectPutBytes, Chunk: ChunkBytes, Digests: make([]byte, op.MaxObjectPutBytes/ChunkBytes*digestBytes)}, MD5: make([]byte, 16)}
	if b := encode(s); len(b) > op.MaxValueBytes/4 {
		t.Errorf("the segment has %d bytes", len(b))
	}
	m.Segments = append(m.Segments, reference{Number: 1})
	if _, err := decodeManifest(encode(m)); !errors.Is(err, errDamaged) {
		t.Errorf("one part more: %v", err)
	}
}
