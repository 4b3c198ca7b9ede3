package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// Limits of InvocationQuery.Limit.
const (
	DefaultInvocations = 100
	MaxInvocations     = 1000 // more than a node keeps would only look like more
)

// InvocationQuery chooses recent invocations: nodes keep their last 1024. The zero value is all of them.
type InvocationQuery struct {
	App      string
	Function string // needs App
	Failed   bool   // only those answered with 4xx or 5xx
	Limit    int    // the newest so many, up to MaxInvocations; 0: DefaultInvocations
	Local    LocalOnly
	Waiting  bool // those that are kept and have not ended, instead: InvocationList.Waiting, of which the oldest 100 of an app
}

// Invocation is one recent invocation or refused request.
type Invocation struct {
	Time         time.Time `json:"time"`
	Invocation   string    `json:"invocation"`
	Node         string    `json:"node"`          // name of the node that was asked
	App          string    `json:"app,omitempty"` // empty: refused before a function was found
	Function     string    `json:"function,omitempty"`
	Version      int       `json:"version,omitempty"`
	Trigger      string    `json:"trigger,omitempty"`
	Method       string    `json:"method,omitempty"`
	Path         string    `json:"path,omitempty"` // may be cut
	Status       int       `json:"status"`
	Code         abi.Code  `json:"code,omitempty"`
	Start        abi.Start `json:"start,omitempty"`
	TookUS       int64     `json:"took_us"`
	Fuel         uint64    `json:"fuel"`
	RequestBytes int64     `json:"request_bytes"`
	ReplyBytes   int64     `json:"reply_bytes"`
}

// WaitingInvocation is an asynchronous invocation, or one of a schedule, that has not ended.
type WaitingInvocation struct {
	Invocation string    `json:"invocation"`
	App        string    `json:"app"`
	Function   string    `json:"function"`
	Qualifier  string    `json:"qualifier,omitempty"`
	Trigger    string    `json:"trigger"`
	State      string    `json:"state"` // WaitingQueued, WaitingRunning or WaitingRetry
	Accepted   time.Time `json:"accepted"`
	Attempts   int       `json:"attempts"`        // that have failed
	Next       time.Time `json:"next,omitzero"`   // of the next attempt, in WaitingRetry
	Error      string    `json:"error,omitempty"` // why the last attempt failed; may be cut
}

// States of a WaitingInvocation.
const (
	WaitingQueued  = "queued"  // no attempt was made yet
	WaitingRunning = "running" // an attempt is being made
	WaitingRetry   = "retry"   // it is tried again at Next
)

// InvocationList is the response that lists invocations, oldest first.
type InvocationList struct {
	Invocations []Invocation        `json:"invocations"`
	Waiting     []WaitingInvocation `json:"waiting,omitempty"`
	Silent      []string            `json:"silent,omitempty"` // names of the nodes that did not answer
}

// Invocations lists recent invocations of all nodes.
func (c *Client) Invocations(ctx context.Context, q InvocationQuery) (InvocationList, error) {
	v := url.Values{}
	for key, value := range map[string]string{"app": q.App, "function": q.Function} {
		if value != "" {
			v.Set(key, value)
		}
	}
	if q.Failed {
		v.Set("failed", "true")
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Local {
		v.Set("local", "true")
	}
	if q.Waiting {
		v.Set("waiting", "true")
	}
	var out InvocationList
	err := c.do(ctx, request{method: http.MethodGet, path: path("invocations"), query: v, out: &out})
	return out, err
}

// FunctionTotals are what a function did on a node since that started.
type FunctionTotals struct {
	App             string  `json:"app"`
	Function        string  `json:"function"`
	Invocations     uint64  `json:"invocations"`
	Failed          uint64  `json:"failed"` // answered with 5xx
	Cold            uint64  `json:"cold"`
	Running         int64   `json:"running"` // now
	DurationSeconds float64 `json:"duration_seconds"`
}

// NodeTotals are what a node did since it started.
type NodeTotals struct {
	Node          string           `json:"node"` // name
	ID            string           `json:"id"`
	State         string           `json:"state"`    // StateAlive, or VersionSilent for one that did not answer
	Running       int64            `json:"running"`  // invocations now
	Capacity      int64            `json:"capacity"` // at most
	CPUSeconds    float64          `json:"cpu_seconds"`
	MemoryBytes   int64            `json:"memory_bytes"` // resident; 0 where the system does not tell
	UptimeSeconds float64          `json:"uptime_seconds"`
	Functions     []FunctionTotals `json:"functions"`
}

// Top is the response that says what nodes did, the one that answers first.
type Top struct {
	Nodes []NodeTotals `json:"nodes"`
}

// Top returns what all nodes did, or with local the one that is asked. Rates are the difference of two answers.
func (c *Client) Top(ctx context.Context, local LocalOnly) ([]NodeTotals, error) {
	v := url.Values{}
	if local {
		v.Set("local", "true")
	}
	var out Top
	err := c.do(ctx, request{method: http.MethodGet, path: path("top"), query: v, out: &out})
	return out.Nodes, err
}
