package events

import (
	"strings"
	"time"
)

// Upload is what became of an object: the event s3. It has one record.
type Upload struct {
	Records []UploadRecord `json:"Records"`
}

// UploadRecord says what became of an object.
type UploadRecord struct {
	Version  string            `json:"eventVersion"`
	Source   string            `json:"eventSource"` // "aws:s3"
	Region   string            `json:"awsRegion"`
	Time     time.Time         `json:"eventTime"`
	Name     string            `json:"eventName"` // ObjectCreated:Put, ObjectRemoved:Delete, ...
	User     UploadUser        `json:"userIdentity"`
	Response map[string]string `json:"responseElements"`
	S3       UploadEntity      `json:"s3"`
}

// UploadUser is who did it: of a function, function:NAME.
type UploadUser struct {
	ID string `json:"principalId"`
}

// UploadEntity is the object, and the bucket it is in.
type UploadEntity struct {
	SchemaVersion   string       `json:"s3SchemaVersion"`
	ConfigurationID string       `json:"configurationId"` // the function that is told
	Bucket          UploadBucket `json:"bucket"`
	Object          UploadObject `json:"object"`
}

// UploadBucket is a bucket.
type UploadBucket struct {
	Name  string     `json:"name"`
	Owner UploadUser `json:"ownerIdentity"`
	ARN   string     `json:"arn"`
}

// UploadObject is an object as it became. Of one that was removed there are the key and the sequencer alone.
type UploadObject struct {
	Key       string `json:"key"` // escaped as in a form; see UploadRecord.Key
	Size      int64  `json:"size"`
	ETag      string `json:"eTag"`
	Sequencer string `json:"sequencer"` // as text, higher for what happened later to the same key
}

// ID names the event: one that comes again has the same.
func (r *UploadRecord) ID() string { return r.Response["x-amz-request-id"] }

// Bucket is the name of the bucket that the object is in.
func (r *UploadRecord) Bucket() string { return r.S3.Bucket.Name }

// Key is the object's key.
func (r *UploadRecord) Key() string { return unescape(r.S3.Object.Key) }

// Removed says whether the object is gone.
func (r *UploadRecord) Removed() bool { return strings.HasPrefix(r.Name, "ObjectRemoved:") }

// unescape reads what is escaped as in a form. What is not stays as it is. Package net/url would make a module larger.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%' && i+2 < len(s) && digit(s[i+1]) >= 0 && digit(s[i+2]) >= 0:
			b.WriteByte(byte(digit(s[i+1])<<4 | digit(s[i+2])))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// digit is the value of a hexadecimal digit, or -1.
func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
