package registry

import (
	"encoding/json"
	"errors"
	"time"
)

// Limits of an app's event bus.
const (
	MaxEventWords     = 256     // bytes of an event's source or detail type
	MaxEventResources = 100     // of an event
	MaxEvents         = 1000    // put at once
	MaxArchives       = 20      // of an app; each costs a copy of what it keeps
	DefaultArchive    = 1 << 28 // bytes that an archive holds
	MaxArchiveBytes   = 1 << 40
)

// PlatformSource begins the sources of the platform's own events, which nobody else puts.
const PlatformSource = "sett."

// BusEvent is what is put on an app's event bus.
type BusEvent struct {
	Source     string          `json:"source"`
	DetailType string          `json:"detail_type"`
	Detail     json.RawMessage `json:"detail"` // a JSON object
	Resources  []string        `json:"resources,omitempty"`
	Time       time.Time       `json:"time,omitzero"` // when it happened; zero: when it is put
}

// Validate names every fault, each coded abi.InvalidInput.
func (e BusEvent) Validate() error {
	var faults faults
	for _, w := range [][2]string{{"source", e.Source}, {"detail type", e.DetailType}} {
		if n := len(w[1]); n == 0 || n > MaxEventWords || !isText(w[1]) {
			faults.add("%s %.80q: it is 1 to %d bytes of text", w[0], w[1], MaxEventWords)
		}
	}
	if len(e.Resources) > MaxEventResources {
		faults.add("%d resources; at most %d are allowed", len(e.Resources), MaxEventResources)
	}
	if !isObject(e.Detail) {
		faults.add("detail %.80q is no JSON object", e.Detail)
	}
	if y := e.Time.Year(); y < 0 || y > 9999 {
		faults.add("time: year %d", y)
	}
	return errors.Join(faults...)
}

// Archive keeps events of an app's bus, to replay them.
type Archive struct {
	Name             string          `json:"name"`
	Pattern          json.RawMessage `json:"pattern,omitempty"`           // of what is kept; empty: all
	RetentionSeconds int             `json:"retention_seconds,omitempty"` // 60 to 1,209,600, which 0 means
	MaxBytes         int64           `json:"max_bytes,omitempty"`         // above which it keeps no more; 0: DefaultArchive
}

// ArchiveInfo is an archive as it is.
type ArchiveInfo struct {
	Archive
	Events int64     `json:"events"`
	Bytes  int64     `json:"bytes"`
	Oldest time.Time `json:"oldest,omitzero"` // when the oldest event was archived
}

// Complete answers a with its defaults filled in.
func (a Archive) Complete() Archive {
	if a.RetentionSeconds == 0 {
		a.RetentionSeconds = MaxRetentionSeconds
	}
	if a.MaxBytes == 0 {
		a.MaxBytes = DefaultArchive
	}
	return a
}

// Validate names every fault, each coded abi.InvalidInput; package router/trigger reads the pattern.
func (a Archive) Validate() error {
	a = a.Complete()
	var faults faults
	if err := CheckArchiveName(a.Name); err != nil {
		faults.add("%w", err)
	}
	if len(a.Pattern) > 0 && !isObject(a.Pattern) || len(a.Pattern) > MaxDocumentsBytes {
		faults.add("archive: pattern %.80q is no JSON object of at most %d bytes", a.Pattern, MaxDocumentsBytes)
	}
	if a.RetentionSeconds < MinRetentionSeconds || a.RetentionSeconds > MaxRetentionSeconds {
		faults.add("archive: retention of %d s; it is between %d and %d", a.RetentionSeconds, MinRetentionSeconds, MaxRetentionSeconds)
	}
	if a.MaxBytes < 1 || a.MaxBytes > MaxArchiveBytes {
		faults.add("archive: at most %d bytes; it is between 1 and %d", a.MaxBytes, int64(MaxArchiveBytes))
	}
	return errors.Join(faults...)
}

// CheckArchiveName refuses what is not 1 to MaxNameBytes letters, digits, - and _. The error is coded abi.InvalidInput.
func CheckArchiveName(name string) error { return checkWord("archive", name, MaxNameBytes) }

// Replay puts events of an archive on the bus again, a page at a time.
type Replay struct {
	From     time.Time `json:"from,omitzero"`      // of those put at that time or later
	To       time.Time `json:"to,omitzero"`        // and before this
	Function string    `json:"function,omitempty"` // whose rules alone get them; empty: all
	After    uint64    `json:"after,omitempty"`    // Replayed.Next of the page before
}

// Replayed is what a page of a replay did.
type Replayed struct {
	Events int    `json:"events"`
	Next   uint64 `json:"next,omitempty"` // for Replay.After; 0: that was all
}

// Validate names every fault, each coded abi.InvalidInput.
func (r Replay) Validate() error {
	var faults faults
	if !r.To.IsZero() && r.To.Before(r.From) {
		faults.add("replay: ends before it begins")
	}
	if r.Function != "" {
		if err := CheckName("function", r.Function); err != nil {
			faults.add("%w", err)
		}
	}
	return errors.Join(faults...)
}

// CheckPut refuses events that nobody but the platform puts. The error is coded abi.InvalidInput.
func CheckPut(events []BusEvent) error {
	var faults faults
	if n := len(events); n == 0 || n > MaxEvents {
		faults.add("%d events; 1 to %d are put at once", n, MaxEvents)
		return errors.Join(faults...)
	}
	for i, e := range events {
		if err := e.Validate(); err != nil {
			faults.add("event %d: %w", i+1, err)
		}
		if len(e.Source) >= len(PlatformSource) && e.Source[:len(PlatformSource)] == PlatformSource {
			faults.add("event %d: source %.80q: %s is the platform's", i+1, e.Source, PlatformSource)
		}
	}
	return errors.Join(faults...)
}
