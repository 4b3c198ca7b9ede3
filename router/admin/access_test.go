package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// TestWhoMayDoWhat asks for every route as every kind of caller, on loopback and beyond.
func TestWhoMayDoWhat(t *testing.T) {
	const (
		yes    = 0 // neither 401 nor 403
		unauth = http.StatusUnauthorized
		forbid = http.StatusForbidden
	)
	type callers struct{ none, wrong, admin, shop, other int }
	ofApp := callers{unauth, unauth, yes, yes, forbid}
	known := callers{unauth, unauth, yes, yes, yes}
	admins := callers{unauth, unauth, yes, forbid, forbid}
	open := callers{yes, yes, yes, yes, yes}
	expected := map[string]callers{
		"HEAD /v1/modules/{digest}":                                             known,
		"PUT /v1/modules/{digest}":                                              known,
		"POST /v1/apps/{app}/deployments":                                       ofApp,
		"GET /v1/functions":                                                     known,
		"GET /v1/apps/{app}/functions":                                          ofApp,
		"DELETE /v1/apps/{app}/functions":                                       ofApp,
		"GET /v1/apps/{app}/functions/{function}":                               ofApp,
		"DELETE /v1/apps/{app}/functions/{function}":                            ofApp,
		"GET /v1/apps/{app}/functions/{function}/versions":                      ofApp,
		"POST /v1/apps/{app}/functions/{function}/rollback":                     ofApp,
		"PUT /v1/apps/{app}/functions/{function}/aliases/{alias}":               ofApp,
		"DELETE /v1/apps/{app}/functions/{function}/aliases/{alias}":            ofApp,
		"POST /v1/apps/{app}/functions/{function}/invoke":                       ofApp,
		"POST /v1/apps/{app}/functions/{function}/bench":                        ofApp,
		"GET /v1/apps/{app}/kv/value":                                           ofApp,
		"HEAD /v1/apps/{app}/kv/value":                                          ofApp,
		"PUT /v1/apps/{app}/kv/value":                                           ofApp,
		"DELETE /v1/apps/{app}/kv/value":                                        ofApp,
		"POST /v1/apps/{app}/kv/values":                                         ofApp,
		"POST /v1/apps/{app}/kv/incr":                                           ofApp,
		"POST /v1/apps/{app}/kv/touch":                                          ofApp,
		"POST /v1/apps/{app}/kv/transactions":                                   ofApp,
		"GET /v1/apps/{app}/kv/keys":                                            ofApp,
		"GET /v1/apps/{app}/kv/watch":                                           ofApp,
		"GET /v1/apps/{app}/kv/usage":                                           ofApp,
		"GET /v1/apps/{app}/kv/quota":                                           admins,
		"PUT /v1/apps/{app}/kv/quota":                                           admins,
		"GET /v1/apps/{app}/queues":                                             ofApp,
		"GET /v1/apps/{app}/queues/{queue}":                                     ofApp,
		"PUT /v1/apps/{app}/queues/{queue}":                                     ofApp,
		"DELETE /v1/apps/{app}/queues/{queue}":                                  ofApp,
		"POST /v1/apps/{app}/queues/{queue}/messages":                           ofApp,
		"POST /v1/apps/{app}/queues/{queue}/receive":                            ofApp,
		"POST /v1/apps/{app}/queues/{queue}/settle":                             ofApp,
		"POST /v1/apps/{app}/queues/{queue}/purge":                              ofApp,
		"POST /v1/apps/{app}/queues/{queue}/redrive":                            ofApp,
		"GET /v1/apps/{app}/buckets":                                            ofApp,
		"GET /v1/apps/{app}/buckets/{bucket}":                                   ofApp,
		"PUT /v1/apps/{app}/buckets/{bucket}":                                   ofApp,
		"DELETE /v1/apps/{app}/buckets/{bucket}":                                ofApp,
		"GET /v1/apps/{app}/buckets/{bucket}/object":                            ofApp,
		"HEAD /v1/apps/{app}/buckets/{bucket}/object":                           ofApp,
		"PUT /v1/apps/{app}/buckets/{bucket}/object":                            ofApp,
		"DELETE /v1/apps/{app}/buckets/{bucket}/object":                         ofApp,
		"GET /v1/apps/{app}/buckets/{bucket}/objects":                           ofApp,
		"POST /v1/apps/{app}/buckets/{bucket}/copy":                             ofApp,
		"POST /v1/apps/{app}/buckets/{bucket}/delete":                           ofApp,
		"GET /v1/apps/{app}/objects/usage":                                      ofApp,
		"PUT /v1/apps/{app}/objects/quota":                                      admins,
		"POST /v1/apps/{app}/events":                                            ofApp,
		"GET /v1/apps/{app}/archives":                                           ofApp,
		"PUT /v1/apps/{app}/archives/{archive}":                                 ofApp,
		"DELETE /v1/apps/{app}/archives/{archive}":                              ofApp,
		"POST /v1/apps/{app}/archives/{archive}/replay":                         ofApp,
		"GET /v1/apps/{app}/topics":                                             ofApp,
		"PUT /v1/apps/{app}/topics/{topic}":                                     ofApp,
		"DELETE /v1/apps/{app}/topics/{topic}":                                  ofApp,
		"POST /v1/apps/{app}/topics/{topic}/publish":                            ofApp,
		"GET /v1/apps/{app}/topics/{topic}/subscriptions":                       ofApp,
		"PUT /v1/apps/{app}/topics/{topic}/subscriptions/{subscription}":        ofApp,
		"DELETE /v1/apps/{app}/topics/{topic}/subscriptions/{subscription}":     ofApp,
		"GET /v1/apps/{app}/schedules":                                          ofApp,
		"POST /v1/apps/{app}/functions/{function}/schedules/{schedule}/fire":    ofApp,
		"POST /v1/apps/{app}/functions/{function}/schedules/{schedule}/enable":  ofApp,
		"POST /v1/apps/{app}/functions/{function}/schedules/{schedule}/disable": ofApp,
		"GET /v1/schedules":                                                     known,
		"GET /v1/invocations":                                                   known,
		"GET /v1/top":                                                           admins,
		"GET /v1/logs":                                                          known,
		"GET /v1/tokens":                                                        admins,
		"POST /v1/tokens":                                                       admins,
		"DELETE /v1/tokens/{id}":                                                admins,
		"GET /v1/apps/{app}/functions/{function}/versions/{version}/nodes":      ofApp,
		"GET /v1/cluster":                                                       admins,
		"GET /v1/cluster/members":                                               known,
		"DELETE /v1/cluster/members/{id}":                                       admins,
		"POST /v1/cluster/invites":                                              admins,
		"POST /v1/cluster/leave":                                                admins,
		"POST /v1/cluster/rotate":                                               admins,
		"GET /v1/cluster/backup":                                                admins,
		"GET /v1/node":                                                          known,
		"GET /v1/openapi.json":                                                  open,
		"GET /metrics":                                                          admins,
		"GET /healthz":                                                          open,
		"GET /readyz":                                                           open,
		"GET /nowhere":                                                          known,
	}
	for _, loopback := range []bool{false, true} {
		w := newWorld(t)
		w.dispatch = func(context.Context, router.Call) (*abi.Result, error) { return &abi.Result{}, nil }
		a, server := w.start(t, func(c *Config) { c.Loopback = loopback })
		for pattern := range a.routes {
			if _, ok := expected[pattern]; !ok {
				t.Errorf("route %s is missing from the table of this test", pattern)
			}
		}
		secrets := map[string]string{"none": "", "wrong": "sett_" + strings.Repeat("A", 43),
			"admin": makeToken(t, a, ""), "shop": makeToken(t, a, "shop"), "other": makeToken(t, a, "other")}
		for pattern, want := range expected {
			if loopback && want.none != yes {
				want.none = yes // on loopback who sends no token is an admin
			}
			for name, status := range map[string]int{"none": want.none, "wrong": want.wrong, "admin": want.admin, "shop": want.shop, "other": want.other} {
				method, path, _ := strings.Cut(pattern, " ")
				path = strings.NewReplacer("{app}", "shop", "{function}", "absent", "{alias}", "beta", "{id}", "none", "{version}", "1", "{queue}", "orders", "{bucket}", "pics", "{topic}", "placed", "{archive}", "all", "{subscription}", "mail", "{schedule}", "1", "{digest}", digestOf("x")).Replace(path)
				if strings.HasSuffix(path, "/watch") {
					path += "?from=x" // refused, else it would go on for ever
				}
				var headers []string
				if secrets[name] != "" {
					headers = []string{"Authorization", "Bearer " + secrets[name]}
				}
				res, text := call(t, server, method, path, "", headers...)
				got := res.StatusCode
				if got != unauth && got != forbid {
					got = yes
				}
				if got != status {
					t.Errorf("loopback %v, %s as %s: %d, want %d: %s", loopback, pattern, name, res.StatusCode, status, text)
				}
				if got == unauth && res.Header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s as %s: 401 without WWW-Authenticate", pattern, name)
				}
			}
		}
	}
}

func TestTokenOfAnAppSeesThatAppAlone(t *testing.T) {
	w := newWorld(t)
	for _, app := range []string{"shop", "other"} {
		w.deployed(t, app, "f", "module", registry.Settings{})
		w.lines = append(w.lines, abi.Line{App: app, Function: "f", Invocation: "I" + app, Stream: abi.StreamLog, Message: "of " + app})
	}
	a, server := w.start(t, func(c *Config) { c.Loopback = false })
	token := "Bearer " + makeToken(t, a, "shop")
	for _, path := range []string{"/v1/functions", "/v1/logs", "/v1/logs?invocation=Iother", "/v1/logs?function=f"} {
		res, text := call(t, server, "GET", path, "", "Authorization", token)
		if res.StatusCode != 200 || strings.Contains(text, "other") {
			t.Errorf("GET %s: %d %s: shows another app", path, res.StatusCode, text)
		}
	}
	if _, text := call(t, server, "GET", "/v1/logs", "", "Authorization", token); !strings.Contains(text, "of shop") {
		t.Errorf("logs of the own app: %q", text)
	}
	for _, path := range []string{"/v1/logs?app=other", "/v1/logs?app=other&follow=true", "/v1/apps/other/functions"} {
		if res, text := call(t, server, "GET", path, "", "Authorization", token); res.StatusCode != 403 {
			t.Errorf("GET %s: %d %s, want 403", path, res.StatusCode, text)
		}
	}
}

func TestHowATokenMayBeSent(t *testing.T) {
	w := newWorld(t)
	a, server := w.start(t, nil)
	secret := makeToken(t, a, "")
	for _, test := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"bearer", []string{"Authorization", "Bearer " + secret}, 200},
		{"case of the scheme", []string{"Authorization", "bearer " + secret}, 200},
		{"none, loopback", nil, 200},
		{"basic", []string{"Authorization", "Basic " + secret}, 401},
		{"bare", []string{"Authorization", secret}, 401},
		{"empty", []string{"Authorization", ""}, 401},
		{"empty bearer", []string{"Authorization", "Bearer "}, 401},
		{"two", []string{"Authorization", "Bearer " + secret, "Authorization", "Bearer " + secret}, 401},
		{"proxy passes a stranger on", []string{"X-Forwarded-For", "203.0.113.7"}, 401},
		{"proxy, standard header", []string{"Forwarded", "for=203.0.113.7"}, 401},
		{"proxy with a token", []string{"X-Forwarded-For", "203.0.113.7", "Authorization", "Bearer " + secret}, 200},
		{"rebound name with a token", []string{"Host", "evil.example", "Authorization", "Bearer " + secret}, 403},
		{"foreign page", []string{"Origin", "https://evil.example"}, 403},
		{"probe by another name", []string{"Host", "node7.internal"}, 403},
	} {
		if res, text := call(t, server, "GET", "/v1/node", "", test.headers...); res.StatusCode != test.status {
			t.Errorf("%s: %d, want %d: %s", test.name, res.StatusCode, test.status, text)
		}
	}
	if res, _ := call(t, server, "GET", "/healthz", "", "Host", "node7.internal"); res.StatusCode != 200 {
		t.Errorf("health by another name: %d, want 200", res.StatusCode)
	}
	if res, _ := call(t, server, "GET", "/v1/node?token="+secret, "", "X-Forwarded-For", "203.0.113.7"); res.StatusCode != 401 {
		t.Errorf("token in the query: %d, want 401", res.StatusCode)
	}
	if strings.Contains(w.logged.String(), secret[5:]) {
		t.Error("the log holds a secret")
	}
}

func TestBeyondLoopbackAnyHostNeedsAToken(t *testing.T) {
	w := newWorld(t)
	a, server := w.start(t, func(c *Config) { c.Loopback = false })
	secret := makeToken(t, a, "")
	if res, _ := call(t, server, "GET", "/v1/node", "", "Host", "edge.example", "Authorization", "Bearer "+secret); res.StatusCode != 200 {
		t.Errorf("with a token: %d, want 200", res.StatusCode)
	}
	if res, _ := call(t, server, "GET", "/v1/node", "", "Host", "localhost"); res.StatusCode != 401 {
		t.Errorf("Host localhost without a token: %d, want 401", res.StatusCode)
	}
}

func TestStoreThatFailsLetsNobodyIn(t *testing.T) {
	w := newWorld(t)
	a, server := w.start(t, func(c *Config) { c.Loopback = false })
	secret := makeToken(t, a, "")
	w.store.mu.Lock()
	w.store.fail = errors.New("disk is gone: /secret/path")
	w.store.mu.Unlock()
	res, text := call(t, server, "GET", "/v1/node", "", "Authorization", "Bearer "+secret)
	if res.StatusCode != 500 || strings.Contains(text, "disk") {
		t.Errorf("with a failing store: %d %s, want 500 without the cause", res.StatusCode, text)
	}
}
