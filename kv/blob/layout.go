package blob

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// Keys in the namespace op.ObjectsOf(app). Bucket names hold no slash, object keys no zero byte.
//
//	b/<bucket>                   bucket
//	o/<bucket>/<key>             manifest of an object
//	u/<bucket>/<key> 0x00 <id>   upload that is under way
//	s/<id>/<number>              segment: what an object has too many chunks for, and each part of an upload. The id is
//	                             that of the put or upload; manifests of copies name it, too
//	z/<id>                       bytes of an upload's parts, decimal
//	n  n/<bucket>  t  t/<bucket> objects, and bytes, of the app and of a bucket, decimal; bytes of the app with those of
//	                             uploads
//	q                            quota
//	e/<id>                       event that nobody has settled
//
// In op.System there is appPrefix and the app's name for each app that ever had a bucket: the collector must not miss
// one.
const (
	bucketPrefix  = "b/"
	objectPrefix  = "o/"
	uploadPrefix  = "u/"
	segmentPrefix = "s/"
	partialPrefix = "z/"
	countKey      = "n"
	bytesKey      = "t"
	quotaKey      = "q"
	eventPrefix   = "e/"
)

func bucketKey(bucket string) string { return bucketPrefix + bucket }

func objectKey(bucket, key string) string { return objectPrefix + bucket + "/" + key }

func uploadKey(u Upload) string { return uploadPrefix + u.Bucket + "/" + u.Key + "\x00" + u.ID }

func segmentKey(id string, number int) string {
	return fmt.Sprintf("%s%s/%05d", segmentPrefix, id, number)
}

func countOf(bucket string) string { return countKey + "/" + bucket }

func bytesOf(bucket string) string { return bytesKey + "/" + bucket }

// appPrefix is before the names of apps with objects, in op.System.
const appPrefix = "objects/"

const idBytes = 16 // 8 of nanoseconds since 1970 and 8 of chance

// newID names a version of an object, an upload or an event, as 32 hexadecimal digits that ascend with time.
func newID(now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))
	var chance [8]byte
	rand.Read(chance[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(append(b, chance[:]...))
}

// timeOf is when an id was drawn. Of what is no id it is the beginning of 1970.
func timeOf(id string) time.Time {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != idBytes {
		return time.Unix(0, 0)
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(b)))
}

func isID(s string) bool {
	return len(s) == 2*idBytes && strings.Trim(s, "0123456789abcdef") == ""
}

func validate(app, bucket string) error {
	if err := op.ValidateApp(app); err != nil {
		return err
	}
	return op.ValidateBucket(bucket)
}
