package manifest

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/runtime/registry"
)

// places are the words of every place, by the name of its definition in schema.json.
func places() map[string]words {
	return map[string]words{"manifest": topWords(), "stage": stageWords(), "provider": providerWords(), "providerHttpApi": providerHTTPAPIWords(),
		"function": functionWords(), "destinations": destinationsWords(), "destination": destinationWords(), "event": eventWords(),
		"httpApi": httpAPIWords(), "http": httpWords(), "request": requestWords(), "cors": corsWords(), "httpApiCors": httpAPICorsWords(),
		"schedule": scheduleWords(), "sqs": sqsEventWords(), "sns": snsEventWords(), "snsRedrive": snsRedriveWords(),
		"eventBridge": eventBridgeWords(), "inputTransformer": inputTransformerWords(),
		"s3": s3EventWords(), "s3Rule": s3RuleWords(), "bucket": bucketWords(), "s3Bucket": s3Words(),
		"resources": resourcesWords(), "queue": queueWords(), "topic": topicWords(), "resource": resourceWords(),
		"sqsQueue": sqsWords(), "redrive": redriveWords(), "snsTopic": snsWords(), "stream": streamWords(), "streamDestinations": streamDestinationsWords()}
}

// definition is what the tests read of a schema.
type definition struct {
	Properties map[string]struct {
		Ref   string `json:"$ref"`
		AnyOf []struct{ Minimum, Maximum *int }
	}
	AdditionalProperties any
	Defs                 map[string]definition `json:"$defs"`
}

func readSchema(t *testing.T) (definition, *jsonschema.Schema) {
	t.Helper()
	var whole definition
	if err := json.Unmarshal(Schema(), &whole); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("sett:manifest", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("sett:manifest")
	if err != nil {
		t.Fatal(err)
	}
	return whole, compiled
}

// TestSchemaHasTheKeys: each place of the schema has exactly the keys that the reader offers or notes, the latter as
// such, and no others are allowed.
func TestSchemaHasTheKeys(t *testing.T) {
	whole, _ := readSchema(t)
	for name, place := range places() {
		d, ok := whole.Defs[name]
		if name == "manifest" {
			d, ok = whole, true
		}
		if !ok || d.AdditionalProperties != false {
			t.Errorf("%s: defined %v, and other keys are allowed: %v", name, ok, d.AdditionalProperties)
		}
		want := slices.Sorted(slices.Values(slices.Concat(place.offered, place.noted)))
		if got := slices.Sorted(maps.Keys(d.Properties)); !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v\nthe reader has %v", name, got, want)
		}
		for key, p := range d.Properties {
			if noted := p.Ref == "#/$defs/noted"; noted != slices.Contains(place.noted, key) {
				t.Errorf("%s.%s: noted in the schema is %v", name, key, noted)
			}
		}
	}
}

func TestSchemaHasTheLimits(t *testing.T) {
	whole, _ := readSchema(t)
	for path, want := range map[string][2]int{
		"function.memorySize":                    {1, registry.MaxMemoryMB},
		"provider.memorySize":                    {1, registry.MaxMemoryMB},
		"function.reservedConcurrency":           {1, registry.MaxReserved},
		"function.provisionedConcurrency":        {0, registry.MaxReserved},
		"function.maximumRetryAttempts":          {0, registry.MaxRetries},
		"sqs.batchSize":                          {1, registry.MaxBatch},
		"stream.batchSize":                       {1, registry.MaxStreamBatch},
		"stream.parallelizationFactor":           {1, registry.MaxParallel},
		"stream.maximumRetryAttempts":            {-1, registry.MaxStreamRetries},
		"stream.maximumRecordAgeInSeconds":       {-1, registry.MaxStreamAgeSeconds},
		"sqs.maximumConcurrency":                 {1, registry.MaxBatches},
		"cors.maxAge":                            {0, registry.MaxCorsSeconds},
		"httpApiCors.maxAge":                     {0, registry.MaxCorsSeconds},
		"queue.maxMessageBytes":                  {registry.MinMessageBytes, registry.MaxMessageBytes},
		"queue.maxReceives":                      {1, registry.MaxReceives},
		"redrive.maxReceiveCount":                {1, registry.MaxReceives},
		"sqsQueue.VisibilityTimeout":             {1, registry.MaxVisibilitySeconds},
		"sqsQueue.DelaySeconds":                  {0, registry.MaxDelaySeconds},
		"sqsQueue.MessageRetentionPeriod":        {registry.MinRetentionSeconds, registry.MaxRetentionSeconds},
		"sqsQueue.ReceiveMessageWaitTimeSeconds": {0, registry.MaxWaitSeconds},
		"sqsQueue.MaximumMessageSize":            {registry.MinMessageBytes, registry.MaxMessageBytes},
	} {
		name, key, _ := strings.Cut(path, ".")
		p := whole.Defs[name].Properties[key]
		if len(p.AnyOf) == 0 || p.AnyOf[0].Minimum == nil || p.AnyOf[0].Maximum == nil {
			t.Errorf("%s has no limits", path)
			continue
		}
		if got := [2]int{*p.AnyOf[0].Minimum, *p.AnyOf[0].Maximum}; got != want {
			t.Errorf("%s is from %v, want %v", path, got, want)
		}
	}
}

// TestSchemaAgrees: what the reader takes the schema takes, and of a few faults neither.
func TestSchemaAgrees(t *testing.T) {
	_, compiled := readSchema(t)
	files, err := filepath.Glob("../../examples/*/sett.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("examples = %v, %v", files, err)
	}
	good := map[string]string{"theirs": theirs, "whole": whole,
		"variables": "functions: {f: {handler: '${opt:x, ''f''}', memorySize: '${self:custom.m, 64}', timeout: '${env:T, 5}', events: '${self:custom.e, self:custom.none, 0}'}}"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		good[file] = string(text)
	}
	for name, text := range good {
		if _, err := Parse("sett.yaml", []byte(text)); err != nil && name != "variables" {
			t.Errorf("%s: %v", name, err)
		}
		if err := compiled.Validate(plainDocument(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{
		"service: a", "functions: {f: {}}", "functions: {f: {handler: f, memorySise: 1}}", "functions: {f: {handler: f, memorySize: 0}}",
		"functions: {f: {handler: f, events: [stream: {prefix: x, parallelizationFactor: 11}]}}", "functions: {f: {handler: f, events: [sqs: {queue: a, batchSize: 10001}]}}",
		"functions: {f: {handler: f, events: [http: {path: a, method: get, private: true}]}}", "queues: {a: {maxReceives: 0}}\nfunctions: {f: {handler: f}}",
		"resources: {Resources: {A: {Type: AWS::RDS::DBInstance}}}\nfunctions: {f: {handler: f}}", "layers: {}\nfunctions: {f: {handler: f}}",
		"resources: {Resources: {A: {Type: AWS::SQS::Queue, Properties: {Name: a}}}}\nfunctions: {f: {handler: f}}",
	} {
		if _, err := Parse("sett.yaml", []byte(text)); err == nil {
			t.Errorf("Parse(%q): no error", text)
		}
		if err := compiled.Validate(plainDocument(t, text)); err == nil {
			t.Errorf("the schema takes %q", text)
		}
	}
}

// plainDocument is YAML as an editor sees it: CloudFormation's tags are left out.
func plainDocument(t *testing.T, text string) any {
	t.Helper()
	var root yaml.Node
	if err := yaml.Load([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	var strip func(n *yaml.Node)
	strip = func(n *yaml.Node) {
		if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
			n.Tag = ""
		}
		for _, sub := range n.Content {
			strip(sub)
		}
	}
	strip(&root)
	var v any
	if err := root.Decode(&v); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return document
}
