package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
)

const (
	oneNode = "one node" // what is measured

	mib        = 1 << 20
	maxMetrics = 4 << 20 // bytes of a page of metrics
)

// What is sampled, beside the parts of the data directory.
const (
	resident   record.Metric = "resident_mib" // with pages of files that the system may take back
	own        record.Metric = "own_mib"      // without them
	heap       record.Metric = "heap_mib"     // what Go's collector last found alive
	goroutines record.Metric = "goroutines_count"
	files      record.Metric = "descriptors_count"
	disk       record.Metric = "disk_mib"          // without what is kept for some time
	kept       record.Metric = "kept_mib"          // on disk, for some time
	cpu        record.Metric = "cpu_percent_count" // of a core
	rate       record.Metric = "calls_per_s"
)

// sample is what a node took at the end of an interval, or in it.
type sample struct {
	at    time.Duration // when it began
	taken map[record.Metric]float64
	parts map[string]float64 // of the data directory, in MiB
}

// sampler takes samples.
type sampler struct {
	node    *subject.Up
	data    string
	traffic *traffic

	answered int64 // before
	used     time.Duration
}

// every takes samples as long as the run lasts.
func (s sampler) every(ctx context.Context, length time.Duration) (all series, err error) {
	every := max(length/samples, shortest)
	tick := time.NewTicker(every)
	defer tick.Stop()
	if s.used, err = subject.CPU(s.node.PID()); err != nil {
		return nil, err
	}
	for i := range int(length / every) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		one, err := s.take(ctx, every)
		if err != nil {
			return nil, err
		}
		one.at = time.Duration(i) * every
		all = append(all, one)
	}
	return all, nil
}

func (s *sampler) take(ctx context.Context, every time.Duration) (sample, error) {
	one := sample{taken: map[record.Metric]float64{}}
	err := s.metrics(ctx, one.taken)
	kib, err2 := subject.ResidentKiB(s.node.PID())
	ownKiB, err3 := subject.OwnKiB(s.node.PID())
	one.taken[resident], one.taken[own] = float64(kib)/1024, float64(ownKiB)/1024
	used, err4 := subject.CPU(s.node.PID())
	one.taken[cpu], s.used = 100*(used-s.used).Seconds()/every.Seconds(), used
	answered := s.traffic.answered.Load()
	one.taken[rate], s.answered = float64(answered-s.answered)/every.Seconds(), answered
	var err5 error
	one.parts, err5 = parts(s.data)
	for area, size := range one.parts {
		if slices.Contains(keepers(), area) {
			one.taken[kept] += size
		} else {
			one.taken[disk] += size
		}
	}
	return one, errors.Join(err, err2, err3, err4, err5)
}

// metrics reads what the node says of itself.
func (s *sampler) metrics(ctx context.Context, to map[record.Metric]float64) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.node.Admin+"/metrics", nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxMetrics))
	if err != nil {
		return err
	}
	wanted := map[string]record.Metric{"go_gc_heap_live_bytes": heap, "go_goroutines": goroutines, "process_open_fds": files}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		m, ok := wanted[name]
		if !ok {
			continue
		}
		if to[m], err = strconv.ParseFloat(value, 64); err != nil {
			return fmt.Errorf("read metrics: %w", err)
		}
		if m == heap {
			to[m] /= mib
		}
	}
	return nil
}

// areas are the parts of a data directory.
func areas() []string {
	return []string{"store/state", "store/log", "runtime/modules", "runtime/cache", "runtime/images", "objects", "logs"}
}

// keepers are the areas that keep for some time what was changed or overwritten: an hour of changes, objects' bytes for
// twelve hours, logs for seven days up to a limit. In the first hour they grow, as much as is written.
func keepers() []string { return []string{"store/state", "objects", "logs"} }

// parts answers how much of the disk each area takes, in MiB. What is in none of them is small and stays so: "rest".
func parts(data string) (map[string]float64, error) {
	all := map[string]float64{"rest": 0}
	for _, a := range areas() {
		all[a] = 0
	}
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // it was removed meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		in := "rest"
		for _, a := range areas() {
			if strings.HasPrefix(path, filepath.Join(data, a)+string(filepath.Separator)) {
				in = a
			}
		}
		all[in] += blocks(info)
		return nil
	})
	return all, err
}

// blocks is what a file has of the disk: others are longer than what is in them.
func blocks(info fs.FileInfo) float64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return float64(s.Blocks) * 512 / mib
	}
	return float64(info.Size()) / mib
}

// series are the samples of a run.
type series []sample

// keep records the samples, as figures of quarters and as curves.
func (s series) keep(f *record.File) {
	for i, one := range s {
		quarter := quarters()[i*4/len(s)]
		for _, m := range slices.Sorted(maps.Keys(one.taken)) {
			f.Add(record.Key{Bench: name, Work: oneNode, Subject: quarter, Metric: m}, one.taken[m])
		}
		for _, part := range slices.Sorted(maps.Keys(one.parts)) {
			f.Add(record.Key{Bench: name, Work: "data directory", Subject: quarter, Metric: record.Metric(part + "_mib")}, one.parts[part])
		}
	}
	for _, m := range []record.Metric{resident, own, heap} {
		s.curve(f, m, "memory, MiB")
	}
	for _, m := range []record.Metric{goroutines, files} {
		s.curve(f, m, "number")
	}
	for _, a := range areas() {
		c := s.curve(f, record.Metric(a), "disk, MiB")
		for _, one := range s {
			c.Points = append(c.Points, [2]float64{one.at.Minutes(), one.parts[a]})
		}
	}
	s.curve(f, rate, "requests and calls a second")
}

// curve adds the line of a metric.
func (s series) curve(f *record.File, m record.Metric, y string) *record.Curve {
	subject, _ := m.Parts()
	c := &record.Curve{Bench: name, Work: oneNode, Subject: subject, X: "minutes", Y: y}
	for _, one := range s {
		if v, ok := one.taken[m]; ok {
			c.Points = append(c.Points, [2]float64{one.at.Minutes(), v})
		}
	}
	f.Curves = append(f.Curves, c)
	return c
}

func quarters() [4]string {
	return [4]string{"first quarter", "second quarter", "third quarter", "last quarter"}
}
