package abi

import "github.com/sett-run/sett/kv/op"

// ObjectOpened is an object that is open.
type ObjectOpened struct {
	Stream uint32 // to be read, and closed; 1 or more
	First  int64  // number of the first byte that comes
	Length int64  // bytes that come
	Info   op.ObjectInfo
}

// Field numbers of ObjectInfo, ObjectOpened, ObjectPage and ObjectDeleted.
const (
	infoBucket   = 1
	infoKey      = 2
	infoID       = 3
	infoSize     = 4
	infoETag     = 5
	infoModified = 6
	infoParts    = 7
	infoAbout    = 8

	openedStream = 1
	openedFirst  = 2
	openedLength = 3
	openedInfo   = 4

	objectsObjects  = 1
	objectsPrefixes = 2
	objectsToken    = 3

	deletedFound = 1
)

// AppendObjectInfo appends the wire form of i to dst and answers the longer slice. Times are cut to whole milliseconds.
func AppendObjectInfo(dst []byte, i *op.ObjectInfo) []byte {
	b := appendBytes(dst, infoBucket, i.Bucket)
	b = appendBytes(b, infoKey, i.Key)
	b = appendBytes(b, infoID, i.ID)
	b = appendInt(b, infoSize, uint64(i.Size))
	b = appendBytes(b, infoETag, i.ETag)
	b = appendMoment(b, infoModified, i.Modified)
	b = appendInt(b, infoParts, uint64(uint32(max(0, i.Parts))))
	return appendMessage(b, infoAbout, &i.About, appendObjectAbout, 0, nil)
}

// DecodeObjectInfo reads what is known of an object.
func DecodeObjectInfo(data []byte) (i op.ObjectInfo, err error) {
	err = decodeObjectInfo(data, &i)
	return i, err
}

func decodeObjectInfo(data []byte, i *op.ObjectInfo) error {
	return eachField(data, func(t token) (err error) {
		switch t.is() {
		case lengthy(infoBucket):
			i.Bucket = string(data[t.from:t.next])
		case lengthy(infoKey):
			i.Key = string(data[t.from:t.next])
		case lengthy(infoID):
			i.ID = string(data[t.from:t.next])
		case varint(infoSize):
			i.Size = int64(t.value)
		case lengthy(infoETag):
			i.ETag = string(data[t.from:t.next])
		case varint(infoModified):
			i.Modified = moment(int64(t.value))
		case varint(infoParts):
			i.Parts = int(uint32(t.value))
		case lengthy(infoAbout):
			err = decodeObjectAbout(data[t.from:t.next], &i.About)
		}
		return err
	})
}

// AppendObjectOpened appends the wire form of o to dst and answers the longer slice.
func AppendObjectOpened(dst []byte, o *ObjectOpened) []byte {
	b := appendInt(dst, openedStream, uint64(o.Stream))
	b = appendInt(b, openedFirst, uint64(o.First))
	b = appendInt(b, openedLength, uint64(o.Length))
	return appendMessage(b, openedInfo, &o.Info, AppendObjectInfo, 0, nil)
}

// DecodeObjectOpened reads what an object that is open is.
func DecodeObjectOpened(data []byte) (o ObjectOpened, err error) {
	err = eachField(data, func(t token) (err error) {
		switch t.is() {
		case varint(openedStream):
			o.Stream = uint32(t.value)
		case varint(openedFirst):
			o.First = int64(t.value)
		case varint(openedLength):
			o.Length = int64(t.value)
		case lengthy(openedInfo):
			err = decodeObjectInfo(data[t.from:t.next], &o.Info)
		}
		return err
	})
	return o, err
}

// AppendObjectPage appends the wire form of p to dst and answers the longer slice.
func AppendObjectPage(dst []byte, p *op.ObjectPage) []byte {
	for i := range p.Objects {
		dst = appendMessage(dst, objectsObjects, &p.Objects[i], AppendObjectInfo, 0, nil)
	}
	for _, prefix := range p.Prefixes {
		dst = appendItem(dst, objectsPrefixes, prefix)
	}
	return appendBytes(dst, objectsToken, p.Token)
}

// DecodeObjectPage reads a page of objects; it does not know what comes last.
func DecodeObjectPage(data []byte) (p op.ObjectPage, err error) {
	err = eachField(data, func(t token) error {
		switch t.is() {
		case lengthy(objectsObjects):
			i, err := DecodeObjectInfo(data[t.from:t.next])
			p.Objects = append(p.Objects, i)
			return err
		case lengthy(objectsPrefixes):
			p.Prefixes = append(p.Prefixes, string(data[t.from:t.next]))
		case lengthy(objectsToken):
			p.Token = string(data[t.from:t.next])
		}
		return nil
	})
	return p, err
}

// AppendObjectDeleted appends the wire form of whether an object was there to dst and answers the longer slice.
func AppendObjectDeleted(dst []byte, found bool) []byte { return appendFlag(dst, deletedFound, found) }

// DecodeObjectDeleted reads whether an object was there.
func DecodeObjectDeleted(data []byte) (found bool, err error) {
	err = eachField(data, func(t token) error {
		if t.is() == varint(deletedFound) {
			found = t.value != 0
		}
		return nil
	})
	return found, err
}
