package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// logPause is how long a log that was cut off waits before it is asked for again.
const logPause = time.Second

// redeployed is what one change came to.
type redeployed struct {
	Functions []client.Deployed `json:"functions"`
	Removed   []string          `json:"removed"`
	TookMS    int64             `json:"took_ms"`  // from the first that was heard of the change until it serves
	BuildMS   int64             `json:"build_ms"` // of it, what toolchains took
}

// turn answers a change: it builds what is touched, deploys, and says so. What goes wrong is told, and what was deployed
// before goes on serving.
func (d *dev) turn(ctx context.Context, c change) {
	done, err := d.redeploy(ctx, c)
	if err == nil && done != nil {
		err = d.showRedeployed(*done)
	}
	if err == nil || ctx.Err() != nil {
		d.fault = ""
		return
	}
	// Told again when a source was saved again. Else what is written in the project, our own output it may be, would
	// make us write.
	if told := d.fault; told != err.Error() || c.sources() {
		d.fault = err.Error()
		d.report(fmt.Errorf("dev: %w", err), d.format == formatJSON)
	}
}

// redeploy makes the node serve the project as it is now. It answers nil when it does already.
func (d *dev) redeploy(ctx context.Context, c change) (*redeployed, error) {
	p, err := openProject(d.path, d.given)
	if err != nil {
		d.noteChanged(c)
		return nil, err
	}
	if !slices.Equal(p.notes, d.notes) {
		d.showNotes(p)
		d.notes = p.notes
	}
	if err := d.meet(p); err != nil {
		return nil, err
	}
	d.noteChanged(c)
	if d.current(p) {
		return nil, nil
	}
	d.served = nil
	done := &redeployed{}
	start := time.Now()
	if err := d.buildTouched(ctx, p); err != nil {
		return nil, err
	}
	done.BuildMS = time.Since(start).Milliseconds()
	if done.Functions, done.Removed, err = d.replace(ctx, p); err != nil {
		return nil, fmt.Errorf("deploy %s%w", p.title(d.path, err), err)
	}
	d.served = p
	done.TookMS = time.Since(c.first).Milliseconds()
	return done, nil
}

// meet takes in which app and modules the project has.
func (d *dev) meet(p *project) error {
	d.app = d.appAsked
	d.useApp(p)
	modules := make(map[string]*devModule, len(p.functions))
	for _, f := range p.functions {
		m := d.modules[f.module.file]
		if m == nil || m.module != f.module {
			m = &devModule{module: f.module}
		}
		if f.module.language != goLanguage {
			path, err := whole(cmp.Or(f.module.sourcePath(p.dir), f.module.file))
			if err != nil {
				return err
			}
			m.path = path
		}
		modules[f.module.file] = m
	}
	d.modules = modules
	if d.logs == nil || d.logs.app != d.app {
		d.logs.end()
		d.logs = d.follow(d.app)
	}
	return nil
}

// noteChanged marks the modules that a change concerns.
func (d *dev) noteChanged(c change) {
	for _, m := range d.modules {
		if m.touched(c) {
			m.fresh = false
		}
	}
}

// current says whether the project is what is served.
func (d *dev) current(p *project) bool {
	for _, m := range d.modules {
		if !m.fresh {
			return false
		}
	}
	return d.served != nil && reflect.DeepEqual(d.served, p)
}

// buildTouched builds the modules that are not fresh, and watches what they are made of. All faults come at once.
func (d *dev) buildTouched(ctx context.Context, p *project) error {
	var faults []error
	for _, f := range p.functions {
		m := d.modules[f.module.file]
		if m.fresh {
			continue
		}
		m.fresh = true
		if m.source != "" {
			packages, err := buildModule(ctx, p.dir, m.module)
			if err != nil {
				m.fresh = false
				faults = append(faults, err)
			}
			if len(packages) > 0 { // else go list could not tell, and those of before are the better guess
				if m.packages, err = localPackages(packages); err != nil {
					return err
				}
			}
		}
		for _, folder := range m.folders() {
			if err := d.watcher.add(folder); err != nil {
				return err
			}
		}
	}
	return errors.Join(faults...)
}

// replace deploys the project. On a node that is there for it alone, functions go that are not in it any more, and go
// first when they are in the way: their routes may be another's now.
func (d *dev) replace(ctx context.Context, p *project) (done []client.Deployed, removed []string, err error) {
	done, err = d.deployBuilt(ctx, d.client, p)
	if err != nil && (!d.alone || abi.CodeOf(err) != abi.Conflict) {
		return nil, nil, err
	}
	if !d.alone {
		return done, nil, nil
	}
	removed, gone := d.removeOthers(ctx, p)
	if gone != nil {
		return nil, nil, errors.Join(err, gone)
	}
	if err != nil && len(removed) > 0 {
		done, err = d.deployBuilt(ctx, d.client, p)
	}
	return done, removed, err
}

// removeOthers removes what is no function of the project.
func (d *dev) removeOthers(ctx context.Context, p *project) (removed []string, err error) {
	all, err := d.client.Functions(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.App == d.app && slices.ContainsFunc(p.functions, func(own function) bool { return own.name == f.Name }) {
			continue
		}
		if err := d.client.Remove(ctx, f.App, f.Name); err != nil {
			return removed, fmt.Errorf("remove %s: %w", f.Name, err)
		}
		removed = append(removed, f.Name)
		delete(d.urls, f.Name)
	}
	return removed, nil
}

// showRedeployed prints a line, and the URLs of functions that are new.
func (d *dev) showRedeployed(r redeployed) error {
	if d.format == formatJSON {
		r.Functions, r.Removed = notNil(r.Functions), notNil(r.Removed)
		return d.jsonLine(r)
	}
	line := fmt.Sprintf("%s in %s (build %s%s)\n", r.summary(), milliText(r.TookMS), milliText(r.BuildMS), r.compiled())
	for _, f := range r.Functions {
		if d.urls[f.Function] != f.URL {
			line += fmt.Sprintf("  %s  %s\n", printable(f.Function), printable(f.URL))
			d.urls[f.Function] = f.URL
		}
	}
	_, err := d.out.Write([]byte(line))
	return err
}

// summary says which versions are new or, when none is, which ones serve.
func (r redeployed) summary() string {
	var fresh, all []string
	for _, f := range r.Functions {
		word := fmt.Sprintf("%s v%d", printable(f.Function), f.Version)
		if all = append(all, word); !f.Unchanged {
			fresh = append(fresh, word)
		}
	}
	for _, name := range r.Removed {
		fresh = append(fresh, printable(name)+" removed")
	}
	if len(fresh) == 0 {
		return "serving " + strings.Join(all, ", ")
	}
	return "deployed " + strings.Join(fresh, ", ")
}

// compiled says how long the node compiled modules, empty when it had them.
func (r redeployed) compiled() string {
	took := map[string]int64{} // by digest: functions may share one
	total := int64(0)
	for _, f := range r.Functions {
		total += f.CompileMS - took[f.Digest]
		took[f.Digest] = f.CompileMS
	}
	if total == 0 {
		return ""
	}
	return ", compile " + milliText(total)
}

// jsonLine prints a document on a line.
func (d *dev) jsonLine(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	_, err = d.out.Write(append(text, '\n'))
	return err
}

// follower prints an app's log.
type follower struct {
	app   string
	stop  context.CancelFunc
	group sync.WaitGroup
}

// follow prints what an app's functions write from now on, until it is ended.
func (d *dev) follow(app string) *follower {
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{app: app, stop: stop}
	since := time.Now()
	f.group.Go(func() {
		for ctx.Err() == nil {
			since = d.printLogs(ctx, client.LogQuery{App: app, Since: since, Follow: true})
			select {
			case <-time.After(logPause):
			case <-ctx.Done():
			}
		}
	})
	return f
}

// printLogs prints lines until the node ends them, and answers from when on more may follow. Why it ended is not told:
// the next deployment meets it as well.
func (d *dev) printLogs(ctx context.Context, q client.LogQuery) (next time.Time) {
	next = q.Since
	for line, err := range d.client.Logs(ctx, q) {
		if err != nil || d.showLine(line) != nil {
			break
		}
		next = line.Time.Add(time.Nanosecond)
	}
	return next
}

// end waits for the last line. Of no follower it does nothing.
func (f *follower) end() {
	if f != nil {
		f.stop()
		f.group.Wait()
	}
}
