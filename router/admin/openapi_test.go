package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is the part of an OpenAPI document these tests look at.
type document struct {
	OpenAPI    string                                `json:"openapi"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Responses map[string]response        `json:"responses"`
		Schemas   map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	ID          string                 `json:"operationId"`
	Summary     string                 `json:"summary"`
	Security    *[]map[string][]string `json:"security"`
	RequestBody struct {
		Content map[string]content `json:"content"`
	} `json:"requestBody"`
	Responses map[string]response `json:"responses"`
}

type response struct {
	Ref     string             `json:"$ref"`
	Content map[string]content `json:"content"`
}

type content struct {
	Schema struct {
		Ref string `json:"$ref"`
	} `json:"schema"`
}

func readDocument(t testing.TB) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(openAPIDocument, &d); err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Fatalf("openapi.json is of version %q, want 3.1", d.OpenAPI)
	}
	return d
}

// operationAt answers what the document says of a route's pattern, such as "GET /v1/node".
func (d document) operationAt(t testing.TB, pattern string) (operation, bool) {
	t.Helper()
	method, path, _ := strings.Cut(pattern, " ")
	raw, ok := d.Paths[path][strings.ToLower(method)]
	if !ok {
		return operation{}, false
	}
	var o operation
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	return o, true
}

func TestOpenAPIDescribesEveryRouteAndNoOther(t *testing.T) {
	d := readDocument(t)
	routes := (&Admin{config: Config{Gatherer: noFigures{}}}).table()
	ids := map[string]bool{}
	for pattern, to := range routes {
		o, ok := d.operationAt(t, pattern)
		if !ok {
			t.Errorf("route %s is not described", pattern)
			continue
		}
		if o.ID == "" || o.Summary == "" || ids[o.ID] {
			t.Errorf("route %s: id %q or summary %q is missing or not its own", pattern, o.ID, o.Summary)
		}
		ids[o.ID] = true
		open := o.Security != nil && len(*o.Security) == 0
		if want := to.access == nobody || to.access == probing; open != want {
			t.Errorf("route %s: described as open %v, is %v", pattern, open, want)
		}
	}
	for path, methods := range d.Paths {
		for method := range methods {
			if method == "parameters" {
				continue
			}
			if _, ok := routes[strings.ToUpper(method)+" "+path]; !ok {
				t.Errorf("%s %s is described and not served", method, path)
			}
		}
	}
}

func TestOpenAPISchemasCompileAndAreUsed(t *testing.T) {
	d := readDocument(t)
	s := compileSchemas(t)
	for name := range d.Components.Schemas {
		s.schema(t, name)
		if !bytes.Contains(openAPIDocument, []byte(`"#/components/schemas/`+name+`"`)) {
			t.Errorf("schema %s is not used", name)
		}
	}
}

// schemas checks JSON against the document's schemas.
type schemas struct {
	mu       sync.Mutex // guards compiler: it compiles as asked
	compiler *jsonschema.Compiler
}

const documentURL = "https://sett.invalid/openapi.json"

func compileSchemas(t testing.TB) *schemas {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPIDocument))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	if err := c.AddResource(documentURL, parsed); err != nil {
		t.Fatal(err)
	}
	return &schemas{compiler: c}
}

func (s *schemas) schema(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	compiled, err := s.compiler.Compile(documentURL + "#/components/schemas/" + name)
	if err != nil {
		t.Fatalf("schema %s: %v", name, err)
	}
	return compiled
}

// check reports JSON that does not match the schema referred to.
func (s *schemas) check(t testing.TB, ref string, text []byte, of string) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Errorf("%s: not JSON: %v: %.200s", of, err, text)
		return
	}
	if err := s.schema(t, strings.TrimPrefix(ref, "#/components/schemas/")).Validate(value); err != nil {
		t.Errorf("%s does not match the description: %v\n%.400s", of, err, text)
	}
}

// described passes requests on and compares each with the document, and so its response: status, type and JSON.
type described struct {
	t       testing.TB
	next    http.Handler
	doc     document
	schemas *schemas

	mu   sync.Mutex      // guards seen
	seen map[string]bool // patterns that answered 2xx
}

func newDescribed(t testing.TB, next http.Handler) *described {
	return &described{t: t, next: next, doc: readDocument(t), schemas: compileSchemas(t), seen: map[string]bool{}}
}

func (d *described) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var sent []byte
	if r.Header.Get("Content-Type") == "application/json" {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	out := &teeWriter{ResponseWriter: w}
	d.next.ServeHTTP(out, r)
	o, ok := d.doc.operationAt(d.t, r.Pattern)
	if !ok {
		if out.status < 400 {
			d.t.Errorf("%s %s answered %d and is not described", r.Method, r.URL.Path, out.status)
		}
		return
	}
	of := fmt.Sprintf("%s -> %d", r.Pattern, out.status)
	if ref := o.RequestBody.Content["application/json"].Schema.Ref; ref != "" && len(sent) > 0 && out.status < 300 {
		d.schemas.check(d.t, ref, sent, "request of "+of)
	}
	as, ok := o.Responses[fmt.Sprint(out.status)]
	if !ok {
		as = o.Responses["default"]
		if out.status < 400 {
			d.t.Errorf("%s: status is not described", of)
		}
	}
	if as.Ref != "" {
		as = d.doc.Components.Responses[strings.TrimPrefix(as.Ref, "#/components/responses/")]
	}
	d.checkBody(of, as, out, r.Method)
	if out.status < 300 {
		d.mu.Lock()
		d.seen[r.Pattern] = true
		d.mu.Unlock()
	}
}

func (d *described) checkBody(of string, as response, out *teeWriter, method string) {
	if method == http.MethodHead {
		return
	}
	if len(as.Content) == 0 {
		if out.body.Len() > 0 {
			d.t.Errorf("%s: has a body, and none is described: %.200s", of, out.body.Bytes())
		}
		return
	}
	kind, _, _ := mime.ParseMediaType(out.Header().Get("Content-Type"))
	c, ok := as.Content[kind]
	if !ok && kind != "application/openmetrics-text" && kind != "application/vnd.google.protobuf" {
		d.t.Errorf("%s: is %q, described as %v", of, kind, slices.Collect(maps.Keys(as.Content)))
	}
	if c.Schema.Ref == "" {
		return
	}
	texts := [][]byte{out.body.Bytes()}
	if kind == "application/x-ndjson" {
		texts = bytes.Split(bytes.TrimSpace(out.body.Bytes()), []byte("\n"))
	}
	for _, text := range texts {
		if len(text) > 0 {
			d.schemas.check(d.t, c.Schema.Ref, text, of)
		}
	}
}

// teeWriter keeps what is answered.
type teeWriter struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *teeWriter) WriteHeader(status int) { w.status = status; w.ResponseWriter.WriteHeader(status) }

func (w *teeWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.body.Write(b)
	return w.ResponseWriter.Write(b)
}

func (w *teeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
