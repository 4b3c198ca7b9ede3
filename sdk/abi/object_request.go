package abi

import (
	"maps"
	"slices"

	"github.com/sett-run/sett/kv/op"
)

// ObjectOpen asks for bytes of an object.
type ObjectOpen struct {
	Bucket, Key string
	// First is the number of the first byte, from 0. When it is negative, as many bytes are asked for, the last ones, or all
	// when there are fewer.
	First  int64
	Length int64  // in bytes, cut to what is there; 0: to the end
	ETag   string // that the object must have; empty: any
}

// ObjectWrite is a chunk of a new object, at most MaxObjectChunkBytes.
type ObjectWrite struct {
	Stream uint32
	Data   []byte
}

// ObjectList asks for a page of a bucket's objects.
type ObjectList struct {
	Bucket string
	op.ObjectQuery
}

// ObjectDelete asks to delete objects.
type ObjectDelete struct {
	Bucket string
	Keys   []string
	ETag   string // that the object must have, when it is one; empty: any
}

// Field numbers of the requests of object calls, and of ObjectAbout. In all that name an object, bucket and key are the
// first two.
const (
	objectBucket = 1
	objectKey    = 2

	openFirst  = 3
	openLength = 4
	openETag   = 5

	createSized  = 3
	createSize   = 4
	createMD5    = 5
	createAbout  = 6
	createAbsent = 7
	createETag   = 8

	streamNumber = 1
	writeData    = 2

	listPrefix    = 2
	listDelimiter = 3
	listAfter     = 4
	listToken     = 5
	listLimit     = 6

	copyFromBucket = 3
	copyFromKey    = 4
	copyFromETag   = 5
	copyAbout      = 6
	copyAbsent     = 7
	copyETag       = 8

	deleteKeys = 2
	deleteETag = 3

	aboutType        = 1
	aboutCache       = 2
	aboutDisposition = 3
	aboutEncoding    = 4
	aboutLanguage    = 5
	aboutExpires     = 6
	aboutMetadata    = 7
)

// AppendObjectName appends the wire form of the name of an object of the guest's app to dst and answers the longer slice.
func AppendObjectName(dst []byte, bucket, key string) []byte {
	b := appendBytes(grow(dst, 16+len(bucket)+len(key)), objectBucket, bucket)
	return appendBytes(b, objectKey, key)
}

// DecodeObjectName reads the name of an object, which has no app.
func DecodeObjectName(data []byte) (n op.ObjectName, err error) {
	err = eachWithin(MaxObjectRequestBytes, data, func(t token) error {
		decodeObjectName(data, t, &n)
		return nil
	})
	return n, err
}

func decodeObjectName(data []byte, t token, n *op.ObjectName) {
	switch t.is() {
	case lengthy(objectBucket):
		n.Bucket = string(data[t.from:t.next])
	case lengthy(objectKey):
		n.Key = string(data[t.from:t.next])
	}
}

// AppendObjectOpen appends the wire form of o to dst and answers the longer slice.
func AppendObjectOpen(dst []byte, o *ObjectOpen) []byte {
	b := AppendObjectName(dst, o.Bucket, o.Key)
	b = appendInt(b, openFirst, zigzag(o.First))
	b = appendInt(b, openLength, uint64(o.Length))
	return appendBytes(b, openETag, o.ETag)
}

// DecodeObjectOpen reads which bytes are asked for.
func DecodeObjectOpen(data []byte) (o ObjectOpen, err error) {
	var n op.ObjectName
	err = eachWithin(MaxObjectRequestBytes, data, func(t token) error {
		switch t.is() {
		case varint(openFirst):
			o.First = unzigzag(t.value)
		case varint(openLength):
			o.Length = int64(t.value)
		case lengthy(openETag):
			o.ETag = string(data[t.from:t.next])
		default:
			decodeObjectName(data, t, &n)
		}
		return nil
	})
	o.Bucket, o.Key = n.Bucket, n.Key
	return o, err
}

// AppendObjectCreate appends the wire form of a put, without app and body, to dst and answers the longer slice.
func AppendObjectCreate(dst []byte, p *op.ObjectPut) []byte {
	b := AppendObjectName(dst, p.Name.Bucket, p.Name.Key)
	if p.Body.Size >= 0 {
		b = appendInt(appendFlag(b, createSized, true), createSize, uint64(p.Body.Size))
	}
	b = appendBytes(b, createMD5, p.Body.MD5)
	b = appendMessage(b, createAbout, &p.About, appendObjectAbout, 0, nil)
	b = appendFlag(b, createAbsent, p.If.Absent)
	return appendBytes(b, createETag, p.If.ETag)
}

// DecodeObjectCreate reads a put, which has neither app nor body.
func DecodeObjectCreate(data []byte) (p op.ObjectPut, err error) {
	sized := false
	err = eachWithin(MaxObjectRequestBytes, data, func(t token) (err error) {
		switch t.is() {
		case varint(createSized):
			sized = t.value != 0
		case varint(createSize):
			p.Body.Size = max(0, int64(t.value))
		case lengthy(createMD5):
			p.Body.MD5 = slices.Clone(data[t.from:t.next])
		case lengthy(createAbout):
			err = decodeObjectAbout(data[t.from:t.next], &p.About)
		case varint(createAbsent):
			p.If.Absent = t.value != 0
		case lengthy(createETag):
			p.If.ETag = string(data[t.from:t.next])
		default:
			decodeObjectName(data, t, &p.Name)
		}
		return err
	})
	if !sized {
		p.Body.Size = op.Unsized
	}
	return p, err
}

func appendObjectAbout(b []byte, a *op.ObjectAbout) []byte {
	b = appendBytes(b, aboutType, a.Headers.ContentType)
	b = appendBytes(b, aboutCache, a.Headers.CacheControl)
	b = appendBytes(b, aboutDisposition, a.Headers.ContentDisposition)
	b = appendBytes(b, aboutEncoding, a.Headers.ContentEncoding)
	b = appendBytes(b, aboutLanguage, a.Headers.ContentLanguage)
	b = appendBytes(b, aboutExpires, a.Headers.Expires)
	for _, name := range slices.Sorted(maps.Keys(a.Metadata)) {
		b = appendFields(b, aboutMetadata, []Field{{Name: name, Value: a.Metadata[name]}})
	}
	return b
}

// decodeObjectAbout reads into a, as one message that stands in several pieces is read.
func decodeObjectAbout(data []byte, a *op.ObjectAbout) error {
	headers := [...]*string{aboutType: &a.Headers.ContentType, aboutCache: &a.Headers.CacheControl,
		aboutDisposition: &a.Headers.ContentDisposition, aboutEncoding: &a.Headers.ContentEncoding,
		aboutLanguage: &a.Headers.ContentLanguage, aboutExpires: &a.Headers.Expires}
	size := 0
	return eachField(data, func(t token) error {
		switch {
		case t.wire == wireBytes && t.field <= aboutExpires:
			*headers[t.field] = string(data[t.from:t.next])
		case t.is() == lengthy(aboutMetadata):
			f, ok := decodeField(string(data[t.from:t.next]))
			if !ok {
				return malformed()
			}
			if size += 1 + len(f.Name) + len(f.Value); size > 2*op.MaxObjectMetadataBytes {
				return overLimit(op.MaxObjectMetadataBytes, "bytes of metadata")
			}
			if a.Metadata == nil {
				a.Metadata = make(map[string]string)
			}
			a.Metadata[f.Name] = f.Value
		}
		return nil
	})
}

// AppendObjectStream appends the wire form of the number of a stream to dst and answers the longer slice.
func AppendObjectStream(dst []byte, stream uint32) []byte {
	return appendInt(grow(dst, 8), streamNumber, uint64(stream))
}

// DecodeObjectStream reads which stream is meant.
func DecodeObjectStream(data []byte) (stream uint32, err error) {
	err = eachWithin(MaxObjectRequestBytes, data, func(t token) error {
		if t.is() == varint(streamNumber) {
			stream = uint32(t.value)
		}
		return nil
	})
	return stream, err
}

// AppendObjectWrite appends the wire form of w to dst and answers the longer slice.
func AppendObjectWrite(dst []byte, w *ObjectWrite) []byte {
	return appendBytes(appendInt(grow(dst, 16+len(w.Data)), streamNumber, uint64(w.Stream)), writeData, w.Data)
}

// DecodeObjectWrite reads a chunk, which is part of data, and holds it to its limit.
func DecodeObjectWrite(data []byte) (w ObjectWrite, err error) {
	err = eachWithin(MaxObjectRequestBytes, data, func(t token) error {
		switch t.is() {
		case varint(streamNumber):
			w.Stream = uint32(t.value)
		case lengthy(writeData):
			w.Data = data[t.from:t.next:t.next]
		}
		return nil
	})
	if err == nil && len(w.Data) > MaxObjectChunkBytes {
		err = overLimit(MaxObjectChunkBytes, "bytes of a chunk")
	}
	return w, err
}

// AppendObjectList appends the wire form of l to dst and answers the longer slice.
func AppendObjectList(dst []byte, l *ObjectList) []byte {
	b := appendBytes(grow(dst, 64+len(l.Bucket)+len(l.Prefix)+len(l.Delimiter)+len(l.After)+len(l.Token)), objectBucket, l.Bucket)
	b = appendBytes(b, listPrefix, l.Prefix)
	b = appendBytes(b, listDelimiter, l.Delimiter)
	b = appendBytes(b, listAfter, l.After)
	b = appendBytes(b, listToken, l.Token)
	return appendInt(b, listLimit, uint64(uint32(max(0, l.Limit))))
}

// DecodeObjectList reads which objects are asked for.
func DecodeObjectList(data []byte) (l ObjectList, err error) {
	err = eachWithin(MaxObjectRequestBytes, data, func(t token) error {
		switch t.is() {
		case lengthy(objectBucket):
			l.Bucket = string(data[t.from:t.next])
		case lengthy(listPrefix):
			l.Prefix = string(data[t.from:t.next])
		case lengthy(listDelimiter):
			l.Delimiter = string(data[t.from:t.next])
		case lengthy(listAfter):
			l.After = string(data[t.from:t.next])
		case lengthy(listToken):
			l.Token = string(data[t.from:t.next])
		case varint(listLimit):
			l.Limit = int(uint32(t.value))
		}
		return nil
	})
	return l, err
}

// AppendObjectCopy appends the wire form of a copy, without apps, to dst and answers the longer slice.
func AppendObjectCopy(dst []byte, c *op.ObjectCopy) []byte {
	b := AppendObjectName(dst, c.Name.Bucket, c.Name.Key)
	b = appendBytes(b, copyFromBucket, c.From.Bucket)
	b = appendBytes(b, copyFromKey, c.From.Key)
	b = appendBytes(b, copyFromETag, c.FromTag)
	if c.About != nil {
		b = appendMessage(b, copyAbout, c.About, appendObjectAbout, 0, nil)
	}
	b = appendFlag(b, copyAbsent, c.If.Absent)
	return appendBytes(b, copyETag, c.If.ETag)
}

// DecodeObjectCopy reads a copy, which has no apps.
func DecodeObjectCopy(data []byte) (c op.ObjectCopy, err error) {
	err = eachWithin(MaxObjectRequestBytes, data, func(t token) error {
		switch t.is() {
		case lengthy(copyFromBucket):
			c.From.Bucket = string(data[t.from:t.next])
		case lengthy(copyFromKey):
			c.From.Key = string(data[t.from:t.next])
		case lengthy(copyFromETag):
			c.FromTag = string(data[t.from:t.next])
		case lengthy(copyAbout):
			if c.About == nil {
				c.About = new(op.ObjectAbout)
			}
			return decodeObjectAbout(data[t.from:t.next], c.About)
		case varint(copyAbsent):
			c.If.Absent = t.value != 0
		case lengthy(copyETag):
			c.If.ETag = string(data[t.from:t.next])
		default:
			decodeObjectName(data, t, &c.Name)
		}
		return nil
	})
	return c, err
}

// AppendObjectDelete appends the wire form of d to dst and answers the longer slice.
func AppendObjectDelete(dst []byte, d *ObjectDelete) []byte {
	n := 16 + len(d.Bucket) + len(d.ETag)
	for _, k := range d.Keys {
		n += 4 + len(k)
	}
	b := appendBytes(grow(dst, n), objectBucket, d.Bucket)
	for _, k := range d.Keys {
		b = appendItem(b, deleteKeys, k)
	}
	return appendBytes(b, deleteETag, d.ETag)
}

// DecodeObjectDelete reads which objects are to be deleted, and holds them to the limit of their number.
func DecodeObjectDelete(data []byte) (d ObjectDelete, err error) {
	err = eachWithin(MaxObjectRequestBytes, data, func(t token) error {
		switch t.is() {
		case lengthy(objectBucket):
			d.Bucket = string(data[t.from:t.next])
		case lengthy(deleteKeys):
			if len(d.Keys) == op.MaxObjectDeletes {
				return overLimit(op.MaxObjectDeletes, "keys")
			}
			d.Keys = append(d.Keys, string(data[t.from:t.next]))
		case lengthy(deleteETag):
			d.ETag = string(data[t.from:t.next])
		}
		return nil
	})
	return d, err
}
