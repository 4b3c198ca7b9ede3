package trigger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// maxSwitchTries is how often a switch is tried again when ticks of the schedule come between.
const maxSwitchTries = 16

// Schedules answers an app's schedules by function, then name.
func (s *Scheduler) Schedules(ctx context.Context, app string) ([]registry.ScheduleInfo, error) {
	var all []registry.ScheduleInfo
	for _, l := range schedulesOf(s.delivery.config.Functions.Snapshot()) {
		if l.id.App != app {
			continue
		}
		r, _, err := s.record(ctx, l)
		if err != nil {
			return nil, err
		}
		status := registry.ScheduleInfo{ID: l.id, Expressions: l.schedule.Expressions, Timezone: l.schedule.Timezone, Disabled: r.off()}
		if !status.Disabled {
			status.Next = r.Due
		}
		all = append(all, status)
	}
	slices.SortFunc(all, func(a, b registry.ScheduleInfo) int {
		return cmp.Or(cmp.Compare(a.ID.Function, b.ID.Function), cmp.Compare(a.ID.Name, b.ID.Name))
	})
	return all, nil
}

// Enable has a schedule fire from its next tick on, whatever it was deployed as. The error for a schedule that is not
// there is coded abi.NotFound.
func (s *Scheduler) Enable(ctx context.Context, id registry.ScheduleID) error {
	return s.turn(ctx, id, switchOn)
}

// Disable has a schedule not fire, until Enable. Deploys do not change that.
func (s *Scheduler) Disable(ctx context.Context, id registry.ScheduleID) error {
	return s.turn(ctx, id, switchOff)
}

func (s *Scheduler) turn(ctx context.Context, id registry.ScheduleID, to string) error {
	l, err := s.find(id)
	if err != nil {
		return err
	}
	for range maxSwitchTries {
		r, revision, err := s.record(ctx, l)
		if err != nil {
			return err
		}
		next := r
		if next.Switch = to; r.off() && !next.off() {
			next.Due = l.table.next(time.Now(), r.Anchor)
		}
		write, err := setOp(recordKey(id), next)
		if err != nil {
			return err
		}
		_, err = s.config.Store.Commit(ctx, s.guarded(recordKey(id), revision, write))
		if err == nil || !errors.Is(err, op.ErrConflict) {
			return coded("switch schedule", err)
		}
	}
	return abi.WithCode(abi.Unavailable, errors.New("switch schedule: it keeps changing; try again"))
}

// Waiting is an invocation that has not ended, and when it is to be tried: zero or past, when it may run right now.
type Waiting struct {
	Invocation
	Next time.Time
}

// Pending answers the invocations of an app's schedules that have not ended; without an app, of all apps.
func (s *Scheduler) Pending(ctx context.Context, app string) (all []Waiting, err error) {
	prefix := pendingPrefix
	if app != "" {
		prefix += app + "/"
	}
	waiting, err := listOf[pending](ctx, s.config.Store, "invocations", prefix, op.Strong)
	for _, p := range waiting {
		all = append(all, Waiting{p.Invocation, p.NotBefore})
	}
	return all, err
}

// Fire invokes a schedule's function once as at a tick, disabled or not, and answers the invocation's id. It returns
// when the invocation is kept, not when it has run.
func (s *Scheduler) Fire(ctx context.Context, id registry.ScheduleID) (invocation string, err error) {
	l, err := s.find(id)
	if err != nil {
		return "", err
	}
	now := time.Now()
	invocation = router.NewInvocationID(now)
	payload, err := l.payload(invocation, s.delivery.config.Region, now.Truncate(time.Second))
	if err != nil {
		return "", fmt.Errorf("fire schedule: %w", err)
	}
	key := pendingKey(id, invocation)
	write, err := setOp(key, pending{Invocation: l.invocation(invocation, now, payload)})
	if err != nil {
		return "", err
	}
	_, err = s.config.Store.Commit(ctx, s.guarded(key, 0, write))
	return invocation, coded("fire schedule", err)
}

func (s *Scheduler) find(id registry.ScheduleID) (live, error) {
	l, ok := schedulesOf(s.delivery.config.Functions.Snapshot())[recordKey(id)]
	if !ok {
		return l, abi.WithCode(abi.NotFound, fmt.Errorf("schedule %.80q of function %.80q in app %.80q: no such schedule", id.Name, id.Function, id.App))
	}
	return l, nil
}

// record answers a schedule's record and its revision. One that no node has written yet is made up: revision 0.
func (s *Scheduler) record(ctx context.Context, l live) (r record, revision uint64, err error) {
	item, err := s.config.Store.Get(ctx, op.System, recordKey(l.id), op.Read{Consistency: op.Strong})
	if errors.Is(err, op.ErrNotFound) {
		return r.update(l, s.delivery.config.Functions.Snapshot().Generation(), time.Now()), 0, nil
	}
	if err == nil {
		err = json.Unmarshal(item.Value, &r)
	}
	return r, item.Revision, coded("read schedule", err)
}
