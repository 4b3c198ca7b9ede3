package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// Of TestStreamFaults.
const (
	streamFaultKills    = 4
	streamFaultCounters = 20
	streamFaultEach     = 40 // times that each counter grows
)

// TestStreamFaults counts while nodes are killed. A function that follows the counters, and fails one attempt in ten, sees
// each grow by one, in order, with the value before, up to where it ends.
func TestStreamFaults(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("compiling a Go guest takes minutes with the race detector, and what a killed node owned waits 15 seconds")
	}
	t.Parallel() // most of its time it waits
	c := startCluster(t, 3)
	digest := c.uploadFaulty(t)
	stream := registry.StreamSource{Prefix: "counter/", Parallel: 3, BatchSize: 20, ReportItems: true, Bisect: true}
	request := client.DeployRequest{Functions: []client.DeployFunction{
		{Name: "follow", Digest: digest, Settings: registry.Settings{Handler: "follow", Triggers: []registry.Trigger{{Stream: &stream}}}},
	}}
	if _, err := c.client.Deploy(t.Context(), c.app, request); err != nil {
		t.Fatal(err)
	}
	f := newFaultRun(c, faultPlan{kills: streamFaultKills})
	var counting sync.WaitGroup
	counting.Go(func() {
		for n := range streamFaultCounters * streamFaultEach {
			f.ask(t, func(ctx context.Context, at *client.Client) error {
				_, err := at.KV().Incr(ctx, f.app, fmt.Sprint("counter/", n%streamFaultCounters), client.Incr{Delta: 1})
				return err
			})
			time.Sleep(20 * time.Millisecond) // so that it goes on while nodes are killed
		}
	})
	f.harm(t)
	counting.Wait()
	want := f.counts(t, "counter/")
	eventually(t, "the function has followed", func(context.Context) error {
		followed := f.counts(t, "followed/")
		for key, n := range want {
			if followed[key] != n {
				time.Sleep(200 * time.Millisecond)
				return fmt.Errorf("counter %s to %d, not to %d", key, followed[key], n)
			}
		}
		return nil
	})
	if faults := f.counts(t, "faults/"); len(faults) > 0 || len(want) != streamFaultCounters {
		t.Errorf("%d counters, out of order: %v", len(want), faults)
	}
}
