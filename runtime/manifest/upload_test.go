package manifest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
)

// TestUploads reads buckets in every form, and what functions want of them.
func TestUploads(t *testing.T) {
	file := `buckets: {pics: {}}
functions:
  f:
    handler: f
    environment: {BUCKET: !Ref Photos, NAMED: !Ref Named}
    events:
      - s3: pics
      - s3: {bucket: !Ref Photos, event: 's3:ObjectRemoved:*', existing: true, forceDeploy: true}
      - s3: {bucket: arn:aws:s3:::named.bucket, rules: [{suffix: .jpg}, {prefix: in/}]}
      - s3: {bucket: photoz}
resources:
  buckets: {files: }
  Resources:
    Photos: {Type: AWS::S3::Bucket}
    Named: {Type: 'AWS::S3::Bucket', Properties: {BucketName: named.bucket, VersioningConfiguration: {Status: Enabled}}}
`
	app, err := Parse("sett.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"pics", "files", "photos", "named.bucket"}; !reflect.DeepEqual(app.Buckets, want) {
		t.Errorf("buckets = %q, want %q", app.Buckets, want)
	}
	var got []registry.UploadSource
	for _, trigger := range app.Functions[0].Settings.Triggers {
		got = append(got, *trigger.Upload)
	}
	want := []registry.UploadSource{{Bucket: "pics"}, {Bucket: "photos", Event: registry.UploadRemoved, Existing: true},
		{Bucket: "named.bucket", Prefix: "in/", Suffix: ".jpg"}, {Bucket: "photoz"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("triggers = %+v, want %+v", got, want)
	}
	if env := app.Functions[0].Settings.Env; env["BUCKET"] != "photos" || env["NAMED"] != "named.bucket" {
		t.Errorf("environment = %v", env)
	}
	noRules := " has no rules: what the function itself puts there does not invoke it; tell input from output by a prefix or a suffix"
	notes := strings.Join(app.Notes, "\n")
	for _, want := range []string{"functions.f.events.s3" + noRules + " sett.yaml:7:9", "functions.f.events.s3" + noRules + " sett.yaml:10:9",
		`functions.f.events.s3.bucket bucket "photoz" is declared nowhere here, did you mean photos?`,
		"functions.f.events.s3.forceDeploy has no effect here", "resources.Resources.Named.Properties.VersioningConfiguration has no effect here"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes are\n%s\nwant %q among them", notes, want)
		}
	}
	if len(app.Notes) != 5 {
		t.Errorf("%d notes:\n%s", len(app.Notes), notes)
	}
	_, compiled := readSchema(t)
	plain := strings.NewReplacer("!Ref Photos", "{Ref: Photos}", "!Ref Named", "{Ref: Named}").Replace(file)
	if err := compiled.Validate(plainDocument(t, plain)); err != nil {
		t.Error(err)
	}
}

func TestManyBuckets(t *testing.T) {
	file := "functions: {f: {handler: f}}\nbuckets:\n"
	for i := range MaxChannels + 1 {
		file += "  bucket" + strings.Repeat("a", i/26) + string(rune('a'+i%26)) + ":\n"
	}
	if _, err := Parse("sett.yaml", []byte(file)); err == nil || !strings.Contains(err.Error(), "more than 100 buckets sett.yaml:103:3") {
		t.Errorf("Parse of %d buckets: %v", MaxChannels+1, err)
	}
}
