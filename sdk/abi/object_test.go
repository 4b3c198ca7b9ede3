package abi

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sett-run/sett/kv/op"
)

func sampleAbout() op.ObjectAbout {
	return op.ObjectAbout{Headers: op.ObjectHeaders{ContentType: "image/png", CacheControl: "no-store", ContentDisposition: "inline",
		ContentEncoding: "gzip", ContentLanguage: "de", Expires: "never"}, Metadata: map[string]string{"b": "2", "a": "", "": "x"}}
}

func sampleInfo() op.ObjectInfo {
	return op.ObjectInfo{Bucket: "pics", Key: "a\xff", ID: "01", Size: 1 << 40, ETag: "e", Modified: time.UnixMilli(1795400000123).UTC(), Parts: 3,
		About: sampleAbout()}
}

// objectMessages are those of object calls.
func objectMessages() []kvMessage {
	return []kvMessage{
		{"ObjectName", func(v any) []byte { n := v.(op.ObjectName); return AppendObjectName(nil, n.Bucket, n.Key) },
			func(data []byte) (any, error) { return DecodeObjectName(data) },
			func(o oracle) any { return op.ObjectName{Bucket: o.text("bucket"), Key: o.text("key")} },
			op.ObjectName{Bucket: "pics", Key: "a\xff"}},
		{"ObjectOpen", func(v any) []byte { r := v.(ObjectOpen); return AppendObjectOpen(nil, &r) },
			func(data []byte) (any, error) { return DecodeObjectOpen(data) },
			func(o oracle) any {
				return ObjectOpen{o.text("bucket"), o.text("key"), o.int("first"), o.int("length"), o.text("etag")}
			},
			ObjectOpen{"pics", "a", -7, 1 << 40, "e"}},
		{"ObjectCreate", func(v any) []byte { p := v.(op.ObjectPut); return AppendObjectCreate(nil, &p) },
			func(data []byte) (any, error) { return DecodeObjectCreate(data) },
			func(o oracle) any {
				p := op.ObjectPut{Name: op.ObjectName{Bucket: o.text("bucket"), Key: o.text("key")}, About: o.about("about"),
					Body: op.ObjectBody{Size: op.Unsized, MD5: o.bytes("md5")}, If: op.ObjectCondition{Absent: o.flag("if_absent"), ETag: o.text("if_match")}}
				if o.flag("sized") {
					p.Body.Size = max(0, o.int("size"))
				}
				return p
			},
			op.ObjectPut{Name: op.ObjectName{Bucket: "pics", Key: "a"}, Body: op.ObjectBody{Size: 7, MD5: []byte("0123456789abcdef")},
				About: sampleAbout(), If: op.ObjectCondition{Absent: true, ETag: "e"}}},
		{"ObjectStream", func(v any) []byte { return AppendObjectStream(nil, v.(uint32)) },
			func(data []byte) (any, error) { return DecodeObjectStream(data) },
			func(o oracle) any { return uint32(o.uint("stream")) }, uint32(9)},
		{"ObjectWrite", func(v any) []byte { w := v.(ObjectWrite); return AppendObjectWrite(nil, &w) },
			func(data []byte) (any, error) { return DecodeObjectWrite(data) },
			func(o oracle) any { return ObjectWrite{uint32(o.uint("stream")), o.bytes("data")} },
			ObjectWrite{9, []byte("data\xff")}},
		{"ObjectList", func(v any) []byte { l := v.(ObjectList); return AppendObjectList(nil, &l) },
			func(data []byte) (any, error) { return DecodeObjectList(data) },
			func(o oracle) any {
				return ObjectList{o.text("bucket"), op.ObjectQuery{Prefix: o.text("prefix"), Delimiter: o.text("delimiter"), After: o.text("after"),
					Token: o.text("token"), Limit: o.uint("limit")}}
			},
			ObjectList{"pics", op.ObjectQuery{Prefix: "a/", Delimiter: "/", After: "a/b", Token: "t", Limit: 7}}},
		{"ObjectCopy", func(v any) []byte { c := v.(copied); return AppendObjectCopy(nil, c.request()) },
			func(data []byte) (any, error) {
				c, err := DecodeObjectCopy(data)
				return copiedOf(c), err
			},
			func(o oracle) any {
				c := op.ObjectCopy{Name: op.ObjectName{Bucket: o.text("bucket"), Key: o.text("key")},
					From:    op.ObjectName{Bucket: o.text("from_bucket"), Key: o.text("from_key")},
					FromTag: o.text("from_match"), If: op.ObjectCondition{Absent: o.flag("if_absent"), ETag: o.text("if_match")}}
				if o.Has(o.field("about")) {
					about := o.about("about")
					c.About = &about
				}
				return copiedOf(c)
			},
			copied{op.ObjectCopy{Name: op.ObjectName{Bucket: "pics", Key: "a"}, From: op.ObjectName{Bucket: "old", Key: "b"}, FromTag: "f",
				If: op.ObjectCondition{Absent: true, ETag: "e"}}, sampleAbout(), true}},
		{"ObjectDelete", func(v any) []byte { d := v.(ObjectDelete); return AppendObjectDelete(nil, &d) },
			func(data []byte) (any, error) { return DecodeObjectDelete(data) },
			func(o oracle) any { return ObjectDelete{o.text("bucket"), o.texts("keys"), o.text("if_match")} },
			ObjectDelete{"pics", []string{"a", "", "b\xff"}, "e"}},
		{"ObjectInfo", func(v any) []byte { i := v.(op.ObjectInfo); return AppendObjectInfo(nil, &i) },
			func(data []byte) (any, error) { return DecodeObjectInfo(data) },
			func(o oracle) any { return o.info() }, sampleInfo()},
		{"ObjectOpened", func(v any) []byte { r := v.(ObjectOpened); return AppendObjectOpened(nil, &r) },
			func(data []byte) (any, error) { return DecodeObjectOpened(data) },
			func(o oracle) any {
				return ObjectOpened{uint32(o.uint("stream")), o.int("first"), o.int("length"), o.message("info").info()}
			},
			ObjectOpened{1, 2, 1 << 40, sampleInfo()}},
		{"ObjectPage", func(v any) []byte { p := v.(op.ObjectPage); return AppendObjectPage(nil, &p) },
			func(data []byte) (any, error) { return DecodeObjectPage(data) },
			func(o oracle) any {
				p := op.ObjectPage{Prefixes: o.texts("prefixes"), Token: o.text("token")}
				for _, m := range o.messages("objects") {
					p.Objects = append(p.Objects, m.info())
				}
				return p
			},
			op.ObjectPage{Objects: []op.ObjectInfo{{}, sampleInfo()}, Prefixes: []string{"a/", "b/"}, Token: "t"}},
		{"ObjectDeleted", func(v any) []byte { return AppendObjectDeleted(nil, v.(bool)) },
			func(data []byte) (any, error) { return DecodeObjectDeleted(data) },
			func(o oracle) any { return o.flag("found") }, true},
	}
}

// copied is a copy without a pointer.
type copied struct {
	op.ObjectCopy
	about op.ObjectAbout
	given bool
}

func copiedOf(c op.ObjectCopy) (all copied) {
	if c.About != nil {
		all.about, all.given = *c.About, true
	}
	c.About = nil
	all.ObjectCopy = c
	return all
}

func (c copied) request() *op.ObjectCopy {
	if c.given {
		c.About = &c.about
	}
	return &c.ObjectCopy
}

func (o oracle) message(name string) oracle {
	return oracle{o.Get(o.field(name)).Message().Interface().(*dynamicpb.Message)}
}

func (o oracle) about(name string) (a op.ObjectAbout) {
	m := o.message(name)
	a.Headers = op.ObjectHeaders{ContentType: m.text("content_type"), CacheControl: m.text("cache_control"),
		ContentDisposition: m.text("content_disposition"), ContentEncoding: m.text("content_encoding"),
		ContentLanguage: m.text("content_language"), Expires: m.text("expires")}
	for _, f := range m.fields("metadata") {
		if a.Metadata == nil {
			a.Metadata = map[string]string{}
		}
		a.Metadata[f.Name] = f.Value
	}
	return a
}

func (o oracle) info() op.ObjectInfo {
	return op.ObjectInfo{Bucket: o.text("bucket"), Key: o.text("key"), ID: o.text("id"), Size: o.int("size"), ETag: o.text("etag"),
		Modified: moment(o.int("modified_unix_ms")), Parts: o.uint("parts"), About: o.about("about")}
}

func TestObjectMessages(t *testing.T) { checkMessages(t, objectMessages()) }

func FuzzDecodeObjectName(f *testing.F)    { fuzzKV(f, "ObjectName") }
func FuzzDecodeObjectOpen(f *testing.F)    { fuzzKV(f, "ObjectOpen") }
func FuzzDecodeObjectCreate(f *testing.F)  { fuzzKV(f, "ObjectCreate") }
func FuzzDecodeObjectStream(f *testing.F)  { fuzzKV(f, "ObjectStream") }
func FuzzDecodeObjectWrite(f *testing.F)   { fuzzKV(f, "ObjectWrite") }
func FuzzDecodeObjectList(f *testing.F)    { fuzzKV(f, "ObjectList") }
func FuzzDecodeObjectCopy(f *testing.F)    { fuzzKV(f, "ObjectCopy") }
func FuzzDecodeObjectDelete(f *testing.F)  { fuzzKV(f, "ObjectDelete") }
func FuzzDecodeObjectInfo(f *testing.F)    { fuzzKV(f, "ObjectInfo") }
func FuzzDecodeObjectOpened(f *testing.F)  { fuzzKV(f, "ObjectOpened") }
func FuzzDecodeObjectPage(f *testing.F)    { fuzzKV(f, "ObjectPage") }
func FuzzDecodeObjectDeleted(f *testing.F) { fuzzKV(f, "ObjectDeleted") }

func TestObjectDecodeLimits(t *testing.T) {
	most, over := []byte(field(15, strings.Repeat("x", MaxObjectRequestBytes-5))), make([]byte, MaxObjectRequestBytes+1)
	metadata := func(n int) []byte {
		return AppendObjectCreate(nil, &op.ObjectPut{About: op.ObjectAbout{Metadata: map[string]string{"name": strings.Repeat("x", n)}}})
	}
	name := func(b []byte) error { _, err := DecodeObjectName(b); return err }
	open := func(b []byte) error { _, err := DecodeObjectOpen(b); return err }
	create := func(b []byte) error { _, err := DecodeObjectCreate(b); return err }
	write := func(b []byte) error { _, err := DecodeObjectWrite(b); return err }
	remove := func(b []byte) error { _, err := DecodeObjectDelete(b); return err }
	chunk := func(n int) []byte { return AppendObjectWrite(nil, &ObjectWrite{1<<32 - 1, make([]byte, n)}) }
	for _, tt := range []struct {
		name   string
		data   []byte
		decode func([]byte) error
		code   Code // empty: it is read
		say    string
	}{
		{"chunk", chunk(MaxObjectChunkBytes), write, "", ""},
		{"long chunk", chunk(MaxObjectChunkBytes + 1), write, TooLarge, "1048576 bytes of a chunk"},
		{"keys", many(deleteKeys, op.MaxObjectDeletes), remove, "", ""},
		{"many keys", many(deleteKeys, op.MaxObjectDeletes+1), remove, TooLarge, "1000 keys"},
		{"metadata", metadata(op.MaxObjectMetadataBytes - 4), create, "", ""},
		{"long metadata", metadata(2 * op.MaxObjectMetadataBytes), create, TooLarge, "2048 bytes of metadata"},
		{"longest", most, open, "", ""},
		{"long name", over, name, TooLarge, "1114112 bytes"},
		{"long create", over, create, TooLarge, "1114112 bytes"},
		{"cut name", []byte("\x0a\x05a"), name, InvalidInput, "malformed"},
		{"cut about", []byte(field(createAbout, "\x0a\x05a")), create, InvalidInput, "malformed"},
		{"cut metadata", []byte(field(createAbout, field(aboutMetadata, "\x0a\x05a"))), create, InvalidInput, "malformed"},
	} {
		err := tt.decode(tt.data)
		if CodeOf(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.say) {
			t.Errorf("%s: %v (%s), want %q (%s)", tt.name, err, CodeOf(err), tt.say, tt.code)
		}
	}
	d := ObjectDelete{Bucket: strings.Repeat("b", 63)}
	for range op.MaxObjectDeletes {
		d.Keys = append(d.Keys, strings.Repeat("k", op.MaxObjectKeyBytes))
	}
	if err := remove(AppendObjectDelete(nil, &d)); err != nil {
		t.Errorf("the longest deletion: %v", err)
	}
}

func TestObjectErrors(t *testing.T) {
	others := coded(map[Code]error{
		InvalidInput: op.ErrInvalid, TooLarge: op.ErrTooLarge, NotFound: op.ErrNoObject, NoSpace: op.ErrQuota,
		Conflict: op.ErrUnavailable, Unavailable: op.ErrUnavailable, Timeout: context.DeadlineExceeded, Unsupported: ErrNoObjects,
	})
	others[fmt.Errorf("%w: %w", op.ErrNoObject, op.ErrPrecondition)] = op.ErrPrecondition // a condition on what is not there
	numbers{ObjectErrorNumber, ObjectError, lastObjectError}.check(t, []error{
		op.ErrPrecondition, op.ErrInvalid, op.ErrTooLarge, op.ErrNoBucket, op.ErrNoObject, ErrNoRange, op.ErrQuota,
		op.ErrUnavailable, op.ErrUnknown, ErrNoStream, ErrObjectStreams, ErrNoObjects, ErrObjectCalls, context.DeadlineExceeded, ErrObjectFailed,
	}, others)
}

func TestObjectAllocations(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 1000)
	for _, tt := range []struct {
		name string
		want float64
		run  func()
	}{
		{"AppendObjectWrite into nothing", 1, func() { AppendObjectWrite(nil, &ObjectWrite{1, data}) }},
		{"DecodeObjectStream", 0, func() { _, _ = DecodeObjectStream([]byte{8, 1}) }},
	} {
		if got := testing.AllocsPerRun(100, tt.run); got > tt.want {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.want)
		}
	}
}
