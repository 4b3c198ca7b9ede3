package events_test

import (
	"encoding/json"
	"net/url"
	"reflect"
	"testing"
	"time"

	aws "github.com/aws/aws-lambda-go/events"
	"github.com/sett-run/sett/sdk/go/events"
)

func TestUploadIsAWS(t *testing.T) {
	at := time.UnixMilli(1795400000123).UTC()
	var ours events.Upload
	var theirs aws.S3Event
	decode(t, encoded(t, aws.S3Event{Records: []aws.S3EventRecord{{EventVersion: "2.1", EventSource: "aws:s3", AWSRegion: "eu", EventTime: at,
		EventName: "ObjectCreated:Put", PrincipalID: aws.S3UserIdentity{PrincipalID: "function:resize"}, ResponseElements: map[string]string{"x-amz-request-id": "e1"},
		S3: aws.S3Entity{SchemaVersion: "1.0", ConfigurationID: "thumb", Bucket: aws.S3Bucket{Name: "pics", OwnerIdentity: aws.S3UserIdentity{PrincipalID: "0"}, Arn: "arn:aws:s3:::pics"},
			Object: aws.S3Object{Key: "in/a+b%C3%A4.png", Size: 7, ETag: "e", Sequencer: "00A"}}}}}), &ours, &theirs)
	a := theirs.Records[0]
	want := events.UploadRecord{Version: a.EventVersion, Source: a.EventSource, Region: a.AWSRegion, Time: a.EventTime, Name: a.EventName,
		User: events.UploadUser{ID: a.PrincipalID.PrincipalID}, Response: a.ResponseElements,
		S3: events.UploadEntity{SchemaVersion: a.S3.SchemaVersion, ConfigurationID: a.S3.ConfigurationID,
			Bucket: events.UploadBucket{Name: a.S3.Bucket.Name, Owner: events.UploadUser{ID: "0"}, ARN: a.S3.Bucket.Arn},
			Object: events.UploadObject{Key: a.S3.Object.Key, Size: a.S3.Object.Size, ETag: a.S3.Object.ETag, Sequencer: a.S3.Object.Sequencer}}}
	r := ours.Records[0]
	if !reflect.DeepEqual(r, want) {
		t.Errorf("record = %+v, want %+v", r, want)
	}
	if r.Key() != a.S3.Object.URLDecodedKey || r.Key() != "in/a bä.png" || r.Bucket() != "pics" || r.ID() != "e1" || r.Removed() {
		t.Errorf("%q %q %q %v", r.Bucket(), r.Key(), r.ID(), r.Removed())
	}
	if gone := (&events.UploadRecord{Name: "ObjectRemoved:Delete"}); !gone.Removed() || gone.ID() != "" || gone.Key() != "" {
		t.Errorf("removed: %v %q %q", gone.Removed(), gone.ID(), gone.Key())
	}
}

func FuzzUpload(f *testing.F) {
	f.Add("in/a+b%C3%A4.png")
	f.Add("100%")
	f.Add("%4g+%")
	f.Fuzz(func(t *testing.T, key string) {
		text, err := json.Marshal(map[string]any{"Records": []any{map[string]any{"s3": map[string]any{"object": map[string]string{"key": key}}}}})
		if err != nil {
			t.Fatal(err)
		}
		var e events.Upload
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		key = e.Records[0].S3.Object.Key // what was no UTF-8 is another
		if want, err := url.QueryUnescape(key); err == nil && e.Records[0].Key() != want {
			t.Errorf("Key of %q = %q, want %q", key, e.Records[0].Key(), want)
		}
		r := events.UploadRecord{S3: events.UploadEntity{Object: events.UploadObject{Key: url.QueryEscape(key)}}}
		if r.Key() != key {
			t.Errorf("%q comes back as %q", key, r.Key())
		}
	})
}
