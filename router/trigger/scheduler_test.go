package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// house is a store with nodes that run schedulers.
type house struct {
	t     *testing.T
	store *op.Memory
	reg   *registry.Registry
	door  *door
	mail  *mailbox
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, store: new(op.Memory), door: new(door), mail: new(mailbox)}
	h.reg = openRegistry(t, h.store)
	return h
}

// node starts a scheduler on a store, which is the house's if it is nil.
func (h *house) node(store Store) (s *Scheduler, stop func()) {
	if store == nil {
		store = h.store
	}
	s = NewScheduler(SchedulerConfig{Store: store, Delivery: newDelivery(h.t, h.door, h.reg, h.mail)})
	ctx, cancel := context.WithCancel(h.t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	return s, func() { cancel(); running.Wait() }
}

// sleepUntil sleeps until a moment.
func sleepUntil(t *testing.T, text string) { sleep(time.Until(at(t, text))) }

// empty fails when an invocation is pending.
func (h *house) empty() {
	h.t.Helper()
	page, err := h.store.List(h.t.Context(), op.System, op.Query{Prefix: pendingPrefix})
	if err != nil || len(page.Items) > 0 {
		h.t.Errorf("%d invocations are pending, %v", len(page.Items), err)
	}
}

// TestThirtyDays has three nodes fire schedules for thirty days around each clock change of a year.
func TestThirtyDays(t *testing.T) {
	for _, begin := range []string{"2027-03-14T00:00:00Z", "2027-10-17T00:00:00Z"} {
		synctest.Test(t, func(t *testing.T) {
			sleepUntil(t, begin)
			h := newHouse(t)
			schedules := map[string]registry.Schedule{
				"daily":  {Expressions: []string{"cron(30 2 * * ? *)"}, Timezone: "Europe/Berlin"},
				"often":  {Expressions: []string{"cron(0/30 1-4 * * ? *)"}, Timezone: "Europe/Berlin"},
				"hourly": {Expressions: []string{"rate(1 hour)"}},
				"both":   {Expressions: []string{"cron(0 9 ? * MON-FRI *)", "cron(0 9 1,15 * ? *)"}, Timezone: "America/New_York"},
			}
			for name, s := range schedules {
				deploy(t, h.reg, name, scheduled(s))
			}
			for range 3 {
				_, stop := h.node(nil)
				defer stop()
			}
			from, created := time.Now(), time.Now()
			sleep(30*24*time.Hour + time.Second)
			fired := map[string][]time.Time{}
			for _, c := range h.door.seen() {
				fired[c.function] = append(fired[c.function], c.time)
				var e struct{ Time time.Time }
				if err := json.Unmarshal(c.Body, &e); err != nil || c.time.Sub(e.Time) > time.Second || c.Trigger != abi.TriggerSchedule {
					t.Fatalf("%s fired at %v with %s, %v", c.function, c.time, c.Body, err)
				}
			}
			for name, s := range schedules {
				table, err := parseSchedule(s)
				if err != nil {
					t.Fatal(err)
				}
				i := 0
				for tick := table.next(from, created); tick.Before(time.Now()); tick = table.next(tick, created) {
					if i >= len(fired[name]) || !fired[name][i].Truncate(time.Second).Equal(tick) {
						t.Fatalf("%s: tick %d is %v; fired %d times", name, i, tick, len(fired[name]))
					}
					i++
				}
				if i != len(fired[name]) || i < 20 {
					t.Errorf("%s fired %d times, want %d", name, len(fired[name]), i)
				}
			}
			if n := len(fired["daily"]); begin < "2027-05" && n != 29 || begin > "2027-05" && n != 30 {
				t.Errorf("daily fired %d times in 30 days from %s", n, begin)
			}
			h.empty()
		})
	}
}

var errDead = fmt.Errorf("the node is dead: %w", op.ErrUnavailable)

// TestHangingNode has the owner of a long invocation stay alive: nobody takes it over.
func TestLongInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		deploy(t, h.reg, "report", scheduled(registry.Schedule{Expressions: []string{"cron(0 9 ? * * *)"}}))
		h.door.answer = func(ctx context.Context, _ call) (*abi.Result, error) {
			pause(ctx, 10*time.Minute)
			return new(abi.Result), ctx.Err()
		}
		for range 3 {
			_, stop := h.node(nil)
			defer stop()
		}
		sleep(10 * time.Hour)
		if n := len(h.door.seen()); n != 1 {
			t.Errorf("%d invocations, want 1", n)
		}
		h.empty()
	})
}

func TestMissedTicks(t *testing.T) {
	for _, c := range []struct {
		missed string
		away   time.Duration
		want   []string // times in the events
	}{
		{registry.MissedSkip, 30 * time.Second, []string{"2000-01-01T09:00:00Z"}}, // a restart misses nothing
		{registry.MissedSkip, 50 * time.Hour, nil},
		{registry.MissedOnce, 50 * time.Hour, []string{"2000-01-03T09:00:00Z"}},
		{registry.MissedSkip, 48*time.Hour + 30*time.Second, []string{"2000-01-03T09:00:00Z"}},
		{registry.MissedOnce, 48*time.Hour + 30*time.Second, []string{"2000-01-03T09:00:00Z"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			deploy(t, h.reg, "report", scheduled(registry.Schedule{Expressions: []string{"cron(0 9 * * ? *)"}, Missed: c.missed}))
			_, stop := h.node(nil)
			sleep(9*time.Hour - time.Second)
			stop()
			sleep(c.away + time.Second)
			_, stop = h.node(nil)
			defer stop()
			sleep(time.Second)
			calls := h.door.seen()
			if len(calls) != len(c.want) {
				t.Fatalf("%s after %v: %d calls, want %v", c.missed, c.away, len(calls), c.want)
			}
			for i, want := range c.want {
				if !strings.Contains(string(calls[i].Body), want) {
					t.Errorf("%s after %v: event %s, want of %s", c.missed, c.away, calls[i].Body, want)
				}
			}
			sleep(24 * time.Hour)
			if n := len(h.door.seen()); n != len(c.want)+1 {
				t.Errorf("%s after %v: %d calls a day later", c.missed, c.away, n)
			}
		})
	}
}

func TestFailedTickIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		s := scheduled(registry.Schedule{Expressions: []string{"cron(0 9 * * ? *)"}, Input: json.RawMessage(`{"a":1}`)})
		s.Async = &registry.Async{OnFailure: "queue:dead"}
		deploy(t, h.reg, "report", s)
		h.door.answer = fails
		h.mail.errs = []error{errors.New("away")}
		_, stop := h.node(nil)
		_, stopOther := h.node(nil)
		defer stopOther()
		sleep(9*time.Hour + time.Second)
		stop() // whoever fired it: the attempts go on
		sleep(time.Hour)
		calls := h.door.seen()
		if len(calls) != 3 {
			t.Fatalf("%d attempts, want 3", len(calls))
		}
		for i, c := range calls {
			if c.Attempt != i+1 || c.Invocation != calls[0].Invocation || string(c.Body) != `{"a":1}` {
				t.Errorf("attempt %d: %d of %s with %s", i+1, c.Attempt, c.Invocation, c.Body)
			}
		}
		for i, least := range []time.Duration{time.Minute, 2 * time.Minute} {
			if gap := calls[i+1].time.Sub(calls[i].time); gap < least || gap > least+least/10+DefaultLease+time.Second {
				t.Errorf("attempt %d comes after %v, want about %v", i+2, gap, least)
			}
		}
		if len(h.mail.parcels) != 1 || h.mail.parcels[0].Destination != "queue:dead" || !strings.Contains(string(h.mail.parcels[0].Body), `"condition":"RetriesExhausted","approximateInvokeCount":3`) {
			t.Errorf("parcels %+v", h.mail.parcels)
		}
		h.empty()
	})
}

// TestStopDrains stops a node during an invocation that ends in time, and one that does not.
func TestStopDrains(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		calls int
	}{{5 * time.Second, 1}, {time.Minute, 2}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			deploy(t, h.reg, "report", scheduled(registry.Schedule{Expressions: []string{"cron(0 9 * * ? *)"}}))
			h.door.answer = func(ctx context.Context, _ call) (*abi.Result, error) {
				pause(ctx, c.takes)
				return new(abi.Result), abi.WithCode(abi.Unavailable, ctx.Err())
			}
			_, stop := h.node(nil)
			sleep(9*time.Hour + time.Second)
			stop()
			if took := time.Since(h.door.seen()[0].time); took > DefaultDrain+2*time.Second {
				t.Errorf("stop took %v", took)
			}
			_, stop = h.node(nil)
			sleep(2 * time.Second) // no lease to wait for
			if n := len(h.door.seen()); n != c.calls {
				t.Errorf("an invocation of %v: %d calls, want %d", c.takes, n, c.calls)
			}
			sleep(5 * time.Minute)
			stop()
			h.empty()
		})
	}
}

func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		deploy(t, h.reg, "report", scheduled(registry.Schedule{Expressions: []string{"rate(1 hour)"}, Missed: registry.MissedOnce},
			registry.Schedule{Name: "nightly", Expressions: []string{"cron(0 0 * * ? *)"}, Disabled: true}))
		s, stop := h.node(nil)
		defer stop()
		id := registry.ScheduleID{App: "shop", Function: "report", Name: "1"}
		sleep(90 * time.Minute)
		if err := s.Disable(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		sleep(5 * time.Hour)
		if n := len(h.door.seen()); n != 1 {
			t.Fatalf("%d calls, want 1 before it was disabled", n)
		}
		all, err := s.Schedules(t.Context(), "shop")
		if err != nil || len(all) != 2 || !all[0].Disabled || !all[1].Disabled || !all[0].Next.IsZero() || all[1].ID.Name != "nightly" {
			t.Fatalf("Schedules = %+v, %v", all, err)
		}
		deploy(t, h.reg, "report", scheduled(registry.Schedule{Expressions: []string{"rate(1 hour)"}}))
		s.Wake()
		sleep(time.Hour)
		if n := len(h.door.seen()); n != 1 {
			t.Fatalf("%d calls, a deploy does not enable", n)
		}
		if err := s.Enable(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		sleep(31 * time.Minute) // 08:00:01: what was missed while it was disabled is no matter
		if n := len(h.door.seen()); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
		if all, err = s.Schedules(t.Context(), "shop"); err != nil || len(all) != 1 || !all[0].Next.Equal(at(t, "2000-01-01T09:00:00Z")) {
			t.Errorf("Schedules = %+v, %v", all, err)
		}
		for _, f := range []func(context.Context, registry.ScheduleID) error{s.Enable, s.Disable,
			func(ctx context.Context, id registry.ScheduleID) error { _, err := s.Fire(ctx, id); return err }} {
			if err := f(t.Context(), registry.ScheduleID{App: "shop", Function: "report", Name: "nightly"}); abi.CodeOf(err) != abi.NotFound {
				t.Errorf("a schedule that is gone: %v", err)
			}
		}
		invocation, err := s.Fire(t.Context(), id)
		sleep(time.Second)
		if calls := h.door.seen(); err != nil || len(calls) != 3 || calls[2].Invocation != invocation {
			t.Errorf("Fire = %s, %v; %d calls", invocation, err, len(calls))
		}
	})
}

// TestRedeploy keeps a rate's anchor over deploys that do not change it, and follows those that do.
func TestRedeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		with := func(expr string, memory int) registry.Settings {
			s := scheduled(registry.Schedule{Expressions: []string{expr}})
			s.MemoryMB = memory
			return s
		}
		deploy(t, h.reg, "report", with("rate(1 hour)", 64))
		s, stop := h.node(nil)
		defer stop()
		sleep(30 * time.Minute)
		deploy(t, h.reg, "report", with("rate(1 hour)", 65))
		s.Wake()
		sleep(31 * time.Minute)
		if n := len(h.door.seen()); n != 1 {
			t.Errorf("%d calls at 01:01, want 1", n)
		}
		deploy(t, h.reg, "report", with("rate(10 minutes)", 65))
		s.Wake()
		sleep(11 * time.Minute) // 01:12
		if calls := h.door.seen(); len(calls) != 2 || calls[1].time.Format(time.TimeOnly) != "01:11:00" {
			t.Errorf("calls %v", calls)
		}
		if err := h.reg.Remove(t.Context(), "shop", []string{"report"}); err != nil {
			t.Fatal(err)
		}
		s.Wake()
		sleep(time.Hour)
		if n := len(h.door.seen()); n != 2 {
			t.Errorf("%d calls after its removal, want 2", n)
		}
		page, err := h.store.List(t.Context(), op.System, op.Query{Prefix: SchedulePrefix})
		if err != nil || len(page.Items) != 0 {
			t.Errorf("records %v, %v are left", page.Items, err)
		}
	})
}

// TestTooManyPending drops ticks when the function refuses for long.
func TestTooManyPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		deploy(t, h.reg, "busy", scheduled(registry.Schedule{Expressions: []string{"rate(1 minute)"}}))
		h.door.answer = func(context.Context, call) (*abi.Result, error) {
			return nil, abi.WithCode(abi.TooManyRequests, errors.New("busy"))
		}
		_, stop := h.node(nil)
		defer stop()
		sleep(5 * time.Hour)
		page, err := h.store.List(t.Context(), op.System, op.Query{Prefix: pendingPrefix})
		if err != nil || len(page.Items) != MaxPending {
			t.Errorf("%d pending, %v, want %d", len(page.Items), err, MaxPending)
		}
		for _, c := range h.door.seen() {
			if c.Attempt != 1 {
				t.Fatalf("attempt %d: a refusal counts as none", c.Attempt)
			}
		}
	})
}
