package client

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sett-run/sett/runtime/registry"
)

// Schedule is a schedule of a live version.
type Schedule struct {
	App         string    `json:"app"`
	Function    string    `json:"function"`
	Name        string    `json:"name"`        // its number, from 1 among the function's schedules, when it has no other
	Expression  string    `json:"expression"`  // all of them, for people
	Expressions []string  `json:"expressions"` // any of which fires it
	Timezone    string    `json:"timezone"`    // UTC when it names none
	Enabled     bool      `json:"enabled"`
	Next        time.Time `json:"next,omitzero"` // absent: never, or it is disabled
}

// ScheduleList is the response that lists schedules, by app, function and name.
type ScheduleList struct {
	Schedules []Schedule `json:"schedules"`
}

// FireResponse names the invocation that firing a schedule made.
type FireResponse struct {
	Invocation string `json:"invocation"`
}

// utc is what a schedule without a timezone is shown with.
const utc = "UTC"

// ScheduleOf shows a schedule.
func ScheduleOf(s registry.ScheduleInfo) Schedule {
	out := Schedule{App: s.ID.App, Function: s.ID.Function, Name: s.ID.Name, Expression: strings.Join(s.Expressions, ", "),
		Expressions: append([]string{}, s.Expressions...), Timezone: s.Timezone, Enabled: !s.Disabled, Next: s.Next}
	if out.Timezone == "" {
		out.Timezone = utc
	}
	return out
}

// ID names the schedule.
func (s Schedule) ID() registry.ScheduleID {
	return registry.ScheduleID{App: s.App, Function: s.Function, Name: s.Name}
}

// Schedules are the schedules of the functions on a node.
type Schedules struct{ client *Client }

// Schedules answers the schedules of the node's functions.
func (c *Client) Schedules() Schedules { return Schedules{c} }

// List answers an app's schedules by function and name; with an empty app, those of every app the token may see.
func (s Schedules) List(ctx context.Context, app string) ([]Schedule, error) {
	at := path("schedules")
	if app != "" {
		at = path("apps", app, "schedules")
	}
	var out ScheduleList
	err := s.client.do(ctx, request{method: http.MethodGet, path: at, out: &out})
	return out.Schedules, err
}

// Enable has a schedule fire from now on, also one that was deployed as disabled.
func (s Schedules) Enable(ctx context.Context, id registry.ScheduleID) error {
	return s.client.do(ctx, request{method: http.MethodPost, path: schedulePath(id, "enable")})
}

// Disable has a schedule not fire, until Enable. Deployments do not change that.
func (s Schedules) Disable(ctx context.Context, id registry.ScheduleID) error {
	return s.client.do(ctx, request{method: http.MethodPost, path: schedulePath(id, "disable")})
}

// Fire invokes a schedule's function once as at a tick, disabled or not, and answers the invocation's id. It returns
// when the invocation is kept, not when it has run.
func (s Schedules) Fire(ctx context.Context, id registry.ScheduleID) (invocation string, err error) {
	var out FireResponse
	err = s.client.do(ctx, request{method: http.MethodPost, path: schedulePath(id, "fire"), out: &out})
	return out.Invocation, err
}

func schedulePath(id registry.ScheduleID, verb string) string {
	return path("apps", id.App, "functions", id.Function, "schedules", id.Name, verb)
}
