package registry

import "time"

// ScheduleID names a schedule. Name is its number, from 1 among the function's schedules, when it has no other.
type ScheduleID struct{ App, Function, Name string }

// ScheduleInfo is a schedule of a live version, as it stands.
type ScheduleInfo struct {
	ID          ScheduleID
	Expressions []string
	Timezone    string
	Disabled    bool
	Next        time.Time // zero: never, or it is disabled
}
