package op

import (
	"errors"
	"io"
	"time"
)

// Limits of objects, those of S3 where it has them. Raising one makes records, and so entries of the log, larger.
const (
	MaxObjectKeyBytes      = 1024    // an object's key
	MaxObjectPutBytes      = 5 << 30 // an object put at once, and a part
	MaxObjectBytes         = 5 << 40 // an object put in parts
	MaxObjectMetadataBytes = 2 << 10 // names and values of an object's own metadata together
	MaxObjectHeaderBytes   = 4 << 10 // content type and the headers that are kept, together
	MaxObjectPage          = 1000    // objects and prefixes in a page
	MaxObjectDeletes       = 1000    // keys deleted at once
	MaxObjectTokenBytes    = 8 << 10 // a page's token
	MaxBuckets             = 1000    // of an app
)

// Errors of objects.
var (
	ErrNoBucket     = errors.New("bucket not found")
	ErrNoObject     = errors.New("object not found")
	ErrBucketExists = errors.New("bucket exists already")
	ErrNotEmpty     = errors.New("bucket is not empty")
	ErrPrecondition = errors.New("the object is not as the condition asks") // nothing was changed
)

// Bucket is where objects are.
type Bucket struct {
	Name    string    `cbor:"-" json:"name"`
	Created time.Time `cbor:"1,keyasint" json:"created"`          // in seconds
	Events  bool      `cbor:"2,keyasint,omitempty" json:"events"` // what becomes of its objects is told
}

// ObjectHeaders are HTTP headers that are kept with an object and come back with it.
type ObjectHeaders struct {
	ContentType        string `cbor:"1,keyasint,omitempty" json:"content_type,omitempty"`
	CacheControl       string `cbor:"2,keyasint,omitempty" json:"cache_control,omitempty"`
	ContentDisposition string `cbor:"3,keyasint,omitempty" json:"content_disposition,omitempty"`
	ContentEncoding    string `cbor:"4,keyasint,omitempty" json:"content_encoding,omitempty"`
	ContentLanguage    string `cbor:"5,keyasint,omitempty" json:"content_language,omitempty"`
	Expires            string `cbor:"6,keyasint,omitempty" json:"expires,omitempty"`
}

// ObjectAbout is what a caller says of an object.
type ObjectAbout struct {
	Headers  ObjectHeaders     `cbor:"1,keyasint,omitzero" json:"headers,omitzero"`
	Metadata map[string]string `cbor:"2,keyasint,omitempty" json:"metadata,omitempty"` // names in lower case
}

// ObjectName is where an object is.
type ObjectName struct {
	App, Bucket, Key string
}

// ObjectInfo is what is known of an object beside its bytes.
type ObjectInfo struct {
	Bucket   string      `json:"bucket"`
	Key      string      `json:"key"`
	ID       string      `json:"id"` // of this put of it; ids of later ones are higher, as far as clocks agree
	Size     int64       `json:"size"`
	ETag     string      `json:"etag"` // without quotes: MD5 of the bytes, or for an object put in parts, of their MD5s, with their number
	Modified time.Time   `json:"modified"`
	About    ObjectAbout `json:"about,omitzero"`
	Parts    int         `json:"parts,omitempty"` // it was put in; 0: at once
}

// ObjectBody is bytes that are to be kept.
type ObjectBody struct {
	Reader io.Reader // read to its end; an error of it is the call's
	Size   int64     // in bytes, or Unsized
	MD5    []byte    // of all of it; nil: nobody knows
}

// Unsized is the Size of a body that ends where it ends.
const Unsized = -1

// ObjectCondition is what must hold of an object, at the moment it is changed. The zero value holds always.
type ObjectCondition struct {
	Absent bool   // there is none
	ETag   string // it has this one, without quotes; there must be one
}

// ObjectPut asks for an object.
type ObjectPut struct {
	Name  ObjectName
	Body  ObjectBody
	About ObjectAbout
	If    ObjectCondition
}

// ObjectCopy asks for an object that is as another one of the same app is.
type ObjectCopy struct {
	Name    ObjectName   // of the new one
	From    ObjectName   // of the same app
	FromTag string       // ETag that the source must have; empty: whichever it has
	About   *ObjectAbout // of the new one; nil: as the source's
	If      ObjectCondition
}

// ObjectOrigin is the invocation that changed an object. The zero value: no function did.
type ObjectOrigin struct {
	Function string // of the object's app
	Depth    int    // how many functions and destinations led to the invocation
}

// ObjectEvent says what became of an object.
type ObjectEvent struct {
	Name     string // in S3's words: ObjectCreated:Put
	Bucket   string
	Key      string
	Size     int64  // 0 when the object was removed
	ETag     string // empty when the object was removed
	ObjectID string // of the put; of a removal, that which was removed
	Time     time.Time
	// ID names the event: one that comes again has the same.
	ID string
	// Sequencer is higher for what happened later to the same key, on whatever node; it is compared as text.
	Sequencer string
	Origin    ObjectOrigin // who did it
}

// ObjectQuery asks for a bucket's objects in ascending order of their keys' bytes.
type ObjectQuery struct {
	Prefix    string
	Delimiter string // keys that have it after the prefix are one common prefix, which ends with it
	After     string // only keys above this one, which need not be there; of the first page
	Token     string // of the page before
	Limit     int    // objects and prefixes; 0 and more than MaxObjectPage mean MaxObjectPage
}

// ObjectPage is a part of what was asked for. Objects and prefixes are each in order.
type ObjectPage struct {
	Objects  []ObjectInfo `json:"objects"`
	Prefixes []string     `json:"prefixes"`
	Token    string       `json:"cursor,omitempty"` // for the next page; empty: there is none
	Last     string       `json:"-"`                // key or prefix that comes last in the page
}

// ObjectQuota limits an app's objects; 0 means no limit.
type ObjectQuota struct {
	Objects int64 `cbor:"1,keyasint,omitempty" json:"objects"`
	Bytes   int64 `cbor:"2,keyasint,omitempty" json:"bytes"`
}

// ObjectUsage is what an app or a bucket holds.
type ObjectUsage struct {
	Objects int64       `json:"objects"`
	Bytes   int64       `json:"bytes"` // of an app, also those of uploads that are under way
	Quota   ObjectQuota `json:"quota"` // of the app
}
