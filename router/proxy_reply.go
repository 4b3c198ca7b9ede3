package router

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// proxyReply is what a Handle behind API Gateway answers. Fields are pointers where absent differs from empty.
type proxyReply struct {
	StatusCode        *json.Number               `json:"statusCode"`
	Headers           map[string]json.RawMessage `json:"headers"`
	MultiValueHeaders map[string]json.RawMessage `json:"multiValueHeaders"`
	Cookies           []string                   `json:"cookies"`
	Body              *string                    `json:"body"`
	IsBase64Encoded   bool                       `json:"isBase64Encoded"`
}

// decodeProxyReply turns the answer in r.Body into the HTTP reply it describes. In format 2.0 an answer without
// statusCode is itself the body of a 200: a string as its text, anything else as JSON. In format 1.0 statusCode is
// required. A name in both headers and multiValueHeaders has the values of the latter. Headers are in the order of
// their names. Errors are coded abi.FunctionFailed and say what is wrong with the answer.
// Source: Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs".
func decodeProxyReply(p registry.Payload, r *abi.Reply) error {
	var answer proxyReply
	isObject := bytes.HasPrefix(bytes.TrimLeft(r.Body, " \t\r\n"), []byte("{"))
	if !json.Valid(r.Body) {
		return badProxy("not JSON")
	}
	if isObject {
		if err := json.Unmarshal(r.Body, &answer); err != nil {
			if p == registry.PayloadHTTPAPI && !hasStatusCode(r.Body) {
				return inferReply(r)
			}
			return badProxy("%v", err)
		}
	}
	if answer.StatusCode == nil {
		if p == registry.PayloadHTTP {
			return badProxy("no statusCode")
		}
		return inferReply(r)
	}
	return answer.into(p, r)
}

// hasStatusCode reports whether a JSON object has a member statusCode, whatever the rest is.
func hasStatusCode(object []byte) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(object, &members) == nil && members["statusCode"] != nil
}

// inferReply makes a 200 of an answer that is not a reply. A null is an empty body.
func inferReply(r *abi.Reply) error {
	body := bytes.TrimSpace(r.Body)
	if len(body) > 0 && body[0] == '"' {
		var s string
		if err := json.Unmarshal(body, &s); err != nil {
			return badProxy("%v", err)
		}
		body = []byte(s)
	} else if string(body) == "null" {
		body = nil
	}
	*r = abi.Reply{Status: 200, Headers: []abi.Field{{Name: "Content-Type", Value: contentTypeJSON}}, Body: body}
	return nil
}

func (a *proxyReply) into(p registry.Payload, r *abi.Reply) error {
	status, err := a.StatusCode.Int64()
	if err != nil || status < 100 || status > 599 {
		return badProxy("statusCode %.20s is not an HTTP status", *a.StatusCode)
	}
	*r = abi.Reply{Status: int(status)}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		if hasName(a.MultiValueHeaders, name) {
			continue
		}
		value, err := scalar(a.Headers[name])
		if err != nil {
			return badProxy("header %.80q: %v", name, err)
		}
		r.Headers = append(r.Headers, abi.Field{Name: name, Value: value})
	}
	for _, name := range slices.Sorted(maps.Keys(a.MultiValueHeaders)) {
		var values []json.RawMessage
		if err := json.Unmarshal(a.MultiValueHeaders[name], &values); err != nil {
			return badProxy("multi-value header %.80q: not a list", name)
		}
		for _, v := range values {
			value, err := scalar(v)
			if err != nil {
				return badProxy("multi-value header %.80q: %v", name, err)
			}
			r.Headers = append(r.Headers, abi.Field{Name: name, Value: value})
		}
	}
	if p == registry.PayloadHTTPAPI {
		for _, c := range a.Cookies {
			r.Headers = append(r.Headers, abi.Field{Name: "Set-Cookie", Value: c})
		}
	}
	return a.body(r)
}

func (a *proxyReply) body(r *abi.Reply) error {
	if a.Body == nil {
		return nil
	}
	if !a.IsBase64Encoded {
		r.Body = []byte(*a.Body)
		return nil
	}
	body, err := base64.StdEncoding.DecodeString(*a.Body)
	if err != nil {
		return badProxy("body: %v", err)
	}
	r.Body = body
	return nil
}

// hasName reports whether headers has name in any case.
func hasName(headers map[string]json.RawMessage, name string) bool {
	for other := range headers {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// scalar is a header's value: a string, or a number or boolean as it is written.
func scalar(raw json.RawMessage) (string, error) {
	switch {
	case len(raw) > 0 && raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case len(raw) > 0 && (raw[0] == '{' || raw[0] == '[' || raw[0] == 'n'):
		return "", fmt.Errorf("value %.20s is not a string, number or boolean", raw)
	}
	return string(raw), nil
}

func badProxy(format string, args ...any) error {
	return abi.WithCode(abi.FunctionFailed, fmt.Errorf("proxy reply: "+format, args...))
}
