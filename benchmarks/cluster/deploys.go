package cluster

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/client"
)

// Limits that the issue sets.
const (
	deployBeyondCompile = 20 * time.Millisecond
	servedElsewhere     = time.Second
)

// parts of a deployment, in their order. The steps are those of sett_cluster_deploy_seconds.
func parts() []string {
	return []string{"upload", "compile", "try", "spread", "commit", "switch", "settle", "the rest", "beyond compile", "elsewhere answered", "elsewhere loaded"}
}

// meaning says what a part is.
func meaning(part string) string {
	return map[string]string{
		"upload":             "the module's bytes to the node, and their fsync",
		"compile":            "the module, on the node that was asked",
		"try":                "an instance and its image",
		"spread":             "the module to a second node",
		"commit":             "the record, by the group",
		"switch":             "of the node's own table",
		"settle":             "until the other nodes know",
		"the rest":           "HTTP, JSON",
		"beyond compile":     "all of the above but compile: what the deployment took",
		"elsewhere answered": "after it, until both other nodes had answered a request",
		"elsewhere loaded":   "after it, until both other nodes ran it themselves",
	}[part]
}

// deployments are what they took, by part.
type deployments map[string]spread

// measureDeploys deploys small modules to the first node, each another one.
func measureDeploys(ctx context.Context, d *den, p plan, out *record.Output) error {
	took := deployments{}
	for i := range p.deploys + 1 {
		if i == 1 { // the first one opened connections
			took = deployments{}
		}
		if err := d.deploy(ctx, i, took); err != nil {
			return err
		}
	}
	fmt.Fprintf(out.Out, "%d deployments of different small modules to one of %d nodes\n", p.deploys, nodes)
	for _, part := range parts() {
		fmt.Fprintf(out.Out, "  %-18s %s\n", part, meaning(part))
		add(out.File, "deployment of a small module", part, "took_ms", took[part])
	}
	beyond, elsewhere := took["beyond compile"].median(), took["elsewhere loaded"].worst()
	fmt.Fprintf(out.Out, "deployment beyond compile: median %s (below %s: %s); other nodes run it after %s at worst (below %s: %s)\n\n",
		milli(beyond), deployBeyondCompile, record.Want(beyond < deployBeyondCompile), milli(elsewhere), servedElsewhere, record.Want(elsewhere < servedElsewhere))
	return nil
}

// add adds what each time took.
func add(f *record.File, work, subject string, m record.Metric, took spread) {
	for _, d := range took {
		f.Add(record.Key{Bench: name, Work: work, Subject: subject, Metric: m}, float64(d.Microseconds())/1000)
	}
}

func milli(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// deploy makes one deployment and adds what it took.
func (d *den) deploy(ctx context.Context, i int, took deployments) error {
	to := d.members[0]
	name := "small" + strconv.Itoa(i)
	module := wasmtest.Answer(name)
	before, err := steps(ctx, to)
	if err != nil {
		return err
	}
	begin := time.Now()
	digest, err := subject.Upload(ctx, to.client, module)
	if err != nil {
		return err
	}
	uploaded := time.Now()
	request := client.DeployRequest{Functions: []client.DeployFunction{{Name: name, Digest: digest}}}
	if _, err := to.client.Deploy(ctx, registry.DefaultApp, request); err != nil {
		return err
	}
	deployed := time.Now()
	if err := d.elsewhere(ctx, name, took, deployed); err != nil {
		return err
	}
	after, err := steps(ctx, to)
	if err != nil {
		return err
	}
	rest := deployed.Sub(uploaded)
	for step, sum := range after {
		step, one := step, sum-before[step]
		took[step] = append(took[step], one)
		rest -= one
	}
	took["upload"] = append(took["upload"], uploaded.Sub(begin))
	took["the rest"] = append(took["the rest"], rest)
	took["beyond compile"] = append(took["beyond compile"], deployed.Sub(begin)-(after["compile"]-before["compile"]))
	return nil
}

// elsewhere waits for the other nodes, and adds how long that was.
func (d *den) elsewhere(ctx context.Context, name string, took deployments, deployed time.Time) error {
	v := client.VersionName{App: registry.DefaultApp, Function: name, Version: 1}
	for _, m := range d.others(d.members[0]) {
		text, err := ask(ctx, http.DefaultClient, request{http.MethodGet, m.HTTP, "/" + name})
		if err == nil && text != name {
			err = fmt.Errorf("answered %q", text)
		}
		if err != nil {
			return fmt.Errorf("ask another node right after: %w", err)
		}
	}
	took["elsewhere answered"] = append(took["elsewhere answered"], time.Since(deployed))
	for _, m := range d.others(d.members[0]) {
		err := until(ctx, "the other nodes run it", func() (bool, error) {
			at, err := m.client.Rollout(ctx, v, true)
			return len(at) == 1 && at[0].State == client.VersionServing, err
		})
		if err != nil {
			return err
		}
	}
	took["elsewhere loaded"] = append(took["elsewhere loaded"], time.Since(deployed))
	return nil
}

// steps are how long a node has spent in each step of deployments.
func steps(ctx context.Context, m *member) (map[string]time.Duration, error) {
	text, err := ask(ctx, http.DefaultClient, request{http.MethodGet, m.Admin, "/metrics"})
	if err != nil {
		return nil, err
	}
	sums := map[string]time.Duration{}
	for line := range strings.Lines(text) {
		labelled, ok := strings.CutPrefix(line, `sett_cluster_deploy_seconds_sum{step="`)
		if !ok {
			continue
		}
		step, value, _ := strings.Cut(labelled, `"} `)
		seconds, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
		sums[step] = time.Duration(seconds * float64(time.Second))
	}
	return sums, nil
}
