package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// deployFlags are the settings of a single module; a project has them in its manifest.
type deployFlags struct {
	name                          string
	routes, env                   []string
	hosts                         []string
	schedules, queues, topics     []string
	memory, provisioned, reserved int
	isolation, effects            string
	streaming                     bool
	timeout                       time.Duration
}

// names of the flags that stand in a manifest instead.
func (deployFlags) names() []string {
	return []string{"name", "route", "memory", "timeout", "env", "provisioned", "reserved", "isolation", "effects", "streaming", "allow-host", "schedule", "queue", "topic"}
}

// deploy uploads modules and makes new versions live, all at once.
func (c *cli) deploy() *cobra.Command {
	var flags deployFlags
	var given variables
	cmd := &cobra.Command{
		Use:   "deploy [FILE.wasm|DIR|MANIFEST]",
		Short: "Build what has source, upload it, and make it live",
		Example: "  sett deploy hello.wasm --route 'GET /hello/{name}'\n" +
			"  sett deploy                   build and deploy what this folder's sett.yaml describes",
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := "."
			if len(args) > 0 {
				what = args[0]
			}
			p, err := openProject(what, given)
			if err != nil {
				return fmt.Errorf("deploy: %w", err)
			}
			if err := flags.apply(cmd, p); err != nil {
				return fmt.Errorf("deploy: %w", err)
			}
			c.showNotes(p)
			c.useApp(p)
			done, err := c.deployProject(cmd.Context(), p)
			if err != nil {
				return fmt.Errorf("deploy %s%w", p.title(what, err), err)
			}
			if err := c.noteMissing(cmd.Context(), p); err != nil {
				return fmt.Errorf("deploy: %w", err)
			}
			if err := c.awaitNodes(cmd.Context(), done); err != nil {
				return fmt.Errorf("deploy: %w", err)
			}
			return c.showDeployed(done, p.made)
		},
	}
	given.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.name, "name", "", "`NAME` name of the function (default the file's)")
	f.StringArrayVar(&flags.routes, "route", nil, "`PATTERN` pattern it answers, such as 'GET /users/{id}' (repeatable)")
	f.IntVar(&flags.memory, "memory", 0, "`MB` memory limit (default 128)")
	f.DurationVar(&flags.timeout, "timeout", 0, "`TIME` how long an invocation may take (default 30s)")
	f.StringArrayVar(&flags.env, "env", nil, "`KEY=VALUE` environment variable (repeatable)")
	f.IntVar(&flags.provisioned, "provisioned", 0, "keep `N` instances ready (default 0)")
	f.IntVar(&flags.reserved, "reserved", 0, "at most `N` concurrent invocations (default 100)")
	f.StringArrayVar(&flags.hosts, "allow-host", nil, "`HOST` host it may call: api.example.com, *.example.com (repeatable, default none)")
	f.StringArrayVar(&flags.schedules, "schedule", nil, "`EXPRESSION` when it is invoked, such as 'rate(1 hour)' or 'cron(0 9 * * ? *)' (repeatable)")
	f.StringArrayVar(&flags.queues, "queue", nil, "`NAME` queue whose messages it is given (repeatable)")
	f.StringArrayVar(&flags.topics, "topic", nil, "`NAME` topic it is subscribed to (repeatable)")
	f.StringVar(&flags.effects, "effects", "", "`MODE` transactional: what it writes and sends happens once it has succeeded (default at once)")
	f.BoolVar(&flags.streaming, "streaming", false, "large request bodies come, and a command's reply is sent, in pieces")
	f.StringVar(&flags.isolation, "isolation", "", "`MODE` strict: an instance for each invocation (default one that is reset between them)")
	return cmd
}

// useApp works in the manifest's app, unless another was given.
func (c *cli) useApp(p *project) {
	if p.app != "" && !c.appGiven {
		c.app = p.app
	}
}

// title is how an error names a project, unless it does so itself: its function, or what the person wrote.
func (p *project) title(arg string, err error) string {
	if len(p.functions) == 1 {
		arg = p.functions[0].name
	}
	if strings.HasPrefix(err.Error(), arg+": ") {
		return ""
	}
	return arg + ": "
}

// apply puts the flags into the only function of a project without a manifest. All faults come at once.
func (d deployFlags) apply(cmd *cobra.Command, p *project) error {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	if p.manifest != "" {
		for _, name := range d.names() {
			if given(name) {
				return usage("--%s is for a single module; here it stands in %s", name, p.manifest)
			}
		}
		return nil
	}
	f := &p.functions[0]
	if given("name") {
		f.name = d.name
	}
	var faults []error
	if err := registry.CheckName("function", f.name); err != nil {
		if !given("name") {
			err = abi.WithCode(abi.InvalidInput, fmt.Errorf("%w; choose one with --name", err))
		}
		faults = append(faults, err)
	}
	s := registry.Settings{MemoryMB: d.memory, TimeoutMS: int(d.timeout.Milliseconds()), Provisioned: d.provisioned, Reserved: d.reserved,
		Isolation: registry.Isolation(d.isolation), Effects: registry.Effects(d.effects), Streaming: d.streaming}
	for _, zero := range []struct {
		name  string
		value int
	}{{"memory", s.MemoryMB}, {"timeout", s.TimeoutMS}, {"reserved", s.Reserved}} {
		if given(zero.name) && zero.value == 0 {
			faults = append(faults, abi.WithCode(abi.InvalidInput, fmt.Errorf("--%s: it is more than nothing", zero.name)))
		}
	}
	for _, pattern := range d.routes {
		s.Routes = append(s.Routes, registry.Route{Pattern: pattern})
	}
	s.Triggers, s.Egress = d.triggers(), d.hosts
	env, err := keyValues("env", d.env)
	s.Env = env
	faults = append(faults, err, cmp.Or(s.Validate(), trigger.Check(s)))
	f.settings = s
	if err := errors.Join(faults...); err != nil {
		return usageError{err}
	}
	return nil
}

// triggers are what invokes the function besides HTTP.
func (d deployFlags) triggers() (all []registry.Trigger) {
	for _, expression := range d.schedules {
		all = append(all, registry.Trigger{Schedule: &registry.Schedule{Expressions: []string{expression}}})
	}
	for _, queue := range d.queues {
		all = append(all, registry.Trigger{Queue: &registry.QueueSource{Queue: queue}})
	}
	for _, topic := range d.topics {
		all = append(all, registry.Trigger{Topic: &registry.TopicSource{Topic: topic}})
	}
	return all
}

// keyValues reads the KEY=VALUE of a repeatable flag.
func keyValues(flag string, words []string) (map[string]string, error) {
	values := make(map[string]string, len(words))
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok || name == "" {
			return nil, usage("--%s %q: it is KEY=VALUE", flag, w)
		}
		values[name] = value
	}
	return values, nil
}

// deployProject builds, uploads every module the node does not have, then makes one deployment of it all.
func (c *cli) deployProject(ctx context.Context, p *project) ([]client.Deployed, error) {
	node, err := c.client()
	if err != nil {
		return nil, err
	}
	if _, err := c.buildProject(ctx, p); err != nil {
		return nil, err
	}
	return c.deployBuilt(ctx, node, p)
}

// deployBuilt is deployProject with the modules built. Queues and topics are made just before, so that nothing that can be
// seen to be wrong leaves them behind; when the deployment itself is refused, they stay.
func (c *cli) deployBuilt(ctx context.Context, node *client.Client, p *project) ([]client.Deployed, error) {
	digests := map[string]string{} // by file
	var request client.DeployRequest
	for _, f := range p.functions {
		digest, done := digests[f.module.file]
		if !done {
			var err error
			if digest, err = c.upload(ctx, node, f.module); err != nil {
				return nil, err
			}
			digests[f.module.file] = digest
		}
		request.Functions = append(request.Functions, client.DeployFunction{Name: f.name, Digest: digest, Settings: f.settings})
	}
	if err := c.makeChannels(ctx, node, p); err != nil {
		return nil, err
	}
	line := c.progress("compiling on %s", node.Node())
	defer line.done()
	response, err := node.Deploy(ctx, c.app, request)
	return response.Functions, err
}

// upload gives the node a module, unless it has it, and answers its digest.
func (c *cli) upload(ctx context.Context, node *client.Client, m module) (string, error) {
	f, err := os.Open(m.file)
	if err != nil {
		return "", notThere(m.file, err)
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", m.file, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("read %s: %w", m.file, err)
	}
	digest := hex.EncodeToString(hash.Sum(nil))
	line := c.progress("uploading %s", m.name)
	defer line.done()
	_, err = node.UploadModule(ctx, client.Upload{Digest: digest, SizeBytes: size, Body: f, Progress: func(sent int64) {
		line.set("uploading %s  %s of %s", m.name, sizeText(sent), sizeText(size))
	}})
	if err != nil {
		return "", fmt.Errorf("upload: %w", err)
	}
	return digest, nil
}

// showDeployed prints what became live. One function is one JSON object, several are a list.
func (c *cli) showDeployed(done []client.Deployed, made channels) error {
	switch {
	case c.format == formatJSON && len(done) == 1:
		return c.json(struct {
			client.Deployed
			channels
		}{done[0], made})
	case c.format == formatJSON:
		return c.json(struct {
			client.DeployResponse
			channels
		}{client.DeployResponse{Functions: notNil(done)}, made})
	}
	for _, kind := range []struct {
		name    string
		changes []channelChange
	}{{"queue", made.Queues}, {"topic", made.Topics}, {"bucket", made.Buckets}} {
		for _, change := range kind.changes {
			if _, err := fmt.Fprintf(c.out, "%s %s %s\n", kind.name, change.Name, change.Change); err != nil {
				return err
			}
		}
	}
	rows := make([][]string, 0, len(done))
	for _, d := range done {
		version, compile := fmt.Sprintf("v%d", d.Version), "cached"
		if d.Unchanged {
			version += " (unchanged)"
		}
		if d.CompileMS > 0 {
			compile = milliText(d.CompileMS)
		}
		rows = append(rows, []string{d.Function, version, string(d.Kind), compile, cmp.Or(d.URL, "-")})
	}
	return c.table([]string{"FUNCTION", "VERSION", "KIND", "COMPILE", "URL"}, rows, "COMPILE")
}
