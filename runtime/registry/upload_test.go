package registry

import (
	"reflect"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

func TestUploadWants(t *testing.T) {
	for _, tt := range []struct {
		source    UploadSource
		name, key string
		want      bool
	}{
		{UploadSource{}, "ObjectCreated:Put", "a", true},
		{UploadSource{}, "ObjectCreated:CompleteMultipartUpload", "a", true},
		{UploadSource{}, "ObjectRemoved:Delete", "a", false},
		{UploadSource{Event: UploadRemoved}, "ObjectRemoved:Delete", "a", true},
		{UploadSource{Event: "s3:ObjectCreated:Put"}, "ObjectCreated:Put", "a", true},
		{UploadSource{Event: "s3:ObjectCreated:Put"}, "ObjectCreated:Copy", "a", false},
		{UploadSource{Prefix: "in/", Suffix: ".png"}, "ObjectCreated:Put", "in/a.png", true},
		{UploadSource{Prefix: "in/", Suffix: ".png"}, "ObjectCreated:Put", "in/a.jpg", false},
		{UploadSource{Prefix: "in/", Suffix: ".png"}, "ObjectCreated:Put", "a.png", false},
		{UploadSource{Prefix: "a.png", Suffix: "png"}, "ObjectCreated:Put", "a.png", true},
	} {
		if got := tt.source.Wants(op.ObjectEvent{Name: tt.name, Key: tt.key}); got != tt.want {
			t.Errorf("%v wants %s %s: %v", tt.source, tt.name, tt.key, got)
		}
	}
}

// TestFunctionUploads has the heaviest version say what of a bucket is wanted.
func TestFunctionUploads(t *testing.T) {
	sources := func(u ...UploadSource) (s Settings) {
		for _, u := range u {
			s.Triggers = append(s.Triggers, Trigger{Upload: &u})
		}
		return s
	}
	f := Function{Aliases: map[string][]Weight{LiveAlias: {{Version: 2, Weight: 90}, {Version: 1, Weight: 10}}}, Versions: []Version{
		{Number: 1, Settings: sources(UploadSource{Bucket: "pics", Prefix: "old"}, UploadSource{Bucket: "files"})},
		{Number: 2, Settings: sources(UploadSource{Bucket: "pics", Prefix: "a"}, UploadSource{Bucket: "pics", Prefix: "b"})}}}
	want := map[string][]UploadSource{"pics": {{Bucket: "pics", Prefix: "a"}, {Bucket: "pics", Prefix: "b"}}, "files": {{Bucket: "files"}}}
	if got := f.Uploads(); !reflect.DeepEqual(got, want) {
		t.Errorf("Uploads() = %v, want %v", got, want)
	}
}
