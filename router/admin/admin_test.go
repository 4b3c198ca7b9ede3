package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// TestClientRoundTrip makes every call of the client against a real handler; the server compares requests and
// responses with openapi.json.
func TestClientRoundTrip(t *testing.T) {
	w, d, p := newWorld(t), &den{text: "state"}, &past{}
	a, server := w.start(t, func(c *Config) { c.Cluster, c.Backuper, c.Activity = d, d, p })
	c := connect(t, server, "")
	t.Run("deploy", func(t *testing.T) { roundTripDeploy(t, c) })
	t.Run("versions", func(t *testing.T) { roundTripVersions(t, c) })
	t.Run("invoke", func(t *testing.T) { roundTripInvoke(t, w, c) })
	t.Run("bench", func(t *testing.T) { roundTripBench(t, w, c) })
	t.Run("logs", func(t *testing.T) { roundTripLogs(t, w, c) })
	t.Run("tokens", func(t *testing.T) { roundTripTokens(t, a, c) })
	t.Run("keys and values", func(t *testing.T) { roundTripKV(t, c) })
	t.Run("queues", func(t *testing.T) { roundTripQueues(t, w, c) })
	t.Run("objects", func(t *testing.T) { roundTripObjects(t, server.URL, c) })
	t.Run("topics", func(t *testing.T) { roundTripTopics(t, c) })
	t.Run("events", func(t *testing.T) { roundTripEvents(t, w, c) })
	t.Run("schedules", func(t *testing.T) { roundTripSchedules(t, w, c) })
	t.Run("cluster", func(t *testing.T) { roundTripCluster(t, c, d) })
	t.Run("activity", func(t *testing.T) { roundTripActivity(t, c, p) })
	t.Run("node", func(t *testing.T) { roundTripNode(t, w, c) })
	t.Run("remove", func(t *testing.T) { roundTripRemove(t, c) })
	for _, path := range []string{"/metrics", "/healthz", "/v1/openapi.json"} {
		if res, text := call(t, server, "GET", path, ""); res.StatusCode != 200 {
			t.Errorf("GET %s: %d %s", path, res.StatusCode, text)
		}
	}
	if res, _ := call(t, server, "HEAD", "/v1/apps/default/kv/value?key=kept", ""); res.StatusCode != 200 {
		t.Errorf("HEAD of a value: %d", res.StatusCode)
	}
	if res, text := call(t, server, "GET", "/v1/apps/default/kv/quota", ""); res.StatusCode != 200 || text != "{\"keys\":5,\"bytes\":0}\n" {
		t.Errorf("GET of a quota: %d %s", res.StatusCode, text)
	}
	compared := server.Config.Handler.(*described)
	for pattern := range compared.next.(*Admin).routes {
		if !compared.seen[pattern] {
			t.Errorf("route %s was never answered with success: its response is not compared with the description", pattern)
		}
	}
}

func upload(t *testing.T, c *client.Client, module string) string {
	t.Helper()
	m, err := c.UploadModule(context.Background(), client.Upload{Digest: digestOf(module), SizeBytes: int64(len(module)),
		Body: strings.NewReader(module)})
	if err != nil || m.Digest != digestOf(module) || m.SizeBytes != int64(len(module)) {
		t.Fatalf("upload %q: %+v, %v", module, m, err)
	}
	return m.Digest
}

func roundTripDeploy(t *testing.T, c *client.Client) {
	ctx := context.Background()
	first := upload(t, c, "module one")
	if m, err := c.UploadModule(ctx, client.Upload{Digest: first}); err != nil || !m.Existed {
		t.Errorf("second upload: %+v, %v; want it to exist", m, err)
	}
	ask := client.DeployRequest{Functions: []client.DeployFunction{
		{Name: "hello", Digest: first},
		{Name: "users", Digest: first, Settings: registry.Settings{
			Routes: []registry.Route{{Pattern: "GET api.example/users/{id}"}, {Pattern: "GET /users"}}, Env: map[string]string{"A": "b"}}},
	}}
	done, err := c.Deploy(ctx, registry.DefaultApp, ask)
	if err != nil || len(done.Functions) != 2 {
		t.Fatalf("deploy: %+v, %v", done, err)
	}
	hello, users := done.Functions[0], done.Functions[1]
	if hello.URL != "http://127.0.0.1:8080/hello" || hello.Version != 1 || hello.Unchanged || hello.CompileMS != 1 ||
		hello.Kind != registry.KindSett || hello.Isolation != registry.IsolationReset || hello.Digest != first {
		t.Errorf("deployed %+v", hello)
	}
	if users.URL != "http://127.0.0.1:8080/users" || !slices.Equal(users.Routes, []string{"GET api.example/users/{id}", "GET /users"}) {
		t.Errorf("deployed %+v", users)
	}
	again, err := c.Deploy(ctx, registry.DefaultApp, ask)
	if err != nil || !again.Functions[0].Unchanged || again.Functions[0].Version != 1 {
		t.Errorf("deploy again: %+v, %v; want unchanged", again, err)
	}
	ask.Functions = ask.Functions[:1]
	ask.Functions[0].Digest = upload(t, c, "module two")
	if next, err := c.Deploy(ctx, registry.DefaultApp, ask); err != nil || next.Functions[0].Version != 2 {
		t.Errorf("deploy other bytes: %+v, %v; want version 2", next, err)
	}
	if _, err := c.Deploy(ctx, "shop", ask); err != nil {
		t.Errorf("deploy to app shop: %v", err)
	}
}

func roundTripVersions(t *testing.T, c *client.Client) {
	ctx := context.Background()
	all, err := c.Functions(ctx, "")
	if err != nil || len(all) != 3 {
		t.Fatalf("functions of all apps: %+v, %v; want 3", all, err)
	}
	if shop, err := c.Functions(ctx, "shop"); err != nil || len(shop) != 1 || shop[0].URL != "http://127.0.0.1:8080/shop/hello" {
		t.Errorf("functions of shop: %+v, %v", shop, err)
	}
	f, err := c.Function(ctx, "default", "hello")
	if err != nil || f.Version != 2 || f.Latest != 2 || f.Digest != digestOf("module two") || f.Settings.MemoryMB != registry.DefaultMemoryMB {
		t.Errorf("function: %+v, %v", f, err)
	}
	f, err = c.Rollback(ctx, "default", "hello", 0, client.IfMatch(f.ETag))
	if err != nil || f.Version != 1 {
		t.Fatalf("rollback: %+v, %v; want version 1", f, err)
	}
	weights := []registry.Weight{{Version: 2, Weight: 90}, {Version: 1, Weight: 10}}
	canary := client.Alias{App: "default", Function: "hello", Name: "canary"}
	f, err = c.SetAlias(ctx, canary, weights, client.IfMatch(f.ETag))
	if err != nil || !slices.Equal(f.Aliases["canary"], weights) {
		t.Fatalf("set alias: %+v, %v", f, err)
	}
	same, err := c.SetAlias(ctx, canary, weights)
	if err != nil || same.ETag != f.ETag {
		t.Errorf("set alias again: etag %s then %s, %v; want no change", f.ETag, same.ETag, err)
	}
	versions, err := c.Versions(ctx, "default", "hello")
	if err != nil || len(versions) != 2 || versions[0].Number != 2 || !slices.Equal(versions[1].Aliases, []string{"canary", "live"}) {
		t.Errorf("versions: %+v, %v; want newest first, with aliases", versions, err)
	}
	if err := c.RemoveAlias(ctx, canary, client.IfMatch(f.ETag)); err != nil {
		t.Errorf("remove alias: %v", err)
	}
	if _, err := c.Function(ctx, "default", "absent"); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("absent function: %v, want %s", err, abi.NotFound)
	}
}

func roundTripInvoke(t *testing.T, w *world, c *client.Client) {
	ctx := context.Background()
	w.dispatch = func(_ context.Context, call router.Call) (*abi.Result, error) {
		e := call.Event
		e.Invocation, e.Version = "01ARZ3NDEKTSV4RRFFQ69G5FAV", 2
		if e.Path == "/trap" {
			return &abi.Result{}, abi.WithCode(abi.FunctionFailed, errors.New("function failed"))
		}
		if call.App != "default" || call.Function != "hello" || call.Qualifier != "v2" || e.Trigger != abi.TriggerInvoke ||
			e.Method != "PATCH" || e.Path != "/a%20b" || e.Query != "c=d" || string(e.Body) != "\x00\xff" || e.Headers[1].Value != "2" {
			t.Errorf("call %+v of %+v", e, call)
		}
		return &abi.Result{Reply: abi.Reply{Status: 418, Headers: []abi.Field{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}},
			Body: []byte("\xfe\x00")}, Start: abi.Warm, Took: 1500 * time.Microsecond, MemoryBytes: 65536}, nil
	}
	target := client.InvokeTarget{App: "default", Function: "hello", Qualifier: "v2"}
	got, err := c.Invoke(ctx, target, client.InvokeRequest{Method: "patch", Path: "/a%20b?c=d",
		Headers: []abi.Field{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}, Body: []byte("\x00\xff")})
	if err != nil || got.Status != 418 || string(got.Body) != "\xfe\x00" || len(got.Headers) != 2 || got.TookUS != 1500 ||
		got.Version != 2 || got.Start != abi.Warm || got.Invocation == "" {
		t.Errorf("invoke: %+v, %v", got, err)
	}
	var failed *client.Error
	_, err = c.Invoke(ctx, target, client.InvokeRequest{Path: "/trap"})
	if !errors.As(err, &failed) || failed.Code != abi.FunctionFailed || failed.Status != 502 || failed.Invocation != "01ARZ3NDEKTSV4RRFFQ69G5FAV" {
		t.Errorf("invoke of a function that traps: %+v, want its invocation", err)
	}
}

func roundTripBench(t *testing.T, w *world, c *client.Client) {
	w.bench = func(v *registry.Version, e *abi.Event, path string, count int) ([]time.Duration, error) {
		if v.Number != 1 || e.Method != "GET" || e.Path != "/" || e.Function != "hello" {
			t.Errorf("bench of version %d with %+v", v.Number, e)
		}
		out := make([]time.Duration, count)
		for i := range out {
			out[i] = time.Duration(count-i) * time.Microsecond
		}
		return out, nil
	}
	got, err := c.Bench(context.Background(), "default", "hello", client.BenchRequest{Cold: 10, Warm: 100})
	if err != nil || len(got.Runs) != 2 || got.Runs[0].Path != client.PathCold || got.Runs[0].Count != 10 {
		t.Fatalf("bench: %+v, %v", got, err)
	}
	if r := got.Runs[1]; r.P50US != 50 || r.P90US != 90 || r.P99US != 99 || r.MaxUS != 100 || !slices.IsSorted(r.SamplesUS) {
		t.Errorf("bench of 1..100 us: %+v", r)
	}
	all, err := c.Bench(context.Background(), "default", "hello", client.BenchRequest{})
	if err != nil || all.Runs[0].Count != defaultBenchCold || len(all.Runs) != 4 || all.Runs[1].Path != client.PathImage || all.Runs[2].Count != defaultBenchWarm {
		t.Errorf("bench without counts: %+v, %v", all, err)
	}
}

func roundTripLogs(t *testing.T, w *world, c *client.Client) {
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i, app := range []string{"default", "shop", "default"} {
		w.lines = append(w.lines, abi.Line{Time: begin.Add(time.Duration(i) * time.Minute), App: app, Function: "hello", Version: 1,
			Invocation: "I" + app, Stream: abi.StreamStdout, Message: app + "\n<&>", Attrs: `{"a":1}`, Level: "INFO"})
	}
	for _, test := range []struct {
		query client.LogQuery
		want  []int
	}{
		{client.LogQuery{}, []int{0, 1, 2}},
		{client.LogQuery{App: "default"}, []int{0, 2}},
		{client.LogQuery{App: "shop", Function: "hello"}, []int{1}},
		{client.LogQuery{Invocation: "Ishop"}, []int{1}},
		{client.LogQuery{Since: begin.Add(time.Minute)}, []int{1, 2}},
		{client.LogQuery{Limit: 1}, []int{2}},
		{client.LogQuery{App: "default", Follow: true}, []int{0, 2}},
	} {
		var got []abi.Line
		for line, err := range c.Logs(context.Background(), test.query) {
			if err != nil {
				t.Fatalf("logs %+v: %v", test.query, err)
			}
			if got = append(got, line); test.query.Follow && len(got) == len(test.want) {
				break
			}
		}
		want := []abi.Line{}
		for _, i := range test.want {
			want = append(want, w.lines[i])
		}
		if !slices.Equal(got, want) {
			t.Errorf("logs %+v = %+v, want %+v", test.query, got, want)
		}
	}
}

func roundTripTokens(t *testing.T, a *Admin, c *client.Client) {
	ctx := context.Background()
	if list, err := c.Tokens(ctx); err != nil || len(list) != 0 {
		t.Errorf("tokens: %+v, %v; want none", list, err)
	}
	made, err := c.CreateToken(ctx, client.TokenRequest{Name: "ci", App: "shop"})
	if err != nil || !strings.HasPrefix(made.Secret, "sett_") || made.App != "shop" {
		t.Fatalf("create token: %+v, %v", made, err)
	}
	list, err := c.Tokens(ctx)
	if err != nil || !slices.Equal(list, []client.Token{made.Token}) {
		t.Errorf("tokens: %+v, %v; want %+v", list, err, made.Token)
	}
	if text, _ := json.Marshal(list); strings.Contains(string(text), made.Secret[5:20]) || strings.Contains(string(text), "sha256") {
		t.Errorf("the list shows secrets: %s", text)
	}
	key, err := c.CreateToken(ctx, client.TokenRequest{Name: "s3", App: "shop", S3: true})
	if err != nil || !key.S3 || strings.HasPrefix(key.Secret, "sett_") || len(key.Secret) != 43 {
		t.Errorf("create access key: %+v, %v", key, err)
	}
	if app, secret, ok, err := a.S3Key(ctx, key.ID); app != "shop" || secret != key.Secret || !ok || err != nil {
		t.Errorf("S3Key = %s, %t, %v", app, ok, err)
	}
	if _, _, ok, err := a.S3Key(ctx, made.ID); ok || err != nil {
		t.Errorf("a bearer token is an access key: %v", err)
	}
	for _, secret := range []string{key.Secret, "sett_" + key.Secret} {
		if err := a.Authorize(ctx, "shop", secret); abi.CodeOf(err) != abi.Unauthorized {
			t.Errorf("an access key is a bearer token: %v", err)
		}
	}
	if list, err := c.Tokens(ctx); err != nil || len(list) != 2 || !slices.Contains(list, key.Token) { // made in one millisecond, maybe
		t.Errorf("tokens: %+v, %v", list, err)
	}
	if _, err := c.CreateToken(ctx, client.TokenRequest{Name: "s3", S3: true}); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("access key of no app: %v", err)
	}
	if err := errors.Join(c.RevokeToken(ctx, made.ID), c.RevokeToken(ctx, key.ID)); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if err := c.RevokeToken(ctx, made.ID); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("revoke again: %v, want %s", err, abi.NotFound)
	}
}

func roundTripNode(t *testing.T, w *world, c *client.Client) {
	n, err := c.NodeInfo(context.Background())
	if err != nil || n.Name != "n1" || n.HTTP != "127.0.0.1:8080" || n.UptimeSeconds < 90 || n.Region != "eu" {
		t.Errorf("node: %+v, %v", n, err)
	}
	if n, err = c.NodeServing(context.Background(), 7); err != nil || n.Name != "n1" || w.awaited != 7 {
		t.Errorf("node serving generation 7: %+v, %v, waited for %d", n, err, w.awaited)
	}
	if err := c.Ready(context.Background()); err != nil {
		t.Errorf("ready: %v", err)
	}
}

func roundTripRemove(t *testing.T, c *client.Client) {
	ctx := context.Background()
	if err := c.Remove(ctx, "shop", "hello"); err != nil {
		t.Errorf("remove: %v", err)
	}
	if err := c.Remove(ctx, "shop", "hello"); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("remove again: %v, want %s", err, abi.NotFound)
	}
	names, err := c.RemoveAll(ctx, "default")
	if err != nil || !slices.Equal(names, []string{"hello", "users"}) {
		t.Errorf("remove all: %v, %v", names, err)
	}
	if names, err := c.RemoveAll(ctx, "default"); err != nil || len(names) != 0 {
		t.Errorf("remove all again: %v, %v; want none", names, err)
	}
	if err := c.Remove(ctx, "default", ""); err == nil {
		t.Error("remove of an empty name did something")
	}
}

func TestPathsAndMethodsNobodyServes(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	for _, test := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/v1", 404, ""},
		{"GET", "/v1/node/", 404, ""},
		{"GET", "/v1//node", 404, ""},
		{"GET", "/v1/../v1/node", 404, ""},
		{"GET", "/v1/apps/a%2F..%2Fb/functions", 404, ""},
		{"DELETE", "/v1/apps/default/functions/", 404, ""},
		{"GET", "/v1/modules/" + digestOf("x"), 405, "HEAD, PUT"},
		{"POST", "/v1/node", 405, "GET, HEAD"},
		{"PATCH", "/v1/apps/default/functions/f", 405, "DELETE, GET, HEAD"},
		{"GET", "/v1/apps/UPPER/functions", 400, ""},
		{"GET", "/v1/apps/" + strings.Repeat("a", 300) + "/functions", 400, ""},
		{"GET", "/v1/apps/%00/functions", 400, ""},
		{"GET", "/v1/apps/default/functions/..%2e", 400, ""},
		{"PUT", "/v1/apps/default/functions/f/aliases/-", 400, ""},
		{"HEAD", "/v1/modules/" + strings.ToUpper(digestOf("x")), 400, ""},
		{"HEAD", "/v1/modules/" + digestOf("x"), 404, ""},
		{"HEAD", "/v1/node", 200, ""},
	} {
		res, text := call(t, server, test.method, test.path, "")
		if res.StatusCode != test.status || res.Header.Get("Allow") != test.allow {
			t.Errorf("%s %s: %d Allow %q, want %d %q: %s", test.method, test.path, res.StatusCode, res.Header.Get("Allow"), test.status, test.allow, text)
		}
		if res.StatusCode >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: error is %q", test.method, test.path, res.Header.Get("Content-Type"))
		}
	}
}

func TestETagsGuardChanges(t *testing.T) {
	w := newWorld(t)
	w.deployed(t, "default", "f", "one", registry.Settings{})
	w.deployed(t, "default", "f", "two", registry.Settings{})
	_, server := w.start(t, nil)
	const at = "/v1/apps/default/functions/f"
	res, _ := call(t, server, "GET", at, "")
	etag := res.Header.Get("ETag")
	if len(etag) < 10 {
		t.Fatalf("ETag = %q", etag)
	}
	if res, _ := call(t, server, "GET", at, "", "If-None-Match", `"x", `+etag); res.StatusCode != http.StatusNotModified {
		t.Errorf("GET with the ETag: %d, want 304", res.StatusCode)
	}
	for _, test := range []struct {
		method, path, body, match string
		status                    int
	}{
		{"POST", at + "/rollback", "", `"stale"`, 412},
		{"POST", at + "/rollback", "", "W/" + etag, 412},
		{"PUT", at + "/aliases/beta", `{"weights":[{"version":1,"weight":1}]}`, `"stale"`, 412},
		{"DELETE", at + "/aliases/beta", "", `"stale"`, 412},
		{"DELETE", at, "", `"stale"`, 412},
		{"DELETE", "/v1/apps/default/functions/absent", "", etag, 404},
		{"PUT", at + "/aliases/beta", `{"weights":[{"version":1,"weight":1}]}`, "*", 200},
		{"POST", at + "/rollback", "", etag, 412}, // the alias changed the function
		{"POST", at + "/rollback", "{}", "", 200},
	} {
		headers := []string{"If-Match", test.match}
		if test.match == "" {
			headers = nil
		}
		res, text := call(t, server, test.method, test.path, test.body, headers...)
		if res.StatusCode != test.status {
			t.Errorf("%s %s If-Match %s: %d, want %d: %s", test.method, test.path, test.match, res.StatusCode, test.status, text)
		}
		if test.status == 412 && !strings.Contains(text, `"code":"conflict"`) {
			t.Errorf("412 has code %s, want conflict", text)
		}
	}
}

func TestDeploymentsAreCheckedBeforeAnythingIsCompiled(t *testing.T) {
	w := newWorld(t)
	w.deployed(t, "default", "kept", "here", registry.Settings{})
	w.deploy = func([]registry.Change) error {
		t.Error("a faulty deployment reached the deployer")
		return errors.New("no")
	}
	_, server := w.start(t, nil)
	one := func(name, digest, rest string) string {
		return `{"functions":[{"name":"` + name + `","digest":"` + digest + `"` + rest + `}]}`
	}
	here := digestOf("here")
	many := strings.Repeat(`{"name":"a","digest":"`+here+`"},`, maxDeployed) + `{"name":"b","digest":"` + here + `"}`
	for _, test := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"nothing", ``, 400, "functions: must be 1 to"},
		{"too many", `{"functions":[` + many + `]}`, 400, "must be 1 to 100, not 101"},
		{"bad name", one("Hello/..", here, ""), 400, "function name"},
		{"long name", one(strings.Repeat("a", 300), here, ""), 400, "function name"},
		{"twice", `{"functions":[{"name":"a","digest":"` + here + `"},{"name":"a","digest":"` + here + `"}]}`, 400, "function a: given twice"},
		{"bad digest", one("a", "ABC", ""), 400, "64 hexadecimal digits"},
		{"not uploaded", one("a", digestOf("elsewhere"), ""), 404, "is not uploaded"},
		{"settings", one("a", here, `,"settings":{"memory_mb":9000}`), 400, "function a: memory"},
		{"unknown key", one("a", here, `,"settings":{"memory":64}`), 400, "did you mean memory_mb?"},
		{"not JSON", `name: a`, 400, "not JSON"},
		{"too large", `{"functions":[` + strings.Repeat(" ", defaultJSONBytes) + `]}`, 413, "over the limit of 1048576 bytes"},
	} {
		res, text := call(t, server, "POST", "/v1/apps/default/deployments", test.body, "Content-Type", "application/json")
		if res.StatusCode != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s: %d %.300s; want %d %q", test.name, res.StatusCode, text, test.status, test.want)
		}
	}
	if res, _ := call(t, server, "POST", "/v1/apps/default/deployments", one("a", here, ""), "Content-Type", "text/plain"); res.StatusCode != 415 {
		t.Errorf("text/plain: %d, want 415", res.StatusCode)
	}
}

func TestDeployerErrorsKeepTheirCode(t *testing.T) {
	w := newWorld(t)
	w.deployed(t, "default", "kept", "here", registry.Settings{})
	_, server := w.start(t, nil)
	c := connect(t, server, "")
	ask := client.DeployRequest{Functions: []client.DeployFunction{{Name: "f", Digest: digestOf("here")}}}
	for _, code := range []abi.Code{abi.InvalidModule, abi.Conflict, abi.Unsupported, abi.NoSpace, abi.Unavailable} {
		w.deploy = func([]registry.Change) error { return abi.WithCode(code, errors.New("module imports env.foo")) }
		_, err := c.Deploy(context.Background(), "default", ask)
		var e *client.Error
		if !errors.As(err, &e) || e.Code != code || e.Status != code.HTTPStatus() || e.Message != "module imports env.foo" {
			t.Errorf("deploy that fails with %s: %+v", code, err)
		}
	}
}

func TestInvokeRefusesWhatIsNoRequest(t *testing.T) {
	w := newWorld(t)
	w.dispatch = func(context.Context, router.Call) (*abi.Result, error) {
		t.Error("reached the function")
		return nil, errors.New("no")
	}
	_, server := w.start(t, nil)
	for body, want := range map[string]string{
		`{"method":"GE T"}`:                                  "method",
		`{"method":"GET\r\nX: y"}`:                           "method",
		`{"path":"users"}`:                                   "path",
		`{"path":"http://evil.example/"}`:                    "path",
		`{"path":"/a b"}`:                                    "path",
		`{"path":"/%zz"}`:                                    "path",
		`{"headers":[{"name":"A b","value":""}]}`:            "headers[0]",
		`{"headers":[{"name":"A","value":"x\r\nB: y"}]}`:     "headers[0]",
		`{"headers":[{"name":"","value":""}]}`:               "headers[0]",
		`{"handler":"` + strings.Repeat("h", 300) + `"}`:     "handler",
		`{"body_base64":"` + strings.Repeat("A", 9e6) + `"}`: "over the limit of 6291456 bytes",
	} {
		res, text := call(t, server, "POST", "/v1/apps/default/functions/f/invoke", body, "Content-Type", "application/json")
		if (res.StatusCode != 400 && res.StatusCode != 413) || !strings.Contains(text, want) {
			t.Errorf("invoke %.80s: %d %.200s, want %q", body, res.StatusCode, text, want)
		}
	}
	if res, _ := call(t, server, "POST", "/v1/apps/default/functions/f/invoke?version=3", ""); res.StatusCode != 400 {
		t.Errorf("unknown query: %d, want 400", res.StatusCode)
	}
}

func TestInvokeRunsNoOtherHandleThanAsked(t *testing.T) {
	w := newWorld(t)
	w.deployed(t, "default", "f", "m", registry.Settings{Handler: "resize"})
	w.dispatch = func(_ context.Context, c router.Call) (*abi.Result, error) { return &abi.Result{}, nil }
	_, server := w.start(t, nil)
	for handler, status := range map[string]int{"": 200, "resize": 200, "shrink": 422} {
		res, text := call(t, server, "POST", "/v1/apps/default/functions/f/invoke", `{"handler":"`+handler+`"}`)
		if res.StatusCode != status {
			t.Errorf("invoke with handler %q: %d %s, want %d", handler, res.StatusCode, text, status)
		}
	}
	if res, text := call(t, server, "POST", "/v1/apps/default/functions/f/invoke?qualifier=v9", `{"handler":"resize"}`); res.StatusCode != 404 {
		t.Errorf("invoke of version 9: %d %s, want 404", res.StatusCode, text)
	}
}

func TestInvokeTellsWhatTheHandlerSaid(t *testing.T) {
	w := newWorld(t)
	w.deployed(t, "default", "f", "m", registry.Settings{})
	w.dispatch = func(context.Context, router.Call) (*abi.Result, error) {
		return &abi.Result{Reply: abi.Reply{Error: "no such order"}}, abi.WithCode(abi.FunctionFailed, errors.New("function failed"))
	}
	_, server := w.start(t, nil)
	res, text := call(t, server, "POST", "/v1/apps/default/functions/f/invoke", "{}")
	if res.StatusCode != 502 || !strings.Contains(text, "the handler failed: no such order") {
		t.Errorf("invoke of a handler that fails: %d %s, want 502 with its words", res.StatusCode, text)
	}
}

func TestReadLogsRefusesUnknownQueries(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	for query, want := range map[string]string{
		"ap=x":                                  "did you mean app?",
		"limit=0":                               "between 1 and",
		"limit=10001":                           "between 1 and",
		"limit=x":                               "between 1 and",
		"since=10m":                             "RFC 3339",
		"follow=1":                              "true or false",
		"app=..":                                "app name",
		"function=..":                           "function name",
		"app=a&app=b":                           "given twice",
		"invocation=" + strings.Repeat("0", 65): "invocation",
	} {
		if res, text := call(t, server, "GET", "/v1/logs?"+query, ""); res.StatusCode != 400 || !strings.Contains(text, want) {
			t.Errorf("logs?%s: %d %s, want 400 %q", query, res.StatusCode, text, want)
		}
	}
}
