package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// access says who may use a route.
type access int

const (
	admins  access = iota // an admin; the zero value, so that a forgotten word opens nothing
	ofApp                 // an admin, or a token of the app in the path
	anyone                // whoever is known; the handler limits what is seen
	nobody                // no token asked; guarded on loopback
	probing               // no token asked, any Host: health
)

// route is what a pattern leads to. A handler's error is answered as a problem.
type route struct {
	access access
	handle func(w http.ResponseWriter, r *http.Request, who caller) error
}

// table is every route there is. /v1/openapi.json describes each of them.
func (a *Admin) table() map[string]route {
	const app = "/v1/apps/{app}"
	const function = app + "/functions/{function}"
	routes := map[string]route{
		"HEAD /v1/modules/{digest}": {anyone, a.headModule},
		"PUT /v1/modules/{digest}":  {anyone, a.putModule},

		"POST " + app + "/deployments":            {ofApp, a.deploy},
		"GET /v1/functions":                       {anyone, a.listAllFunctions},
		"GET " + app + "/functions":               {ofApp, a.listFunctions},
		"DELETE " + app + "/functions":            {ofApp, a.removeFunctions},
		"GET " + function:                         {ofApp, a.getFunction},
		"DELETE " + function:                      {ofApp, a.removeFunction},
		"GET " + function + "/versions":           {ofApp, a.listVersions},
		"POST " + function + "/rollback":          {ofApp, a.rollback},
		"PUT " + function + "/aliases/{alias}":    {ofApp, a.setAlias},
		"DELETE " + function + "/aliases/{alias}": {ofApp, a.removeAlias},
		"POST " + function + "/invoke":            {ofApp, a.invoke},
		"POST " + function + "/bench":             {ofApp, a.bench},

		"GET /v1/logs":           {anyone, a.readLogs},
		"GET /v1/tokens":         {admins, a.listTokens},
		"POST /v1/tokens":        {admins, a.createToken},
		"DELETE /v1/tokens/{id}": {admins, a.revokeToken},
		"GET /v1/node":           {anyone, a.nodeInfo},
		"GET /v1/openapi.json":   {nobody, a.openAPI},
		"GET /metrics":           {admins, a.serveMetrics()},
		"GET /healthz":           {probing, a.healthz},
		"GET /readyz":            {probing, a.readyz},
	}
	maps.Copy(routes, a.keyRoutes())
	maps.Copy(routes, a.queueRoutes())
	maps.Copy(routes, a.topicRoutes())
	maps.Copy(routes, a.objectRoutes())
	maps.Copy(routes, a.eventRoutes())
	maps.Copy(routes, a.scheduleRoutes())
	maps.Copy(routes, a.clusterRoutes())
	maps.Copy(routes, a.activityRoutes())
	return routes
}

// ServeHTTP answers one request.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	_, pattern := a.mux.Handler(r)
	if cleaned := path.Clean(r.URL.Path); cleaned != r.URL.Path {
		pattern = "" // else the mux would redirect to the cleaned path
	}
	out := &recorder{ResponseWriter: w, replyTime: a.limits.ReplyTime}
	h := out.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if r.ContentLength != 0 { // net/http reads what no handler has read of a small body before it answers
		_ = http.NewResponseController(w).SetReadDeadline(begin.Add(a.limits.ReadTimeout)) // a connection without deadlines is a test's
	}
	var who caller
	defer func() {
		abort := a.recovered(out, pattern, recover())
		took := time.Since(begin)
		a.metrics.count(pattern, out.status, took)
		a.audit(r, pattern, who, out.status, took)
		if abort {
			panic(http.ErrAbortHandler) // net/http cuts the connection
		}
	}()
	if err := a.admit(out, r, pattern, &who); err != nil {
		a.fail(out, who, err)
	}
	if out.status == 0 {
		out.WriteHeader(http.StatusOK)
	}
}

// recovered answers a panic's request, or reports that its answer had begun and must be cut off.
func (a *Admin) recovered(w *recorder, pattern string, v any) (abort bool) {
	if v == nil {
		return false
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // the very value, as in net/http
		return true
	}
	a.log.Error("serve admin request", "route", pattern, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if w.status != 0 {
		return true
	}
	writeProblem(w, problemOf(errors.New("a bug of this node; its log says more"), caller{admin: true}))
	return false
}

// admit lets a request to its handler when it may pass.
func (a *Admin) admit(w *recorder, r *http.Request, pattern string, who *caller) error {
	to := a.routes[pattern] // admins only when there is no such route
	if to.access != probing {
		if err := a.requests.enter("requests"); err != nil {
			return err
		}
		defer a.requests.leave()
		if a.config.Loopback && r.Context().Value(nodeKey{}) == nil {
			if err := guard(r); err != nil {
				return err
			}
		}
	}
	if to.access != probing && to.access != nobody {
		known, err := a.identify(r)
		if err != nil {
			return err
		}
		*who = known
	}
	if pattern == "" {
		return a.missing(w, r)
	}
	w.who = *who
	a.mux.ServeHTTP(w, r)
	return nil
}

// serveRoute is what the mux leads to; by now r.Pattern and the path's parameters are set.
func (a *Admin) serveRoute(out http.ResponseWriter, r *http.Request) {
	w := out.(*recorder)
	to := a.routes[r.Pattern]
	if err := a.enterRoute(w, r, to); err != nil {
		a.fail(w, w.who, err)
	}
}

func (a *Admin) enterRoute(w *recorder, r *http.Request, to route) error {
	switch to.access {
	case admins:
		if err := w.who.may(""); err != nil {
			return err
		}
	case ofApp:
		if err := w.who.may(r.PathValue("app")); err != nil {
			return err
		}
	}
	if !takesLong(r.Pattern) {
		ctx, cancel := context.WithTimeout(r.Context(), a.limits.Time)
		defer cancel()
		r = r.WithContext(ctx)
	}
	if err := checkNames(r); err != nil {
		return err
	}
	return to.handle(w, r, w.who)
}

// checkNames refuses a path whose names are none. So nobody reaches the platform's own queues, whose names have slashes.
func checkNames(r *http.Request) error {
	name := func(kind string) func(string) error {
		return func(name string) error { return registry.CheckName(kind, name) }
	}
	for _, kind := range []struct {
		of    string
		check func(name string) error
	}{
		{"app", name("app")}, {"function", name("function")}, {"alias", name("alias")},
		{"queue", registry.CheckQueueName}, {"topic", registry.CheckTopicName}, {"subscription", op.ValidateQueueName}, {"bucket", op.ValidateBucket},
		{"archive", registry.CheckArchiveName},
	} {
		if strings.Contains(r.Pattern, "{"+kind.of+"}") {
			if err := kind.check(r.PathValue(kind.of)); err != nil {
				return err
			}
		}
	}
	return nil
}

// takesLong says of which routes the time is bounded by what they do: they stream, compile, or run functions.
func takesLong(pattern string) bool {
	for _, end := range []string{"/modules/{digest}", "/deployments", "/invoke", "/bench", "/logs", "/watch", "/receive", "/redrive", "/replay", "/cluster/backup", "/object"} {
		if strings.HasSuffix(pattern, end) {
			return true
		}
	}
	return false
}

// missing answers for a path or method that no route has, with Allow when the path has others.
func (a *Admin) missing(w http.ResponseWriter, r *http.Request) error {
	if path.Clean(r.URL.Path) == r.URL.Path {
		probe := &discard{header: http.Header{}}
		h, _ := a.mux.Handler(r)
		h.ServeHTTP(probe, r)
		if allow := probe.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			return abi.WithCode(abi.MethodNotAllowed, fmt.Errorf("method %.20s is not allowed at %.200s: use %s", r.Method, r.URL.Path, allow))
		}
	}
	return abi.WithCode(abi.NotFound, fmt.Errorf("nothing at %.200s: see /v1/openapi.json", r.URL.Path))
}

// fail answers an error, unless an answer has begun: then the connection is cut, so that nobody takes half an
// answer for a whole one.
func (a *Admin) fail(w *recorder, who caller, err error) {
	if r := (*http.MaxBytesError)(nil); errors.As(err, &r) {
		w.Header().Set("Connection", "close")
	}
	p := problemOf(err, who)
	if p.Code == abi.Internal {
		a.log.Error("serve admin request", "err", err)
	}
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	writeProblem(w, p)
}

// audit leaves a line for every request that may have changed something.
func (a *Admin) audit(r *http.Request, pattern string, who caller, status int, took time.Duration) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || pattern == "" {
		return
	}
	a.log.Info("admin request", "method", r.Method, "path", r.URL.Path, "status", status, "token", who.token, "took", took)
}

// recorder remembers what was answered and to whom, and bounds how long the answer may take to be read.
type recorder struct {
	http.ResponseWriter
	who       caller
	status    int // 0 until the answer begins
	replyTime time.Duration
}

func (w *recorder) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

func (w *recorder) begin(status int) {
	if w.status == 0 {
		w.status = status
		setWriteDeadline(http.NewResponseController(w.ResponseWriter), w.replyTime)
	}
}

// setWriteDeadline bounds what is written next. A connection that is gone, or a test's recorder, takes none; the
// write itself tells.
func setWriteDeadline(c *http.ResponseController, within time.Duration) {
	_ = c.SetWriteDeadline(time.Now().Add(within))
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// discard is a response nobody reads: the mux writes to it which methods a path has.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
