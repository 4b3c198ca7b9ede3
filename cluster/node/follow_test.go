package node

import (
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/registry"
)

// TestRefreshWaits: what one refresh has read and not served yet, another does not take for served. A node that
// starts is ready after its own one, while another runs.
func TestRefreshWaits(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	n.swapping.Lock() // nothing is served from here on
	elsewhere, err := registry.Open(t.Context(), n.store)
	if err != nil {
		t.Fatal(err)
	}
	one := registry.Change{Name: "one", Module: registry.Module{Digest: strings.Repeat("0", 64), Kind: registry.KindCommand}}
	if _, err := elsewhere.Deploy(t.Context(), "default", []registry.Change{one}); err != nil {
		t.Fatal(err)
	}
	for n.registry.Snapshot().Function("default", "one") == nil { // the follower has read it and waits to serve it
		time.Sleep(time.Millisecond)
	}
	refreshed := make(chan struct{})
	go func() { n.refresh(t.Context()); close(refreshed) }()
	select {
	case <-refreshed:
		t.Error("a refresh returned before what the store says is served")
	case <-time.After(50 * time.Millisecond):
	}
	n.swapping.Unlock()
	<-refreshed
	n.swapping.Lock()
	defer n.swapping.Unlock()
	if n.served.Function("default", "one") == nil {
		t.Error("after a refresh the function is not served")
	}
}
