package node

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/cluster/placement"
	"github.com/sett-run/sett/cluster/trust"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/store"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/router/admin"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// TestDocumentedLimits: the table of limits in docs/OPERATIONS.md has the values of the code.
func TestDocumentedLimits(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, " | "); len(cells) > 2 {
			rows[strings.TrimPrefix(cells[0], "| ")] = cells[1]
		}
	}
	for _, limit := range []struct {
		row  string
		want string
	}{
		{"module", size(runtime.DefaultModuleBytes)},
		{"memory of a function", fmt.Sprintf("%d MB, up to %d MB", registry.DefaultMemoryMB, registry.MaxMemoryMB)},
		{"time of an invocation", span(registry.DefaultTimeout) + ", up to " + span(registry.MaxTimeout)},
		{"concurrent invocations of a function", fmt.Sprintf("%d, up to %d", registry.DefaultConcurrency, registry.MaxReserved)},
		{"concurrent invocations of a node", fmt.Sprint(router.DefaultConcurrent)},
		{"connections of a node", fmt.Sprint(router.DefaultConnections)},
		{"request body, reply body", size(registry.DefaultBodyBytes)},
		{"body in pieces", size(router.DefaultStreamBytes)},
		{"request line and headers", size(router.DefaultHeaderBytes)},
		{"reply headers", size(router.MaxReplyHeaderBytes)},
		{"slow clients", span(router.DefaultHeaderTimeout) + " for a header, " + span(router.DefaultBodyTimeout) + " for a body, " +
			span(router.DefaultIdleTimeout) + " idle"},
		{"environment of a version", size(registry.MaxEnvBytes)},
		{"routes of a function", fmt.Sprint(registry.MaxRoutes)},
		{"triggers of a function", fmt.Sprint(registry.MaxTriggers)},
		{"functions of a manifest", fmt.Sprint(manifest.MaxFunctions)},
		{"aliases of a function", fmt.Sprint(registry.MaxAliases)},
		{"versions kept", fmt.Sprintf("%d, and those an alias names", registry.Retained)},
		{"store calls of an invocation", fmt.Sprint(runtime.DefaultStoreCalls)},
		{"queue and topic calls of an invocation", fmt.Sprint(runtime.DefaultQueueCalls)},
		{"object calls of an invocation", fmt.Sprint(runtime.DefaultObjectCalls)},
		{"fetches and invocations of an invocation", fmt.Sprint(runtime.DefaultOutgoing)},
		{"depth of functions that invoke one another", fmt.Sprint(abi.MaxDepth)},
		{"what one invocation may log", size(runtime.DefaultLogBytes) + ", lines of " + size(runtime.MaxLineBytes)},
		{"compiled code in memory", fmt.Sprintf("%s, %d modules", size(runtime.DefaultCodeBytes), runtime.DefaultCodeModules)},
		{"images in memory", size(runtime.DefaultImageBytes)},
		{"free disk", size(store.MinFreeBytes + store.ReserveBytes)},
		{"key, value", size(op.MaxKeyBytes) + ", " + size(op.MaxValueBytes)},
		{"message", size(op.MaxMessageBytes)},
		{"messages in flight of a queue", fmt.Sprint(op.MaxInFlight)},
		{"retention of a queue", span(op.DefaultRetention) + ", up to " + span(op.MaxRetention)},
		{"visibility timeout of a queue", span(op.DefaultVisibility) + ", up to " + span(op.MaxVisibility)},
		{"event of the bus put at once", fmt.Sprint(registry.MaxEvents)},
		{"object", size(op.MaxObjectPutBytes) + " at once, " + size(op.MaxObjectBytes) + " in parts"},
		{"buckets of an app", fmt.Sprint(op.MaxBuckets)},
		{"tokens", fmt.Sprint(admin.MaxTokens)},
		{"invites of a cluster", fmt.Sprintf("%d, for %s each, up to %s", trust.MaxInvites, span(trust.DefaultInviteTTL), span(trust.MaxInviteTTL))},
		{"voters", fmt.Sprint(placement.MaxVoters)},
		{"manifest file", size(manifest.MaxFileBytes)},
	} {
		if got := rows[limit.row]; got != limit.want {
			t.Errorf("docs/OPERATIONS.md says of the limit %q: %q, want %q", limit.row, got, limit.want)
		}
	}
}

// size is a number of bytes in the largest unit that has it whole.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	unit := 0
	for ; n%1024 == 0 && unit < len(units)-1; unit++ {
		n /= 1024
	}
	return fmt.Sprintf("%d %s", n, units[unit])
}

// span is a time in the largest unit that has it whole, from seconds to days; days from two on.
func span(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d%unit.of == 0 && (unit.name != "days" || d > unit.of) {
			return fmt.Sprintf("%d %s", d/unit.of, unit.name)
		}
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
