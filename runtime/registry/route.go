package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sett-run/sett/sdk/abi"
)

// Limits of Cors and of request schemas.
const (
	MaxCorsValues    = 100    // origins, methods or headers
	MaxCorsBytes     = 256    // one of them
	MaxCorsSeconds   = 86_400 // how long a browser may keep an answer; browsers keep it for less
	MaxSchemas       = 8      // media types of a route
	MaxSchemaBytes   = 32 << 10
	schemaURL        = "sett:schema" // names a schema in itself
	anyOrigin        = "*"
	mediaTypeMaximum = 127
)

// Route is a pattern a version answers, as in Pattern.
type Route struct {
	Pattern string  `json:"pattern"`
	Payload Payload `json:"payload,omitempty"`
	// Async answers requests with 202 and an invocation id at once; Settings.Async says what becomes of them.
	Async bool  `json:"async,omitempty"`
	Cors  *Cors `json:"cors,omitempty"` // nil: no header of CORS is sent
	// Schemas are JSON schemas that a request's body must meet before the guest is woken, by media type in lower case,
	// without parameters. A body of another type is not checked.
	Schemas map[string]json.RawMessage `json:"schemas,omitempty"`
}

// Cors is what browsers are told of who may call a route from other origins.
type Cors struct {
	Origins       []string `json:"origins"`           // "*", or https://shop.example; one at least
	Methods       []string `json:"methods,omitempty"` // empty: those of the routes at the same path that have the same Cors
	Headers       []string `json:"headers,omitempty"` // that a request may have; "*": any
	Expose        []string `json:"expose,omitempty"`  // headers of a reply that a page may read
	Credentials   bool     `json:"credentials,omitempty"`
	MaxAgeSeconds int      `json:"max_age_seconds,omitempty"` // how long a browser may keep the answer; 0: it decides
}

// complete answers r without shared memory; documents are in canonical form.
func (r Route) complete() Route {
	if r.Cors != nil {
		c := *r.Cors
		for _, list := range []*[]string{&c.Origins, &c.Methods, &c.Headers, &c.Expose} {
			*list = append([]string(nil), *list...)
		}
		r.Cors = &c
	}
	if r.Schemas = maps.Clone(r.Schemas); len(r.Schemas) == 0 {
		r.Schemas = nil
	}
	for kind, schema := range r.Schemas {
		r.Schemas[kind] = canonicalJSON(schema)
	}
	return r
}

// validate names every fault of r but its pattern's.
func (r Route) validate(handler string, faults *faults) {
	switch {
	case r.Payload != PayloadRaw && r.Payload != PayloadHTTP && r.Payload != PayloadHTTPAPI:
		faults.add("route %.80q: unknown payload %.40q; it is %q, %q or empty", r.Pattern, r.Payload, PayloadHTTP, PayloadHTTPAPI)
	case r.Payload != PayloadRaw && handler == "":
		faults.add("route %.80q: payload %s needs a handler", r.Pattern, r.Payload)
	}
	if r.Cors != nil {
		for _, err := range r.Cors.validate() {
			faults.add("route %.80q: cors: %w", r.Pattern, err)
		}
	}
	if len(r.Schemas) > MaxSchemas {
		faults.add("route %.80q: %d schemas; at most %d are allowed", r.Pattern, len(r.Schemas), MaxSchemas)
		return
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Schemas)) {
		parsed, _, err := mime.ParseMediaType(kind)
		if err != nil || parsed != kind || !strings.Contains(kind, "/") || len(kind) > mediaTypeMaximum {
			faults.add("route %.80q: schema of %.80q, which is no media type such as application/json", r.Pattern, kind)
		}
		if _, err := CompileSchema(r.Schemas[kind]); err != nil {
			faults.add("route %.80q: schema of %.80s: %w", r.Pattern, kind, err)
		}
	}
}

func (c *Cors) validate() (faults faults) {
	lists := []struct {
		name   string
		values []string
	}{{"origins", c.Origins}, {"methods", c.Methods}, {"headers", c.Headers}, {"expose", c.Expose}}
	for _, l := range lists {
		if len(l.values) > MaxCorsValues {
			faults.add("%d %s; at most %d are allowed", len(l.values), l.name, MaxCorsValues)
		}
		for _, v := range l.values {
			if l.name == "origins" && v != anyOrigin && !isOrigin(v) || l.name != "origins" && v != "*" && !isToken(v) || len(v) > MaxCorsBytes {
				faults.add("%s: %.80q is none", l.name, v)
			}
		}
	}
	if len(c.Origins) == 0 {
		faults.add("no origins: name them, or * for any")
	}
	if c.Credentials && slices.Contains(c.Origins, anyOrigin) {
		faults.add("credentials with origin *: browsers refuse that; name the origins")
	}
	if c.MaxAgeSeconds < 0 || c.MaxAgeSeconds > MaxCorsSeconds {
		faults.add("age %d s; it is between 0 and %d", c.MaxAgeSeconds, MaxCorsSeconds)
	}
	return faults
}

// isOrigin reports whether s is scheme://host[:port] as browsers send it, or null.
// Source: RFC 6454 section 6.2; the scheme is any, since apps and extensions have their own.
func isOrigin(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	host, port := cutPort(rest)
	return s == "null" || ok && port && isToken(scheme) && (isAddress(host) || isHost(host))
}

// isToken reports whether s is a token, such as a method or a header's name.
func isToken(s string) bool { return abi.ValidHeader(abi.Field{Name: s}) }

// CompileSchema reads a JSON schema of any draft; one that does not say which is of draft 7. It is whole in itself:
// a $ref that leaves it is refused, and nothing is loaded. Errors are coded abi.InvalidInput.
func CompileSchema(schema json.RawMessage) (*jsonschema.Schema, error) {
	fault := func(err error) (*jsonschema.Schema, error) {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("compile schema: %w", err))
	}
	if len(schema) > MaxSchemaBytes {
		return fault(fmt.Errorf("%d bytes; at most %d are allowed", len(schema), MaxSchemaBytes))
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return fault(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaURL, document); err != nil {
		return fault(err)
	}
	compiled, err := c.Compile(schemaURL)
	if err != nil {
		return fault(err)
	}
	return compiled, nil
}

// noLoader refuses what a schema wants from elsewhere.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%.80q is elsewhere; a schema is whole in itself", url)
}

// canonicalJSON answers a document in its one form: keys sorted, no space between. Equal documents are equal bytes
// then. What is no JSON is answered as it is, for Validate to refuse.
func canonicalJSON(document json.RawMessage) json.RawMessage {
	if len(document) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	if d.Decode(&v) == nil {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			if text, err := json.Marshal(v); err == nil {
				return text
			}
		}
	}
	return bytes.Clone(document)
}

// isObject reports whether a document is a JSON object.
func isObject(document json.RawMessage) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(document, &object) == nil && object != nil
}
