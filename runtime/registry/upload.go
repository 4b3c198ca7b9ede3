package registry

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sett-run/sett/kv/op"
)

// What a function may be told of a bucket's objects, in S3's words.
const (
	UploadCreated = "s3:ObjectCreated:*" // the default
	UploadRemoved = "s3:ObjectRemoved:*"
)

// UploadEvents are the values of UploadSource.Event.
func UploadEvents() []string {
	return []string{UploadCreated, "s3:ObjectCreated:Put", "s3:ObjectCreated:Post", "s3:ObjectCreated:Copy",
		"s3:ObjectCreated:CompleteMultipartUpload", UploadRemoved, "s3:ObjectRemoved:Delete"}
}

// UploadSource tells a function what becomes of a bucket's objects. What several of a bucket want is told once.
type UploadSource struct {
	Bucket   string `json:"bucket"`
	Event    string `json:"event,omitempty"`    // one of UploadEvents; empty: UploadCreated
	Prefix   string `json:"prefix,omitempty"`   // that keys begin with
	Suffix   string `json:"suffix,omitempty"`   // that keys end in
	Existing bool   `json:"existing,omitempty"` // the bucket must be there; else a deployment makes it
}

// Wants says whether u's event and rules let an event by. Its bucket is not looked at.
func (u UploadSource) Wants(e op.ObjectEvent) bool {
	if u.Event == "" {
		u.Event = UploadCreated
	}
	family, all := strings.CutSuffix(u.Event, "*")
	named := "s3:"+e.Name == u.Event || all && strings.HasPrefix("s3:"+e.Name, family)
	return named && strings.HasPrefix(e.Key, u.Prefix) && strings.HasSuffix(e.Key, u.Suffix)
}

// HasRules says whether not every key is let by: then a function that writes into the bucket is told of what it has
// written itself, if the rules let that by.
func (u UploadSource) HasRules() bool { return u.Prefix != "" || u.Suffix != "" }

// String is for people: "pics s3:ObjectCreated:* prefix in/ suffix .jpg".
func (u UploadSource) String() string {
	if u.Event == "" {
		u.Event = UploadCreated
	}
	text := u.Bucket + " " + u.Event
	if u.Prefix != "" {
		text += " prefix " + u.Prefix
	}
	if u.Suffix != "" {
		text += " suffix " + u.Suffix
	}
	return text
}

func (u UploadSource) complete() *UploadSource {
	if u.Event == "" {
		u.Event = UploadCreated
	}
	return &u
}

func (u *UploadSource) validate(faults *faults) {
	if err := op.ValidateBucket(u.Bucket); err != nil {
		faults.add("upload: %w", err)
	}
	if u.Event != "" && !slices.Contains(UploadEvents(), u.Event) {
		faults.add("upload %.80s: event %.80q; it is one of %s", u.Bucket, u.Event, strings.Join(UploadEvents(), ", "))
	}
	for _, rule := range [][2]string{{"prefix", u.Prefix}, {"suffix", u.Suffix}} {
		if text := rule[1]; len(text) > op.MaxObjectKeyBytes || !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			faults.add("upload %.80s: %s %.80q is no part of a key, which has at most %d bytes", u.Bucket, rule[0], text, op.MaxObjectKeyBytes)
		}
	}
}

// Uploads are the upload sources of f's live versions by bucket. Where several versions name a bucket, the heaviest says
// what of it is wanted.
func (f *Function) Uploads() map[string][]UploadSource {
	all := map[string][]UploadSource{}
	for _, v := range f.Live() {
		own := map[string][]UploadSource{}
		for _, t := range v.Settings.Triggers {
			if t.Upload != nil && all[t.Upload.Bucket] == nil {
				own[t.Upload.Bucket] = append(own[t.Upload.Bucket], *t.Upload)
			}
		}
		for bucket, sources := range own {
			all[bucket] = sources
		}
	}
	return all
}
