package router

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// proxied is a request with everything that the two formats write differently.
func proxied() *abi.Event {
	return &abi.Event{
		Invocation: "01ARZ3NDEKTSV4RRFFQ69G5FAV", App: "shop", Method: "POST", Proto: "HTTP/1.1",
		Host: "api.shop.example:8080", Path: "/my/a%20b/x%2Fy", Query: "p1=v1&p1=v%202&p2&=&bad=%zz",
		Remote: "192.0.2.1:4711", Pattern: "POST api.shop.example/my/{id}/{rest...}",
		Params: []abi.Field{{Name: "id", Value: "a b"}, {Name: "rest", Value: "x/y"}},
		Headers: []abi.Field{{Name: "Host", Value: "api.shop.example:8080"}, {Name: "X-Two", Value: "1"}, {Name: "Cookie", Value: "a=1; b=2"}, {Name: "X-Two", Value: "2"},
			{Name: "User-Agent", Value: "agent"}, {Name: "Cookie", Value: "c=3"}},
		Body: []byte("Hello"),
	}
}

var proxiedAt = time.Date(2020, 3, 12, 19, 3, 58, 390_000_000, time.UTC)

// TestProxyEventV2 compares with the documented shape of payload format 2.0.
func TestProxyEventV2(t *testing.T) {
	want := `{
	  "version": "2.0", "routeKey": "POST /my/{id}/{rest+}", "rawPath": "/my/a b/x/y",
	  "rawQueryString": "p1=v1&p1=v%202&p2&=&bad=%zz", "cookies": ["a=1", "b=2", "c=3"],
	  "headers": {"host": "api.shop.example:8080", "user-agent": "agent", "x-two": "1,2"},
	  "queryStringParameters": {"p1": "v1,v 2", "p2": "", "": ""},
	  "pathParameters": {"id": "a b", "rest": "x/y"},
	  "requestContext": {
	    "routeKey": "POST /my/{id}/{rest+}", "accountId": "", "stage": "$default", "requestId": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
	    "apiId": "shop", "domainName": "api.shop.example", "domainPrefix": "api",
	    "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1584039838390,
	    "http": {"method": "POST", "path": "/my/a b/x/y", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "agent"},
	    "authentication": {"clientCert": {"clientCertPem": "", "issuerDN": "", "serialNumber": "", "subjectDN": "", "validity": {"notAfter": "", "notBefore": ""}}}
	  },
	  "body": "Hello", "isBase64Encoded": false
	}`
	compareJSON(t, registry.PayloadHTTPAPI, proxied(), want)
}

// TestProxyEventV1 compares with the documented shape of payload format 1.0.
func TestProxyEventV1(t *testing.T) {
	want := `{
	  "resource": "/my/{id}/{rest+}", "path": "/my/a b/x/y", "httpMethod": "POST",
	  "headers": {"Host": "api.shop.example:8080", "X-Two": "2", "Cookie": "c=3", "User-Agent": "agent"},
	  "multiValueHeaders": {"Host": ["api.shop.example:8080"], "X-Two": ["1", "2"], "Cookie": ["a=1; b=2", "c=3"], "User-Agent": ["agent"]},
	  "queryStringParameters": {"p1": "v 2", "p2": "", "": ""},
	  "multiValueQueryStringParameters": {"p1": ["v1", "v 2"], "p2": [""], "": [""]},
	  "pathParameters": {"id": "a b", "rest": "x/y"}, "stageVariables": null,
	  "requestContext": {
	    "accountId": "", "resourceId": "", "stage": "$default", "domainName": "api.shop.example", "domainPrefix": "api",
	    "requestId": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "extendedRequestId": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "protocol": "HTTP/1.1",
	    "identity": {"sourceIp": "192.0.2.1", "userAgent": "agent"}, "resourcePath": "/my/{id}/{rest+}", "path": "/my/a b/x/y",
	    "authorizer": null, "httpMethod": "POST", "requestTime": "12/Mar/2020:19:03:58 +0000",
	    "requestTimeEpoch": 1584039838390, "apiId": "shop"
	  },
	  "body": "Hello"
	}`
	compareJSON(t, registry.PayloadHTTP, proxied(), want)
}

func compareJSON(t *testing.T, p registry.Payload, e *abi.Event, want string) {
	t.Helper()
	body, err := encodeProxyEvent(p, e, proxiedAt)
	if err != nil {
		t.Fatal(err)
	}
	var g, w any
	if err = json.Unmarshal(body, &g); err != nil {
		t.Fatal(err)
	}
	if err = json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("event of payload %s (-want +got):\n%s", p, diff)
	}
}

// TestProxyEventEdges checks what the documented examples do not show.
func TestProxyEventEdges(t *testing.T) {
	e := &abi.Event{Method: "GET", Path: "/hello/x", Host: "[2001:db8::1]:80", Remote: "[2001:db8::2]:1", Body: []byte{0xff, 0}}
	body, err := encodeProxyEvent(registry.PayloadHTTPAPI, e, proxiedAt)
	if err != nil {
		t.Fatal(err)
	}
	var got events.APIGatewayV2HTTPRequest
	if err = json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if got.RouteKey != "$default" || got.RequestContext.HTTP.SourceIP != "2001:db8::2" || got.Body != "/wA=" || !got.IsBase64Encoded ||
		got.PathParameters != nil || got.Cookies != nil || got.RequestContext.DomainName != "[2001:db8::1]" {
		t.Errorf("event = %s", body)
	}
	if key, _ := routeKey(&abi.Event{Pattern: "/any/{x}"}); key != "ANY /any/{x}" {
		t.Errorf("route key of a pattern without method = %q", key)
	}
}

func TestProxyReply(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		v2, v1       string // "status|headers|body", or what the error says
	}{
		{"structured", `{"statusCode":201,"headers":{"X-B":"2","X-A":"1"},"body":"hi"}`, "201|X-A=1,X-B=2|hi", "201|X-A=1,X-B=2|hi"},
		{"status as text", `{"statusCode":"404"}`, "404||", "404||"},
		{"base64", `{"statusCode":200,"body":"/wA=","isBase64Encoded":true}`, "200||\xff\x00", "200||\xff\x00"},
		{"bad base64", `{"statusCode":200,"body":"%","isBase64Encoded":true}`, "body: illegal base64", "body: illegal base64"},
		{"many values", `{"statusCode":200,"headers":{"x":"0","y":"1"},"multiValueHeaders":{"X":["a","b"]}}`, "200|y=1,X=a,X=b|", "200|y=1,X=a,X=b|"},
		{"cookies", `{"statusCode":200,"cookies":["a=1","b=2; Path=/"]}`, "200|Set-Cookie=a=1,Set-Cookie=b=2; Path=/|", "200||"},
		{"scalars", `{"statusCode":200,"headers":{"n":1.5,"t":true}}`, "200|n=1.5,t=true|", "200|n=1.5,t=true|"},
		{"nulls", `{"statusCode":200,"headers":null,"body":null,"multiValueHeaders":null,"cookies":null}`, "200||", "200||"},
		{"further members", `{"statusCode":200,"other":{"a":[1]}}`, "200||", "200||"},
		{"object", `{"name":"x"}`, `200|Content-Type=application/json|{"name":"x"}`, "no statusCode"},
		{"object like a reply", `{"body":1}`, `200|Content-Type=application/json|{"body":1}`, "cannot unmarshal"},
		{"string", ` "he\"llo" `, `200|Content-Type=application/json|he"llo`, "no statusCode"},
		{"number", `7`, "200|Content-Type=application/json|7", "no statusCode"},
		{"list", `[1]`, "200|Content-Type=application/json|[1]", "no statusCode"},
		{"null", `null`, "200|Content-Type=application/json|", "no statusCode"},
		{"nothing", ``, "not JSON", "not JSON"},
		{"not JSON", `{"statusCode":200`, "not JSON", "not JSON"},
		{"two values", `{"statusCode":200}{}`, "not JSON", "not JSON"},
		{"status of letters", `{"statusCode":"ok"}`, "invalid number literal", "invalid number literal"},
		{"status too high", `{"statusCode":600}`, "not an HTTP status", "not an HTTP status"},
		{"status with a fraction", `{"statusCode":200.5}`, "not an HTTP status", "not an HTTP status"},
		{"body not text", `{"statusCode":200,"body":{}}`, "cannot unmarshal", "cannot unmarshal"},
		{"header not text", `{"statusCode":200,"headers":{"x":["a"]}}`, "is not a string", "is not a string"},
		{"header null", `{"statusCode":200,"headers":{"x":null}}`, "is not a string", "is not a string"},
		{"headers a list", `{"statusCode":200,"headers":[]}`, "cannot unmarshal", "cannot unmarshal"},
		{"values not a list", `{"statusCode":200,"multiValueHeaders":{"x":"a"}}`, "not a list", "not a list"},
	} {
		for payload, want := range map[registry.Payload]string{registry.PayloadHTTPAPI: c.v2, registry.PayloadHTTP: c.v1} {
			r := abi.Reply{Body: []byte(c.answer)}
			err := decodeProxyReply(payload, &r)
			if err != nil {
				if !strings.Contains(err.Error(), want) || abi.CodeOf(err) != abi.FunctionFailed {
					t.Errorf("%s, %s: %v coded %s, want %q", c.name, payload, err, abi.CodeOf(err), want)
				}
				continue
			}
			var fields []string
			for _, h := range r.Headers {
				fields = append(fields, h.Name+"="+h.Value)
			}
			status, _ := json.Marshal(r.Status)
			if got := string(status) + "|" + strings.Join(fields, ",") + "|" + string(r.Body); got != want {
				t.Errorf("%s, %s: %q, want %q", c.name, payload, got, want)
			}
		}
	}
}

// TestServeProxied goes through a socket, as a Handle behind a manifest's event does.
func TestServeProxied(t *testing.T) {
	s := registry.Settings{Handler: "get", Routes: []registry.Route{
		{Pattern: "GET /v2/{id}", Payload: registry.PayloadHTTPAPI}, {Pattern: "POST /v1/{id}", Payload: registry.PayloadHTTP},
		{Pattern: "POST /raw/{id}"},
	}}
	handle := invoker(func(_ context.Context, _ *registry.Version, e *abi.Event) (*abi.Result, error) {
		var in struct {
			PathParameters map[string]string
			Body           string
		}
		if err := json.Unmarshal(e.Body, &in); err != nil {
			return new(abi.Result), err
		}
		if e.Pattern == "POST /raw/{id}" {
			return &abi.Result{Reply: abi.Reply{Body: e.Body}}, nil
		}
		if in.PathParameters["id"] == "bad" {
			return &abi.Result{Reply: abi.Reply{Body: []byte("bad")}}, nil
		}
		answer, err := json.Marshal(events.APIGatewayProxyResponse{StatusCode: 202, Body: in.PathParameters["id"] + in.Body,
			Headers: map[string]string{"Content-Type": "text/x"}})
		return &abi.Result{Reply: abi.Reply{Body: answer}}, err
	})
	log := new(lines)
	address := listen(t, newRouter(t, Config{Invoker: handle, Sink: log}, live("f", s)))
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/v2/7", "", 202, "7"},
		{"POST", "/v1/8", "!", 202, "8!"},
		{"POST", "/raw/9", `{"a":1}`, 200, `{"a":1}`},
		{"GET", "/v2/bad", "", 502, ""},
		{"POST", "/v1/bad", "", 502, ""},
	} {
		reply, body := do(t, address, c.method, c.target, "body="+c.body)
		if reply.StatusCode != c.status || c.status < 300 && body != c.want {
			t.Errorf("%s %s = %d %q, want %d %q", c.method, c.target, reply.StatusCode, body, c.status, c.want)
		}
	}
	if len(log.got) != 2 || !strings.Contains(log.got[0].Message, "not JSON") {
		t.Errorf("the function's log got %v, want why two replies were refused", log.got)
	}
}

// FuzzDecodeProxyReply looks for an answer that panics the decoder or gets past it as something HTTP cannot carry.
func FuzzDecodeProxyReply(f *testing.F) {
	for _, s := range []string{`{"statusCode":200,"headers":{"a":"b"},"multiValueHeaders":{"a":["b",1]},"cookies":["c"],"body":"aGk=","isBase64Encoded":true}`,
		`"text"`, `null`, `[]`, `{}`, `{"statusCode":"1e3"}`, `{"headers":{"a\r\n":"b"},"statusCode":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		for _, p := range []registry.Payload{registry.PayloadHTTP, registry.PayloadHTTPAPI} {
			r := abi.Reply{Body: answer}
			if err := decodeProxyReply(p, &r); err != nil {
				if abi.CodeOf(err) != abi.FunctionFailed {
					t.Errorf("decodeProxyReply(%s, %q) is coded %s", p, answer, abi.CodeOf(err))
				}
				continue
			}
			if r.Status < 100 || r.Status > 599 {
				t.Errorf("decodeProxyReply(%s, %q) has status %d", p, answer, r.Status)
			}
			if err := checkReply(&r, 1<<20, false); err != nil {
				continue
			}
			for _, h := range r.Headers {
				if !validName(h.Name) || !validValue(h.Value) {
					t.Errorf("decodeProxyReply(%s, %q) has header %q: %q", p, answer, h.Name, h.Value)
				}
			}
		}
	})
}
