package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// Of streamWork.
const (
	streamFaultCounters = 20
	streamFaultEach     = 40 // times that each counter grows
)

// streamWork counts. A function that follows the counters, and fails one attempt in ten, sees each grow by one, in order, with
// the value before, up to where it ends.
func streamWork(t *testing.T, f *faultRun) (load, check func(*testing.T)) {
	stream := registry.StreamSource{Prefix: "counter/", Parallel: 3, BatchSize: 20, ReportItems: true, Bisect: true}
	request := client.DeployRequest{Functions: []client.DeployFunction{
		{Name: "follow", Digest: f.digest, Settings: registry.Settings{Handler: "follow", Triggers: []registry.Trigger{{Stream: &stream}}}},
	}}
	if _, err := f.client.Deploy(t.Context(), f.app, request); err != nil {
		t.Fatal(err)
	}
	return f.count, f.checkFollowed
}

func (f *faultRun) count(t *testing.T) {
	for n := range streamFaultCounters * streamFaultEach {
		f.ask(t, func(ctx context.Context, at *client.Client) error {
			_, err := at.KV().Incr(ctx, f.app, fmt.Sprint("counter/", n%streamFaultCounters), client.Incr{Delta: 1})
			return err
		})
		time.Sleep(20 * time.Millisecond) // so that it goes on while nodes are killed
	}
}

func (f *faultRun) checkFollowed(t *testing.T) {
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
