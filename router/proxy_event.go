package router

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// stage is the only stage there is; its name is API Gateway's for a stage without a path prefix.
const stage = "$default"

// clfTime is how API Gateway writes a request's time.
const clfTime = "02/Jan/2006:15:04:05 -0700"

// encodeProxyEvent answers the event of API Gateway that stands for an HTTP request: format 2.0 for
// registry.PayloadHTTPAPI, 1.0 for registry.PayloadHTTP. A body that is not UTF-8 is sent in base64.
// Source: Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs".
func encodeProxyEvent(p registry.Payload, e *abi.Event, now time.Time) ([]byte, error) {
	if p == registry.PayloadHTTP {
		return json.Marshal(proxyEventV1(e, now))
	}
	return json.Marshal(proxyEventV2(e, now))
}

func proxyEventV2(e *abi.Event, now time.Time) events.APIGatewayV2HTTPRequest {
	headers := map[string]string{"host": e.Host}
	var cookies []string
	for _, h := range e.Headers {
		name := strings.ToLower(h.Name)
		if name == "host" {
			continue
		}
		if name == "cookie" {
			for c := range strings.SplitSeq(h.Value, ";") {
				if c = strings.TrimSpace(c); c != "" {
					cookies = append(cookies, c)
				}
			}
			continue
		}
		headers[name] = join(headers, name, h.Value)
	}
	query := map[string]string{}
	for _, f := range queryFields(e.Query) {
		query[f.Name] = join(query, f.Name, f.Value)
	}
	key, _ := routeKey(e)
	path := decodedPath(e.Path)
	body, encoded := proxyBody(e.Body)
	host := string(routeHost(nil, e.Host))
	prefix, _, _ := strings.Cut(host, ".")
	return events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: key, RawPath: path, RawQueryString: e.Query, Cookies: cookies, Headers: headers,
		QueryStringParameters: query, PathParameters: pathParameters(e), Body: body, IsBase64Encoded: encoded,
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: key, Stage: stage, RequestID: e.Invocation, APIID: e.App,
			DomainName: host, DomainPrefix: prefix,
			Time: now.UTC().Format(clfTime), TimeEpoch: now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: e.Method, Path: path, Protocol: e.Proto, SourceIP: sourceIP(e.Remote), UserAgent: headers["user-agent"],
			},
		},
	}
}

func proxyEventV1(e *abi.Event, now time.Time) events.APIGatewayProxyRequest {
	headers, all := map[string]string{"Host": e.Host}, map[string][]string{"Host": {e.Host}}
	for _, h := range e.Headers {
		if strings.EqualFold(h.Name, "Host") {
			continue
		}
		headers[h.Name] = h.Value
		all[h.Name] = append(all[h.Name], h.Value)
	}
	var query map[string]string
	var allQuery map[string][]string
	for _, f := range queryFields(e.Query) {
		if query == nil {
			query, allQuery = map[string]string{}, map[string][]string{}
		}
		query[f.Name] = f.Value
		allQuery[f.Name] = append(allQuery[f.Name], f.Value)
	}
	_, resource := routeKey(e)
	path := decodedPath(e.Path)
	body, encoded := proxyBody(e.Body)
	host := string(routeHost(nil, e.Host))
	prefix, _, _ := strings.Cut(host, ".")
	return events.APIGatewayProxyRequest{
		Resource: resource, Path: path, HTTPMethod: e.Method, Headers: headers, MultiValueHeaders: all,
		QueryStringParameters: query, MultiValueQueryStringParameters: allQuery, PathParameters: pathParameters(e),
		Body: body, IsBase64Encoded: encoded,
		RequestContext: events.APIGatewayProxyRequestContext{
			Stage: stage, DomainName: host, DomainPrefix: prefix, RequestID: e.Invocation, ExtendedRequestID: e.Invocation,
			Protocol: e.Proto, ResourcePath: resource, Path: path, HTTPMethod: e.Method, APIID: e.App,
			RequestTime: now.UTC().Format(clfTime), RequestTimeEpoch: now.UnixMilli(),
			Identity: events.APIGatewayRequestIdentity{SourceIP: sourceIP(e.Remote), UserAgent: headers["User-Agent"]},
		},
	}
}

// join adds value to what m has under name, after a comma.
func join(m map[string]string, name, value string) string {
	if old, found := m[name]; found {
		return old + "," + value
	}
	return value
}

// queryFields are a query's parameters, decoded, in order. One that does not decode is left out.
func queryFields(query string) (fields []abi.Field) {
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		n, errName := url.QueryUnescape(name)
		v, errValue := url.QueryUnescape(value)
		if part != "" && errName == nil && errValue == nil {
			fields = append(fields, abi.Field{Name: n, Value: v})
		}
	}
	return fields
}

// routeKey is a pattern as API Gateway writes it: "GET /files/{path+}", its path alone, and "$default" for a
// default path. A pattern without a method is ANY.
func routeKey(e *abi.Event) (key, resource string) {
	if e.Pattern == "" {
		return "$default", decodedPath(e.Path)
	}
	method, path, found := strings.Cut(e.Pattern, " ")
	if !found {
		method, path = "ANY", e.Pattern
	}
	if slash := strings.IndexByte(path, '/'); slash > 0 {
		path = path[slash:] // the host is not part of it
	}
	resource = strings.ReplaceAll(strings.TrimSpace(path), "...}", "+}")
	return method + " " + resource, resource
}

func pathParameters(e *abi.Event) map[string]string {
	if len(e.Params) == 0 {
		return nil
	}
	m := make(map[string]string, len(e.Params))
	for _, p := range e.Params {
		m[p.Name] = p.Value
	}
	return m
}

// decodedPath is the path as API Gateway shows it, percent-decoded. The caller has checked that it decodes.
func decodedPath(path string) string {
	if decoded, err := url.PathUnescape(path); err == nil {
		return decoded
	}
	return path
}

func proxyBody(body []byte) (text string, encoded bool) {
	if utf8.Valid(body) {
		return string(body), false
	}
	return base64.StdEncoding.EncodeToString(body), true
}

func sourceIP(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}
