package admin

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// Counts of a bench.
const (
	defaultBenchCold = 20     // and of the image path
	defaultBenchWarm = 200    // and of resets
	maxBenchCount    = 10_000 // of each path; more keeps the node busy longer
)

// bench measures the live version on this node, one bench at a time. It goes to the runtime and not through the
// door: admission would be measured with it, and its figures are not the function's traffic.
func (a *Admin) bench(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.BenchRequest
	if err := a.readJSON(w, r, max(a.limits.JSONBytes, defaultInvokeBytes), &ask); err != nil {
		return err
	}
	if ask.Cold == 0 && ask.Image == 0 && ask.Warm == 0 && ask.Reset == 0 {
		ask.Cold, ask.Image, ask.Warm, ask.Reset = defaultBenchCold, defaultBenchCold, defaultBenchWarm, defaultBenchWarm
	}
	for _, n := range []int{ask.Cold, ask.Image, ask.Warm, ask.Reset} {
		if n < 0 || n > maxBenchCount {
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("cold, image, warm, reset: each is between 0 and %d", maxBenchCount))
		}
	}
	if ask.Request == nil {
		ask.Request = &client.InvokeRequest{}
	}
	event, err := eventOf(*ask.Request, r, http.MethodGet)
	if err != nil {
		return err
	}
	f, err := a.function(r)
	if err != nil {
		return err
	}
	v := liveVersion(f)
	if v == nil {
		return abi.WithCode(abi.NotFound, fmt.Errorf("function %s: no version is live", f.Name))
	}
	if err := a.benches.enter("benches, which would disturb one another,"); err != nil {
		return err
	}
	defer a.benches.leave()
	event.App, event.Function, event.Version, event.Attempt = f.App, f.Name, v.Number, 1
	if event.Handler == "" {
		event.Handler = v.Settings.Handler
	}
	out := client.BenchResponse{App: f.App, Function: f.Name, Version: v.Number, Runs: []client.BenchRun{}}
	for _, run := range []struct {
		path  string
		count int
	}{
		{client.PathCold, ask.Cold}, {client.PathImage, ask.Image}, {client.PathWarm, ask.Warm}, {client.PathReset, ask.Reset},
	} {
		if run.count == 0 {
			continue
		}
		took, err := a.config.Bencher.Bench(r.Context(), v, event, run.path, run.count)
		if err != nil {
			return err
		}
		out.Runs = append(out.Runs, summarise(run.path, took))
	}
	return answer(w, http.StatusOK, out)
}

// summarise sorts durations and reads the quantiles off: the smallest value that so many are not above.
func summarise(path string, took []time.Duration) client.BenchRun {
	slices.Sort(took)
	run := client.BenchRun{Path: path, Count: len(took), SamplesUS: make([]float64, 0, len(took))}
	for _, d := range took {
		run.SamplesUS = append(run.SamplesUS, float64(d.Nanoseconds())/1e3)
	}
	if len(took) == 0 {
		return run
	}
	at := func(percent int) float64 { return run.SamplesUS[(len(took)*percent+99)/100-1] }
	run.P50US, run.P90US, run.P99US, run.MaxUS = at(50), at(90), at(99), at(100)
	return run
}
