package registry

import (
	"encoding/json"
	"unicode/utf8"
)

// Limits of a StreamSource. Each is AWS's where AWS has one.
const (
	MaxStreamBatch      = 10_000
	DefaultStreamBatch  = 100
	MaxParallel         = 10
	MaxStreamRetries    = 10_000
	MaxStreamAgeSeconds = 604_800 // changes themselves are kept for an hour at least, and none is tried for longer
	MaxPrefixBytes      = 256
)

// Where a stream begins that has no position yet.
const (
	StartTrimHorizon = "trim_horizon" // at the oldest change there is; the default
	StartLatest      = "latest"       // at what comes next
)

// StreamSource gives a function batches of the changes of an app's keys, those of a key in their order.
type StreamSource struct {
	Name          string            `json:"name,omitempty"`   // unique in the function; empty: the prefix names it
	Prefix        string            `json:"prefix,omitempty"` // of the keys; empty: all of the app
	BatchSize     int               `json:"batch_size,omitempty"`
	WindowMS      int               `json:"window_ms,omitempty"` // how long a batch may wait to be full, at most MaxWindowMS
	Start         string            `json:"start,omitempty"`     // StartTrimHorizon when empty, or StartLatest
	Parallel      int               `json:"parallel,omitempty"`  // batches at once, 1 to MaxParallel; 0: 1
	Bisect        bool              `json:"bisect,omitempty"`    // what fails is tried again in halves
	Retries       *int              `json:"retries,omitempty"`   // after the first attempt; nil or -1: until it is too old
	MaxAgeSeconds int               `json:"max_age_seconds,omitempty"`
	Filters       []json.RawMessage `json:"filters,omitempty"` // patterns, one of which a record must match; others are passed over
	ReportItems   bool              `json:"report_items,omitempty"`
	OnFailure     string            `json:"on_failure,omitempty"` // destination of what was given up
}

// complete answers s with its defaults filled in and no memory shared.
func (s *StreamSource) complete() *StreamSource {
	c := *s
	if c.BatchSize == 0 {
		c.BatchSize = DefaultStreamBatch
	}
	if c.Parallel == 0 {
		c.Parallel = 1
	}
	if c.Start == "" {
		c.Start = StartTrimHorizon
	}
	if c.Retries = nil; s.Retries != nil && *s.Retries != -1 {
		retries := *s.Retries
		c.Retries = &retries
	}
	c.Filters = nil
	for _, f := range s.Filters {
		c.Filters = append(c.Filters, canonicalJSON(f))
	}
	return &c
}

// ID is what names the stream among those of its function, as long as it lives.
func (s *StreamSource) ID() string {
	if s.Name != "" {
		return s.Name
	}
	return "=" + s.Prefix
}

func (s *StreamSource) validate(faults *faults) {
	if s.Name != "" {
		if err := checkWord("stream", s.Name, MaxNameBytes); err != nil {
			faults.add("%w", err)
		}
	}
	if len(s.Prefix) > MaxPrefixBytes || !utf8.ValidString(s.Prefix) {
		faults.add("stream: prefix %.80q; it is at most %d bytes of text", s.Prefix, MaxPrefixBytes)
	}
	within := func(what string, n, least, most int) {
		if n < least || n > most {
			faults.add("stream %.80q: %s %d; it is between %d and %d", s.Prefix, what, n, least, most)
		}
	}
	within("batch size", s.BatchSize, 0, MaxStreamBatch)
	within("window in ms", s.WindowMS, 0, MaxWindowMS)
	within("parallel batches", s.Parallel, 0, MaxParallel)
	within("number of filters", len(s.Filters), 0, MaxFilters)
	if s.Retries != nil {
		within("retries", *s.Retries, -1, MaxStreamRetries)
	}
	if s.MaxAgeSeconds != 0 {
		within("age in seconds", s.MaxAgeSeconds, MinMaxAgeSeconds, MaxStreamAgeSeconds)
	}
	if s.Start != "" && s.Start != StartTrimHorizon && s.Start != StartLatest {
		faults.add("stream %.80q: start %.40q; it is %s or %s", s.Prefix, s.Start, StartTrimHorizon, StartLatest)
	}
	for _, f := range s.Filters {
		if !isObject(f) {
			faults.add("stream %.80q: filter %.80q is no JSON object", s.Prefix, f)
		}
	}
	if s.OnFailure != "" {
		if _, _, err := ParseDestination(s.OnFailure); err != nil {
			faults.add("stream %.80q: %w", s.Prefix, err)
		}
	}
}
