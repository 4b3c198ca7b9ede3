package admin

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

func TestDecodeJSONNamesWhatIsWrong(t *testing.T) {
	const digest = `"digest":"` + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" + `"`
	for _, test := range []struct{ text, want string }{ // want empty: accepted
		{``, ""},
		{" \n", ""},
		{`{}`, ""},
		{`{"functions":[{"name":"a",` + digest + `,"settings":{"env":{"A":"1","a":"2"},"memory_mb":64}}]}`, ""},
		{`{"functions":null}`, ""},
		{`{"functions":[{"settings":{"triggers":[{"topic":{"topic":"t","filter":{"kind":["gift",{"prefix":"a"}]}}}]}}]}`, ""},
		{`{"functions":[{"settings":{"triggers":[{"topic":{"filter":{"a":[{"b":1,"b":2}]}}}]}}]}`,
			"functions[0].settings.triggers[0].topic.filter.a.b: given twice"},
		{`{"functions":[{"settings":{"triggers":[{"schedule":{"input":` + strings.Repeat("[", 10_000), "nested deeper than"},
		{`{"function":[]}`, "function: unknown key; did you mean functions?"},
		{`{"Functions":[]}`, "Functions: unknown key; did you mean functions?"},
		{`{"functions":[{"settings":{"memoryMB":64}}]}`, "functions[0].settings.memoryMB: unknown key; did you mean memory_mb?"},
		{`{"functions":[{},{"settings":{"timeout":64}}]}`, "functions[1].settings.timeout: unknown key; did you mean timeout_ms?"},
		{`{"functions":[{"xyzzy":1}]}`, "functions[0].xyzzy: unknown key; known are digest, name, settings"},
		{`{"functions":[{"name":"a","name":"b"}]}`, "functions[0].name: given twice"},
		{`{"functions":[{"settings":{"env":{"A":"1","A":"2"}}}]}`, "functions[0].settings.env.A: given twice"},
		{`{"functions":[{"name":7}]}`, "must be a string, not number"},
		{`{"functions":[{"settings":{"memory_mb":"64"}}]}`, "must be a whole number that fits, not string"},
		{`{"functions":[{"settings":{"memory_mb":6.5}}]}`, "must be a whole number"},
		{`{"functions":[{"settings":{"memory_mb":99999999999999999999}}]}`, "must be a whole number that fits"},
		{`{"functions":{}}`, "functions: must be a list, not an object"},
		{`{"functions":[[]]}`, "functions[0]: must be an object, not a list"},
		{`[]`, "the whole: must be an object, not a list"},
		{`"text"`, "the whole: must be an object, not string"},
		{`{} {}`, "more data after the JSON value"},
		{`{}x`, "more data after the JSON value"},
		{"{\"functions\":[{\"name\":\"\xff\"}]}", "not UTF-8"},
		{`{"functions":[`, "it ends too early"},
		{"{\n\"functions\":\n]}", "line 3"},
		{`{"functions":[{"settings":{"env":{"A":` + strings.Repeat("[", 10_000), "must be a string, not a list"},
	} {
		var out client.DeployRequest
		err := decodeJSON([]byte(test.text), &out)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("decode %.80s: %v", test.text, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("decode %.80s: %v, want %q", test.text, err, test.want)
		case err != nil && abi.CodeOf(err) != abi.InvalidInput:
			t.Errorf("decode %.80s: code %q, want %q", test.text, abi.CodeOf(err), abi.InvalidInput)
		}
	}
}

func TestDecodeJSONOfBytesAndPointers(t *testing.T) {
	var out client.BenchRequest
	if err := decodeJSON([]byte(`{"warm":3,"request":{"body_base64":"aGk=","headers":[{"name":"A","value":"b"}]}}`), &out); err != nil {
		t.Fatal(err)
	}
	if string(out.Request.Body) != "hi" || out.Request.Headers[0] != (abi.Field{Name: "A", Value: "b"}) {
		t.Errorf("decoded %+v", out.Request)
	}
	for text, want := range map[string]string{
		`{"request":{"body_base64":"*"}}`:      "body_base64",
		`{"request":{"body_base64":[1]}}`:      "request.body_base64: must be a base64 string, not a list",
		`{"request":{"headers":[{"Name":1}]}}`: "request.headers[0].Name: unknown key; did you mean name?",
	} {
		if err := decodeJSON([]byte(text), &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("decode %s: %v, want %q", text, err, want)
		}
	}
}

// deep has a type that nests itself: no request's does, and this shows what bounds one that would.
type deep struct {
	In *deep `json:"in"`
}

func TestDecodeJSONBoundsDepth(t *testing.T) {
	text := func(n int) []byte { return []byte(strings.Repeat(`{"in":`, n) + "null" + strings.Repeat("}", n)) }
	if err := decodeJSON(text(maxDepth), new(deep)); err != nil {
		t.Errorf("%d levels: %v", maxDepth, err)
	}
	if err := decodeJSON(text(maxDepth+1), new(deep)); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("%d levels: %v, want a refusal", maxDepth+1, err)
	}
}

// TestDecodeJSONTakesDeepDocuments: what a deployment or an event holds of a person's own JSON may go as deep as a manifest,
// from which it may come.
func TestDecodeJSONTakesDeepDocuments(t *testing.T) {
	schema := `{"properties":{"items":{"items":{"properties":{"product":{"properties":{"price":{"properties":{"currency":{"type":"string"}}}}}}}}}}`
	text := `{"functions":[{"settings":{"routes":[{"schemas":{"application/json":` + schema + `}}]}}]}`
	if err := decodeJSON([]byte(text), new(client.DeployRequest)); err != nil {
		t.Errorf("a schema: %v", err)
	}
	events := func(n int) []byte {
		return []byte(`{"events":[{"detail":` + strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) + `}]}`)
	}
	const outer = 3
	if err := decodeJSON(events(maxDocumentDepth-outer), new(client.PutEventsRequest)); err != nil {
		t.Errorf("a deep event: %v", err)
	}
	if err := decodeJSON(events(maxDocumentDepth-outer+1), new(client.PutEventsRequest)); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("too deep an event: %v, want a refusal", err)
	}
}

// FuzzDecodeJSON holds that whatever is accepted means the same when it is written and read again, and that
// nothing panics or is accepted that encoding/json refuses.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"functions":[{"name":"a","digest":"d","settings":{"memory_mb":1,"env":{"A":"b"},"routes":[{"pattern":"/"}]}}]}`,
		`{"weights":[{"version":1,"weight":90}]}`, `{"cold":1,"request":{"method":"GET","body_base64":"aGk="}}`,
		`{"functions":[{"name":"a","name":"b"}]}`, `[[[[`, `{"x":`, `null`, "\xff", `{"name":"t","app":"a"}`, `{"version":1e2}`,
		`{"checks":[{"key":"a","revision":0},{"key_base64":"/w==","value":""}],"ops":[{"op":"incr","key":"n","delta":-1,"min":0}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, out := range []any{new(client.DeployRequest), new(client.AliasRequest), new(client.BenchRequest),
			new(client.InvokeRequest), new(client.TokenRequest), new(client.RollbackRequest), new(client.KVTxn), new(client.KVGetRequest), new(client.KVQuota)} {
			if decodeJSON(text, out) != nil {
				continue
			}
			again, err := json.Marshal(out)
			if err != nil {
				t.Fatalf("encode %T of %q: %v", out, text, err)
			}
			again = bytes.ReplaceAll(again, []byte(`,"settings":{}`), nil) // an empty list in it counts as none
			second := reflect.New(reflect.TypeOf(out).Elem()).Interface()
			if err := decodeJSON(again, second); err != nil {
				t.Fatalf("%T: %q was accepted, and refused when written again as %q: %v", out, text, again, err)
			}
			third, _ := json.Marshal(second)
			if string(third) != string(again) {
				t.Fatalf("%T: %q became %q and then %q", out, text, again, third)
			}
		}
	})
}
