package manifest

import (
	"strings"

	"github.com/sett-run/sett/runtime/registry"
)

// storeRetentionSeconds is how long changes can be read, at least: see docs/STREAMS.md.
const storeRetentionSeconds = 3600

// stream reads the keys whose changes are wanted: a prefix, a table of DynamoDB, or a mapping with one and how they are
// taken.
func (r *reader) stream(f field) (s *registry.StreamSource, enabled bool) {
	s, enabled = &registry.StreamSource{}, true
	if !r.isMapping(f) {
		s.Prefix = r.streamPrefix(f)
		return s, true
	}
	before, named := len(r.faults), 0
	for _, sub := range r.keys(f, streamWords()) {
		switch sub.key {
		case "prefix":
			s.Prefix, _ = r.text(sub)
			named++
		case "arn":
			s.Prefix = r.streamPrefix(sub)
			named++
		case "enabled":
			if enabled = r.yes(sub); !enabled {
				r.note(sub.at, f.path, "is not enabled and left out")
			}
		default:
			r.streamKey(sub, s)
		}
	}
	if named != 1 && len(r.faults) == before {
		r.faultAt(f.at, f.path, "needs the keys, by one of prefix and arn")
	}
	if one := (registry.Settings{Triggers: []registry.Trigger{{Stream: s}}}); len(r.faults) == before {
		if err := one.Validate(); err != nil {
			r.faultAt(f.value, f.path, "%v", err)
		}
	}
	return s, enabled
}

func (r *reader) streamKey(f field, s *registry.StreamSource) {
	switch f.key {
	case "type":
		r.choice(f, "dynamodb")
	case "name":
		s.Name, _ = r.text(f)
	case "batchSize":
		s.BatchSize = r.number(f, 1, registry.MaxStreamBatch, "changes")
	case "batchWindow":
		s.WindowMS = 1000 * r.seconds(f, 0, registry.MaxWindowMS/1000)
	case "startingPosition":
		s.Start = strings.ToLower(r.choice(f, "TRIM_HORIZON", "LATEST"))
	case "parallelizationFactor":
		s.Parallel = r.number(f, 1, registry.MaxParallel, "batches")
	case "bisectBatchOnFunctionError":
		s.Bisect = r.yes(f)
	case "maximumRetryAttempts":
		retries := r.number(f, -1, registry.MaxStreamRetries, "retries")
		s.Retries = &retries
	case "maximumRecordAgeInSeconds":
		if f.value.Value == "-1" {
			return // as long as there is
		}
		s.MaxAgeSeconds = r.number(f, registry.MinMaxAgeSeconds, registry.MaxStreamAgeSeconds, "seconds")
		if s.MaxAgeSeconds > storeRetentionSeconds {
			r.note(f.at, f.path, "changes are kept for an hour, and none is tried for longer")
		}
	case "functionResponseType":
		s.ReportItems = r.choice(f, "ReportBatchItemFailures") != ""
	case "filterPatterns":
		s.Filters = r.patterns(f)
	case "destinations":
		for _, sub := range r.keys(f, streamDestinationsWords()) {
			s.OnFailure = (&asyncReader{reader: r}).destination(sub)
		}
	}
}

// streamPrefix reads a prefix. A table of DynamoDB, by its stream's ARN or a reference, is the keys that begin with its
// name and a slash.
func (r *reader) streamPrefix(f field) string {
	logical, text, ok := r.reference(f)
	switch {
	case !ok:
		return ""
	case logical != "":
		found, ok := r.logical(f, logical)
		if ok && found.kind != kindCloud {
			r.faultAt(f.value, f.path, "%q is a %s where a table is needed", clip(found.name), found.kind)
		}
		return r.tablePrefix(f, found.name)
	case !strings.HasPrefix(text, "arn:"):
		return text
	}
	part := strings.SplitN(text, ":", 6)
	if len(part) < 6 || part[2] != "dynamodb" || !strings.HasPrefix(part[5], "table/") {
		r.faultAt(f.value, f.path, "%q is no table's, as in arn:aws:dynamodb:us-east-1:000000000000:table/users/stream/1", clip(text))
		return ""
	}
	table, _, _ := strings.Cut(strings.TrimPrefix(part[5], "table/"), "/")
	return r.tablePrefix(f, table)
}

func (r *reader) tablePrefix(f field, table string) string {
	if table == "" {
		return ""
	}
	r.note(f.at, f.path, "is of table %s: of the keys that begin with %s/", table, table)
	return table + "/"
}
