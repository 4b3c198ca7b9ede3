package manifest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

func TestParse(t *testing.T) {
	app, err := Parse("sett.yaml", []byte(`
service: shop
frameworkVersion: '4'
provider:
  name: aws
  memorySize: 256
  timeout: 6
  environment: {STAGE: test, DEBUG: true}
functions:
  users:
    handler: ./handlers/users
    events:
      - httpApi: 'GET /users/{id}'
      - httpApi: {method: post, path: /users}
  pay:
    handler: handlers/users.pay
    memorySize: 64
    timeout: 0.5
    reservedConcurrency: 5
    provisionedConcurrency: 2
    environment:
      STAGE: live
    events:
      - http: {path: 'pay/{proxy+}', method: any}
      - httpApi: '*'
  me: {handler: main, timeout: 250ms}
  old: {handler: bin/old.wasm}
  source: {handler: source.go}
`))
	if err != nil {
		t.Fatal(err)
	}
	shared := map[string]string{"STAGE": "test", "DEBUG": "true"}
	want := &App{
		Name: "shop",
		Functions: []Function{
			{"users", "handlers/users", registry.Settings{MemoryMB: 256, TimeoutMS: 6000, Env: shared,
				Routes: []registry.Route{{Pattern: "GET /users/{id}"}, {Pattern: "POST /users"}}}},
			{"pay", "handlers/users", registry.Settings{Handler: "pay", MemoryMB: 64, TimeoutMS: 500, Reserved: 5, Provisioned: 2,
				Env: map[string]string{"STAGE": "live", "DEBUG": "true"},
				Routes: []registry.Route{{Pattern: "/pay/{proxy...}", Payload: registry.PayloadHTTP},
					{Pattern: "/{proxy...}", Payload: registry.PayloadHTTPAPI}}}},
			{"me", "main", registry.Settings{MemoryMB: 256, TimeoutMS: 250, Env: shared}},
			{"old", "bin/old.wasm", registry.Settings{MemoryMB: 256, TimeoutMS: 6000, Env: shared}},
			{"source", "source", registry.Settings{MemoryMB: 256, TimeoutMS: 6000, Env: shared}},
		},
		Notes: []string{"frameworkVersion has no effect here sett.yaml:3:1", "provider.name has no effect here sett.yaml:5:3"},
	}
	if !reflect.DeepEqual(app, want) {
		t.Errorf("Parse = %+v\nwant %+v", app, want)
	}
}

func TestParseMergesAnchors(t *testing.T) {
	app, err := Parse("sett.yaml", []byte(`
x-small: &small {memorySize: 16, timeout: 1}
functions:
  a: {<<: *small, handler: a, timeout: 2}
  b:
    <<: [*small]
    handler: b
    events: &events [httpApi: GET /b]
`))
	if err != nil {
		t.Fatal(err)
	}
	a, b := app.Functions[0].Settings, app.Functions[1].Settings
	if a.MemoryMB != 16 || a.TimeoutMS != 2000 || b.MemoryMB != 16 || b.TimeoutMS != 1000 {
		t.Errorf("settings = %+v and %+v, want 16 MB with 2 s and 1 s", a, b)
	}
}

// TestFaults holds the message of everything that is refused; each line of want is one fault, in order.
func TestFaults(t *testing.T) {
	one := func(lines string) string { return "functions:\n  f:\n    handler: f\n" + lines }
	for name, c := range map[string]struct{ text, want string }{
		"unknown key": {
			"service: shop\n\n\nfunctions:\n  hello:\n    handler: hello\n    memorySise: 3\n",
			"functions.hello.memorySise: unknown key, did you mean memorySize? sett.yaml:7:5"},
		"all at once": {
			"servise: x\nprovider: {timeout: soon}\nfunctions:\n  Hello!: {handler: hello, banana: 1}\n  b: {}\n",
			"servise: unknown key, did you mean service? sett.yaml:1:1\n" +
				"provider.timeout: \"soon\" is no timeout from 1ms to 15m0s: write seconds (6) or a duration (500ms) sett.yaml:2:21\n" +
				"functions.Hello!: function name \"Hello!\": a name is 1 to 63 of a-z, A-Z, 0-9, _ and -, and neither starts nor ends with - sett.yaml:4:3\n" +
				"functions.Hello!.banana: unknown key sett.yaml:4:28\n" +
				"functions.b: handler is missing: it names the module, as in handlers/b sett.yaml:5:3"},
		"known, not offered":   {one("    image: x\n"), "functions.f.image: not offered yet sett.yaml:4:5"},
		"top, not offered":     {"layers: {}\n" + one(""), "layers: not offered yet sett.yaml:1:1"},
		"variable":             {"service: ${self:custom.x}\n" + one(""), "service: ${self:custom.x} has no value; give it a default, as in ${env:NAME, 'default'} sett.yaml:1:10"},
		"event not offered":    {one("    events: [{kafka: x}]\n"), "functions.f.events.kafka: kafka events are not offered yet sett.yaml:4:15"},
		"event as a word":      {one("    events: [kafka]\n"), "functions.f.events.kafka: kafka events are not offered yet sett.yaml:4:14"},
		"s3 empty":             {one("    events: [s3]\n"), "functions.f.events.s3: needs a bucket, as in s3: pictures sett.yaml:4:14"},
		"s3 without a bucket":  {one("    events: [{s3: {existing: true}}]\n"), "functions.f.events.s3: bucket is missing, as in bucket: pictures sett.yaml:4:15"},
		"s3 no bucket":         {one("    events: [{s3: Pics}]\n"), `functions.f.events.s3: bucket "Pics" is not 3 to 63 of a-z, 0-9, - and . with a letter or digit at both ends: invalid request sett.yaml:4:19`},
		"s3 queue":             {one("    events: [{s3: 'queue:pics'}]\n"), `functions.f.events.s3: "pics" is a queue where a bucket is needed sett.yaml:4:19`},
		"s3 event":             {one("    events: [{s3: {bucket: pics, event: 's3:ObjectTagging:*'}}]\n"), `functions.f.events.s3.event: "s3:ObjectTagging:*" is not s3:ObjectCreated:* or s3:ObjectCreated:Put or s3:ObjectCreated:Post or s3:ObjectCreated:Copy or s3:ObjectCreated:CompleteMultipartUpload or s3:ObjectRemoved:* or s3:ObjectRemoved:Delete sett.yaml:4:41`},
		"s3 two prefixes":      {one("    events: [{s3: {bucket: pics, rules: [{prefix: a}, {prefix: b}]}}]\n"), `functions.f.events.s3.rules.prefix: given twice; write an event for each prefix sett.yaml:4:56`},
		"s3 rule":              {one("    events: [{s3: {bucket: pics, rules: [{prefx: a}]}}]\n"), `functions.f.events.s3.rules.prefx: unknown key, did you mean prefix? sett.yaml:4:43`},
		"s3 rule empty":        {one("    events: [{s3: {bucket: pics, rules: [{prefix: ''}]}}]\n"), `functions.f.events.s3.rules.prefix: is empty; leave it out sett.yaml:4:51`},
		"s3 twice":             {one("    events: [{s3: {bucket: pics, rules: [{prefix: a}]}}, {s3: {bucket: pics, rules: [{prefix: a}]}}]\n"), "functions.f: upload pics s3:ObjectCreated:* prefix a: given twice sett.yaml:2:3"},
		"bucket twice":         {"buckets: {pics: }\nresources: {buckets: {pics: {}}}\n" + one(""), `resources.buckets.pics: bucket "pics" is declared already, at buckets.pics sett.yaml:2:23`},
		"event unknown":        {one("    events: [{htpApi: '*'}]\n"), "functions.f.events.htpApi: unknown event, did you mean httpApi? sett.yaml:4:15"},
		"event empty":          {one("    events: [httpApi]\n"), "functions.f.events.httpApi: needs a method and a path, as in httpApi: 'GET /users/{id}' sett.yaml:4:14"},
		"event null":           {one("    events: [{http: }]\n"), "functions.f.events.http: needs a method and a path, as in http: 'GET /users/{id}' sett.yaml:4:15"},
		"event key":            {one("    events: [{http: {path: a, method: get, private: true}}]\n"), "functions.f.events.http.private: not offered yet sett.yaml:4:44"},
		"event without path":   {one("    events: [{http: {method: get}}]\n"), "functions.f.events.http: needs both method and path sett.yaml:4:15"},
		"event three words":    {one("    events: [httpApi: GET /a /b]\n"), `functions.f.events.httpApi: "GET /a /b" is no method and path, as in 'GET /users/{id}' or '*' sett.yaml:4:23`},
		"events no list":       {one("    events: {http: x}\n"), "functions.f.events: a mapping where a list is needed sett.yaml:4:13"},
		"routes tie":           {one("    events: [httpApi: 'GET /a/{x}']\n  g: {handler: g, events: [httpApi: 'GET /a/{y}']}\n"), "functions.g.events.httpApi: GET /a/{y} ties with GET /a/{x} of functions.f.events.httpApi sett.yaml:5:37"},
		"handler leaves":       {"functions: {f: {handler: ../../etc/x}}", `functions.f.handler: "../../etc/x" leaves the manifest's folder sett.yaml:1:26`},
		"handler absolute":     {"functions: {f: {handler: /etc/x}}", `functions.f.handler: "/etc/x" must be a relative path with slashes sett.yaml:1:26`},
		"handler no module":    {"functions: {f: {handler: a/}}", `functions.f.handler: "a/" names no module; write it as in handlers/users.get sett.yaml:1:26`},
		"handler dot at end":   {"functions: {f: {handler: a.}}", `functions.f.handler: "a." ends in a dot: name the handler after it, or leave the dot out sett.yaml:1:26`},
		"number":               {one("    memorySize: 4097\n"), `functions.f.memorySize: "4097" is no number of megabytes from 1 to 4096 sett.yaml:4:17`},
		"number no word":       {one("    memorySize: [1]\n"), `functions.f.memorySize: a list where a word is needed sett.yaml:4:17`},
		"no value":             {one("    timeout:\n"), `functions.f.timeout: has no value sett.yaml:4:5`},
		"environment reserved": {one("    environment: {PATH_INFO: x}\n"), `functions.f.environment.PATH_INFO: env PATH_INFO: the name belongs to the request (CGI/1.1, HTTP_*, SETT_*) sett.yaml:4:19`},
		"environment list":     {one("    environment: [A]\n"), `functions.f.environment: a list where a mapping is needed sett.yaml:4:18`},
		"more provisioned":     {one("    provisionedConcurrency: 7\n    reservedConcurrency: 2\n"), "functions.f: provisioned: 7; it is between 0 and the function's concurrency, 2 sett.yaml:2:3"},
		"given twice":          {one("    timeout: 1\n    timeout: 2\n"), "functions.f.timeout: given twice, first in line 4 sett.yaml:5:5"},
		"no functions":         {"service: a\n", "functions: missing: a manifest needs at least one function sett.yaml:1:1"},
		"functions empty":      {"functions: {}\n", "functions: empty: a manifest needs at least one function sett.yaml:1:12"},
		"functions a list":     {"functions: [a]\n", "functions: a list where a mapping is needed sett.yaml:1:12"},
		"empty":                {"# nothing\n", "file is empty: a manifest needs at least one function sett.yaml:1:1"},
		"not a mapping":        {"- a\n", "a list where a mapping is needed sett.yaml:1:1"},
		"service twice over":   {"service: {name: A b}\n" + one(""), `service.name: app name "A b": a name is 1 to 63 of a-z, 0-9 and -, and neither starts nor ends with - sett.yaml:1:17`},
		"service without name": {"service: {}\n" + one(""), "service: name is missing sett.yaml:1:10"},
		"not YAML":             {"functions: [a\nb: c", "not YAML: while parsing a flow sequence: did not find expected ',' or ']' sett.yaml:2:2"},
		"key is a list":        {"? [a]\n: b\n" + one(""), "a list where a key is needed sett.yaml:1:3"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("sett.yaml", []byte(c.text))
			if err == nil {
				t.Fatalf("Parse accepted, want %s", c.want)
			}
			want := c.want
			if name == "not a mapping" {
				want += "\nfunctions: missing: a manifest needs at least one function sett.yaml:1:1"
			}
			if err.Error() != want {
				t.Errorf("Parse error:\n%s\nwant:\n%s", err, want)
			}
			if abi.CodeOf(err) != abi.InvalidInput {
				t.Errorf("code = %s, want %s", abi.CodeOf(err), abi.InvalidInput)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		b.WriteString("functions:\n")
		for i := range n {
			fmt.Fprintf(&b, "  f%d: {handler: f}\n", i)
		}
		return b.String()
	}
	routes := "functions:\n  f:\n    handler: f\n    events:\n"
	for i := range registry.MaxRoutes + 1 {
		routes += fmt.Sprintf("      - httpApi: GET /%d\n", i)
	}
	bomb := "x-a: &a0 {k: v}\n"
	for i := range 12 {
		bomb += fmt.Sprintf("x-%d: &a%d {<<: [*a%d, *a%d, *a%d, *a%d, *a%d]}\n", i, i+1, i, i, i, i, i)
	}
	for name, c := range map[string]struct{ text, want string }{
		"file size":     {"# " + strings.Repeat("x", MaxFileBytes), "file is larger than 256 KiB"},
		"depth":         {"x-a: " + strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), "exceeded max depth"},
		"functions":     {many(MaxFunctions + 1), "more than 100 functions"},
		"routes":        {routes, "more than 128 routes"},
		"alias bomb":    {bomb + "functions: {f: {<<: *a12, handler: f}}", "more than 20000 fields, aliases and variables followed"},
		"merges itself": {"functions: {f: &f {<<: *f, handler: f}}", "more than 20000 fields, aliases and variables followed"},
		"environment":   {"functions: {f: {handler: f, environment: {A: " + strings.Repeat("x", registry.MaxEnvBytes) + "}}}", "env: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("sett.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Parse error = %.300v, want it to hold %q", err, c.want)
			}
		})
	}
	if _, err := Parse("sett.yaml", []byte(many(MaxFunctions))); err != nil {
		t.Errorf("Parse of %d functions: %v", MaxFunctions, err)
	}
}

func TestFaultsAreCut(t *testing.T) {
	text := "functions:\n  f:\n    handler: f\n"
	for i := range MaxFaults + 7 {
		text += fmt.Sprintf("    zzz%d: 1\n", i)
	}
	_, err := Parse("sett.yaml", []byte(text))
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != MaxFaults+7 {
		t.Fatalf("faults = %d, want %d", len(faults), MaxFaults+7)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != MaxFaults+1 || lines[MaxFaults] != "and 7 more" {
		t.Errorf("%d lines, the last %q; want %d and the rest counted", len(lines), lines[len(lines)-1], MaxFaults+1)
	}
}

func TestNearest(t *testing.T) {
	candidates := append(functionWords().offered, "url")
	for word, want := range map[string]string{
		"memorySise": "memorySize", "MEMORYSIZE": "memorySize", "memory": "memorySize", "handel": "handler", "timout": "timeout",
		"timoeut": "timeout", "enwironment": "environment", "env": "environment", "banana": "", "": "", "e": "",
		"ur":                          "url",
		strings.Repeat("handler", 20): "",
	} {
		if got := Nearest(word, candidates); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// TestWordsAreApart holds that no key is offered and refused in the same place.
func TestWordsAreApart(t *testing.T) {
	for name, place := range places() {
		seen := map[string]bool{}
		for _, key := range slices.Concat(place.offered, place.refused, place.noted) {
			if seen[key] {
				t.Errorf("%s: %s stands twice", name, key)
			}
			seen[key] = true
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"service: shop\nfunctions: {f: {handler: a/b.get, events: [httpApi: 'GET /users/{id}']}}",
		"functions: {f: &f {<<: *f, handler: x}}", "functions: {a: {handler: main, timeout: 1.5, environment: {A: b}}}",
		"provider: {memorySize: 1}\nfunctions: {f: {handler: f, events: [http: {path: '{proxy+}', method: any}, '*']}}",
		"? [a]\n: b", "a: [b\nc", "--- \n---\n", "functions: ~", "\xff\xfe", "%YAML 1.2\n---\n!!x y",
	} {
		f.Add([]byte(seed))
	}
	for _, seed := range []string{
		"service: ${opt:stage, 'a'}-${self:custom.x}\ncustom: {x: '${file(a.yml):k}', y: '${self:custom.y}'}\nfunctions: {f: {handler: '${param:p, self:service}'}}",
		"custom: {a: '${self:custom.b}${self:custom.b}', b: '${env:E}'}\nfunctions: {f: {handler: f, environment: {X: '${self:custom.a}', Y: !Ref Q}}}",
		"queues: {a: {deadLetter: b, maxReceives: 1}, b.fifo: {}}\nfunctions: {f: {handler: f, onError: a, events: [sqs: {queue: a, filterPatterns: [{a: [1.5e3, ~]}]}]}}",
		"resources: {Resources: {Q: {Type: AWS::SQS::Queue, Properties: {RedrivePolicy: {deadLetterTargetArn: !GetAtt Q.Arn}}}}}\nfunctions: {f: {handler: f, events: [sqs: !GetAtt Q.Arn]}}",
		"functions: {f: {handler: f.g, events: [schedule: {rate: [rate(1 hour)], input: {a: &x [*x]}}, sns: {arn: 'arn:aws:sns:::t'}, http: {path: a, method: get, cors: true, request: {schemas: {a/b: {type: string}}}}]}}",
	} {
		f.Add([]byte(seed))
	}
	config := Config{File: "f.yaml", Env: func(name string) (string, bool) { return "${self:x}", name == "E" },
		Options: map[string]string{"o": "1"}, Params: map[string]string{"p": "${x"},
		Files: fstest.MapFS{"a.yml": {Data: []byte("k: {<<: &a {b: '${self:custom}'}}\nl: ['${file(a.yml):l}']")}, "t.txt": {Data: []byte("${x}")}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		app, err := config.Parse(data)
		if err != nil {
			var faults Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Errorf("error without faults: %v", err)
			}
			return
		}
		for _, fn := range app.Functions {
			if strings.HasPrefix(fn.Module, "../") || strings.HasPrefix(fn.Module, "/") || fn.Module == "" {
				t.Errorf("module = %q, want a path below the manifest", fn.Module)
			}
			if err := registry.CheckName("function", fn.Name); err != nil {
				t.Errorf("accepted: %v", err)
			}
			if err := fn.Settings.Validate(); err != nil {
				t.Errorf("accepted settings: %v", err)
			}
		}
		for _, q := range app.Queues {
			if err := q.Validate(); err != nil {
				t.Errorf("accepted queue: %v", err)
			}
		}
		for _, topic := range app.Topics {
			if err := topic.Validate(); err != nil {
				t.Errorf("accepted topic: %v", err)
			}
		}
	})
}

func TestService(t *testing.T) {
	for text, want := range map[string]string{
		"service: shop": "shop", "service: {name: shop}": "shop", "service: ${env:NONE, 'shop'}\nwhat: {is: this}": "shop",
		"functions: {a: {handler: 5}}": "", "service: Shop": "error", "service: ${env:NONE}": "error", "": "error", "- a": "error",
	} {
		c := Config{File: "sett.yaml", Env: func(string) (string, bool) { return "", false }}
		got, err := c.Service([]byte(text))
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("Service(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}
