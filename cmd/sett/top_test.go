package main

import (
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/client"
)

func TestTopText(t *testing.T) {
	function := func(invocations, failed uint64, seconds float64) []client.FunctionTotals {
		return []client.FunctionTotals{{App: "default", Function: "hello", Invocations: invocations, Failed: failed, DurationSeconds: seconds}}
	}
	before := []client.NodeTotals{
		{Node: "a", ID: "1", State: client.StateAlive, UptimeSeconds: 10, CPUSeconds: 1, Functions: function(100, 0, 1)},
		{Node: "b", ID: "2", State: client.StateAlive, UptimeSeconds: 99, Functions: function(5000, 9, 70)},
	}
	now := []client.NodeTotals{
		{Node: "a", ID: "1", State: client.StateAlive, UptimeSeconds: 12, CPUSeconds: 2, Capacity: 8, MemoryBytes: 1 << 20, Functions: function(300, 20, 1.2)},
		{Node: "b", ID: "2", State: client.StateAlive, UptimeSeconds: 2, CPUSeconds: 0.4, Functions: function(100, 0, 0.4)}, // started anew
		{Node: "c", ID: "3", State: client.VersionSilent},
	}
	got := topText(before, now)
	for _, want := range []string{
		"a     alive          100   0 of 8  50 %  1.0 MiB",
		"c     silent           -        -     -        -",
		"b     alive           50   0 of 0  20 %      0 B",
		"default/hello         150      10     0  2.00 ms        0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("topText() =\n%s\nwant a line %q", got, want)
		}
	}
}
