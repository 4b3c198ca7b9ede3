package trigger

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// account is the number in ARNs, where AWS has an account's.
const account = "000000000000"

// CheckSchedule names every fault of a schedule's expressions, timezone and input path, each coded abi.InvalidInput.
func CheckSchedule(s registry.Schedule) error {
	_, err := parseSchedule(s)
	return err
}

// timetable is a schedule's expressions and input path, read.
type timetable struct {
	expressions []Expression
	path        path // nil: the whole event
}

func parseSchedule(s registry.Schedule) (timetable, error) {
	var t timetable
	var faults []error
	if _, err := location(s.Timezone); err != nil {
		return t, abi.WithCode(abi.InvalidInput, err) // once, not for each expression
	}
	for _, text := range s.Expressions {
		e, err := Parse(text, s.Timezone)
		if err != nil {
			faults = append(faults, err)
		}
		t.expressions = append(t.expressions, e)
	}
	if s.InputPath != "" {
		var err error
		if t.path, err = parsePath(s.InputPath); err != nil {
			faults = append(faults, abi.WithCode(abi.InvalidInput, err))
		}
	}
	return t, errors.Join(faults...)
}

// next answers the first tick of any expression after a moment; the zero time when there is none. Rates count from
// anchor. A moment that several expressions name is one tick.
func (t timetable) next(after, anchor time.Time) time.Time {
	var first time.Time
	for _, e := range t.expressions {
		if next, ok := e.Anchor(anchor).Next(after); ok && (first.IsZero() || next.Before(first)) {
			first = next
		}
	}
	return first
}

// last answers the last tick after a moment that is not after now. There is one: due, which is the first.
func (t timetable) last(due, now, anchor time.Time) time.Time {
	low, high := due.Add(-1), now // a tick follows low that is not after now; none follows high
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2)
		if next := t.next(middle, anchor); next.IsZero() || next.After(now) {
			high = middle
		} else {
			low = middle
		}
	}
	return t.next(low, anchor)
}

// live is a schedule of a function's live versions.
type live struct {
	id       registry.ScheduleID
	schedule registry.Schedule
	table    timetable
	created  time.Time // of the version
}

// schedulesOf answers the schedules of all live versions by key. Of several live versions with the schedule the
// heaviest decides what it is. What cannot be read is left out: deploys refuse it.
func schedulesOf(s *registry.Snapshot) map[string]live {
	all := map[string]live{}
	for _, f := range s.Functions() {
		for _, v := range f.Live() {
			number := 0
			for _, t := range v.Settings.Triggers {
				if t.Schedule == nil {
					continue
				}
				number++
				id := registry.ScheduleID{App: f.App, Function: f.Name, Name: t.Schedule.Name}
				if id.Name == "" {
					id.Name = strconv.Itoa(number)
				}
				table, err := parseSchedule(*t.Schedule)
				if _, heavier := all[recordKey(id)]; !heavier && err == nil {
					all[recordKey(id)] = live{id, *t.Schedule, table, v.Created}
				}
			}
		}
	}
	return all
}

// payload is what the function is given for a tick: the schedule's input, else the event that EventBridge sends, or
// the part of it at the input path.
func (l live) payload(invocation, region string, tick time.Time) ([]byte, error) {
	if len(l.schedule.Input) > 0 {
		return l.schedule.Input, nil
	}
	event, err := json.Marshal(events.EventBridgeEvent{
		Version: "0", ID: invocation, DetailType: "Scheduled Event", Source: "aws.events", AccountID: account,
		Time: tick.UTC(), Region: region, Detail: json.RawMessage("{}"),
		Resources: []string{fmt.Sprintf("arn:aws:events:%s:%s:rule/%s-%s-%s", region, account, l.id.App, l.id.Function, l.id.Name)},
	})
	if err != nil || l.table.path == nil {
		return event, err
	}
	return l.table.path.of(event)
}
