package trigger

import (
	"slices"
	"strconv"
	"time"

	"github.com/sett-run/sett/runtime/registry"
)

// Keys in namespace op.System. Names have no slash.
const (
	SchedulePrefix = "schedule/"
	recordPrefix   = SchedulePrefix + "due/"  // then app/function/name
	pendingPrefix  = SchedulePrefix + "tick/" // then app/function/name/ and the tick, or what it is else
)

// recordKey is where the schedule's record is.
func recordKey(id registry.ScheduleID) string {
	return recordPrefix + id.App + "/" + id.Function + "/" + id.Name
}

// pendingKey is where the invocation of a tick is, in seconds since 1970, or one with an id.
func pendingKey(id registry.ScheduleID, what string) string {
	return pendingPrefix + id.App + "/" + id.Function + "/" + id.Name + "/" + what
}

func tickName(tick time.Time) string { return strconv.FormatInt(tick.Unix(), 10) }

// record is what the store holds of a schedule.
type record struct {
	Due         time.Time `json:"due,omitzero"` // the next tick; zero: there is none
	Anchor      time.Time `json:"anchor"`       // from which rates count
	Expressions []string  `json:"expressions"`
	Timezone    string    `json:"timezone,omitempty"`
	Disabled    bool      `json:"disabled,omitempty"` // as it was deployed
	Switch      string    `json:"switch,omitempty"`   // switchOn or switchOff: what somebody wanted since
	Generation  uint64    `json:"generation"`         // of the snapshot that it was made from
}

// Values of record.Switch.
const (
	switchOn  = "on"
	switchOff = "off"
)

// off says whether the schedule does not fire.
func (r record) off() bool { return r.Switch == switchOff || r.Disabled && r.Switch != switchOn }

// update answers the record of a schedule as it is deployed now, which r was before; the zero record: it is new. Due
// starts anew only when the times have changed or it fires again, and the anchor only when the times have.
func (r record) update(l live, generation uint64, now time.Time) record {
	next := r
	next.Generation, next.Disabled = generation, l.schedule.Disabled
	if !slices.Equal(r.Expressions, l.schedule.Expressions) || r.Timezone != l.schedule.Timezone {
		next.Expressions, next.Timezone, next.Anchor = l.schedule.Expressions, l.schedule.Timezone, l.created
		next.Due = l.table.next(now, next.Anchor)
	} else if r.off() && !next.off() {
		next.Due = l.table.next(now, next.Anchor)
	}
	return next
}

// fits says whether the record is that of the schedule as it is deployed.
func (r record) fits(l live) bool {
	return slices.Equal(r.Expressions, l.schedule.Expressions) && r.Timezone == l.schedule.Timezone && r.Disabled == l.schedule.Disabled
}

// pending is an invocation of a schedule that has not ended. Who changes it checks its revision: so the owner that
// lost it, because it was too slow, notices.
type pending struct {
	Invocation Invocation `json:"invocation"`
	Owner      string     `json:"owner,omitempty"`     // of the lease; empty: whoever is first
	NotBefore  time.Time  `json:"not_before,omitzero"` // of the next attempt
}
