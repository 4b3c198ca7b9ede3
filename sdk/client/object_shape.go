package client

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// ObjectHeader carries what is known of an object beside its bytes, as JSON without any but ASCII characters: in a PUT
// op.ObjectAbout, in the answer to a GET or HEAD op.ObjectInfo.
const ObjectHeader = "Sett-Object"

// ObjectText is v as it stands in ObjectHeader.
func ObjectText(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode object: %w", err)
	}
	var b strings.Builder
	for _, r := range string(text) {
		switch {
		case r < 0x7f: // which a header cannot have
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return b.String(), nil
}

// BucketRequest says what a bucket is to be like.
type BucketRequest struct {
	Events bool `json:"events"` // what becomes of its objects is told to triggers
}

// BucketList is the response that lists buckets by name.
type BucketList struct {
	Buckets []op.Bucket `json:"buckets"`
}

// BucketInfo is a bucket and what it holds.
type BucketInfo struct {
	Name    string         `json:"name"`
	Created time.Time      `json:"created"`
	Events  bool           `json:"events"`
	Usage   op.ObjectUsage `json:"usage"`
}

// CopyRequest asks for an object that is as another one of the same app.
type CopyRequest struct {
	Key        string `json:"key"`
	FromBucket string `json:"from_bucket,omitempty"` // empty: the same
	FromKey    string `json:"from_key"`
}

// DeleteRequest names objects to delete.
type DeleteRequest struct {
	Keys []string `json:"keys"`
}

// DeletedResponse says whether there was an object.
type DeletedResponse struct {
	Found bool `json:"found"`
}
