package manifest

import "github.com/sett-run/sett/runtime/registry"

// s3 reads a bucket, or a mapping with one and what of it is wanted.
func (r *reader) s3(f field) *registry.UploadSource {
	u := &registry.UploadSource{}
	before := len(r.faults)
	if !r.isMapping(f) {
		found, _ := r.target(f, kindBucket)
		u.Bucket = found.name
	} else {
		for _, sub := range r.keys(f, s3EventWords()) {
			switch sub.key {
			case "bucket":
				found, _ := r.target(sub, kindBucket)
				u.Bucket = found.name
			case "event":
				u.Event = r.choice(sub, registry.UploadEvents()...)
			case "rules":
				r.s3Rules(sub, u)
			case "existing":
				u.Existing = r.yes(sub)
			}
		}
	}
	switch {
	case len(r.faults) > before:
	case u.Bucket == "":
		r.faultAt(f.at, f.path, "bucket is missing, as in bucket: pictures")
	case !u.HasRules() && u.Event != registry.UploadRemoved && u.Event != "s3:ObjectRemoved:Delete":
		r.note(f.at, f.path, "has no rules: what the function itself puts there does not invoke it; tell input from output by a prefix or a suffix")
	}
	return u
}

// s3Rules reads a list with a prefix, a suffix or both.
func (r *reader) s3Rules(f field, u *registry.UploadSource) {
	for _, rule := range r.list(f) {
		for _, sub := range r.keys(rule, s3RuleWords()) {
			into := &u.Prefix
			if sub.key == "suffix" {
				into = &u.Suffix
			}
			text, ok := r.text(sub)
			if ok && *into != "" {
				r.faultAt(sub.at, sub.path, "given twice; write an event for each %s", sub.key)
			} else if ok && text == "" {
				r.faultAt(sub.value, sub.path, "is empty; leave it out")
			}
			*into = text
		}
	}
}
