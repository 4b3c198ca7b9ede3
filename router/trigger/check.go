package trigger

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Check names every fault within schedules and filters of a function's settings, each coded abi.InvalidInput. It is what
// Settings.Validate, whose checks come first, leaves to this package. Nodes leave out what has such a fault.
func Check(s registry.Settings) error {
	var faults []error
	filter := func(source, name string, text json.RawMessage) {
		if len(text) == 0 {
			return
		}
		if _, err := ParseFilter(text); err != nil {
			faults = append(faults, abi.WithCode(abi.InvalidInput, fmt.Errorf("%s %s: %w", source, name, err)))
		}
	}
	rules := 0
	for _, t := range s.Triggers {
		switch {
		case t.Schedule != nil:
			if err := CheckSchedule(*t.Schedule); err != nil {
				faults = append(faults, err)
			}
		case t.Queue != nil:
			for _, f := range t.Queue.Filters {
				filter("queue", t.Queue.Queue, f)
			}
		case t.Stream != nil:
			for _, f := range t.Stream.Filters {
				filter("stream", t.Stream.ID(), f)
			}
		case t.Topic != nil:
			filter("topic", t.Topic.Topic, t.Topic.Filter)
		case t.Event != nil:
			rules++
			if _, err := parseRule(*t.Event); err != nil {
				faults = append(faults, abi.WithCode(abi.InvalidInput, fmt.Errorf("rule %s: %w", RuleName(*t.Event, rules), err)))
			}
		}
	}
	return errors.Join(faults...)
}
