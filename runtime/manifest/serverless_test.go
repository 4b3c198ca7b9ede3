package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sett-run/sett/runtime/registry"
)

// theirs is a serverless.yml as people have it.
const theirs = `
service: my-api
provider:
  name: aws
  runtime: nodejs18.x        # noted as not applicable, not an error
functions:
  getUsers:
    handler: handlers/users.get
    events:
      - http: {path: 'users/{id}', method: get}
  createUser:
    handler: handlers/users.create
    events:
      - http: {path: users, method: post}
  dailyReport:
    handler: handlers/reports.daily
    events:
      - schedule: cron(0 9 * * ? *)
  cleanup:
    handler: handlers/cleanup.run
    events:
      - schedule: rate(1 hour)
`

func TestServerlessFile(t *testing.T) {
	app, err := Parse(ServerlessFile, []byte(theirs))
	if err != nil {
		t.Fatal(err)
	}
	schedule := func(expression string) []registry.Trigger {
		return []registry.Trigger{{Schedule: &registry.Schedule{Expressions: []string{expression}}}}
	}
	route := func(pattern string) []registry.Route {
		return []registry.Route{{Pattern: pattern, Payload: registry.PayloadHTTP}}
	}
	want := &App{
		Name: "my-api",
		Functions: []Function{
			{"getUsers", "handlers/users", registry.Settings{Handler: "get", Routes: route("GET /users/{id}")}},
			{"createUser", "handlers/users", registry.Settings{Handler: "create", Routes: route("POST /users")}},
			{"dailyReport", "handlers/reports", registry.Settings{Handler: "daily", Triggers: schedule("cron(0 9 * * ? *)")}},
			{"cleanup", "handlers/cleanup", registry.Settings{Handler: "run", Triggers: schedule("rate(1 hour)")}},
		},
		Notes: []string{"provider.name has no effect here serverless.yml:4:3", "provider.runtime has no effect here serverless.yml:5:3"},
	}
	if !reflect.DeepEqual(app, want) {
		t.Errorf("Parse = %+v\nwant %+v", app, want)
	}
}

// whole has every kind of event, destination and resource.
const whole = `
service: shop
provider:
  stage: prod
  httpApi: {cors: {allowedOrigins: [https://shop.example], allowCredentials: true, maxAge: 600}}
egress: [api.example.com]
queues:
  orders: {visibilityTimeout: 2m, retention: 86400, deadLetter: orders-dead, maxReceives: 5}
  orders-dead:
topics:
  placed:
resources:
  queues: {jobs.fifo: {contentBasedDeduplication: true, delay: 5}}
  Resources:
    Mails:
      Type: AWS::SQS::Queue
      Properties: {QueueName: "mails-${sls:stage}", VisibilityTimeout: 60, RedrivePolicy: {deadLetterTargetArn: !GetAtt MailsDead.Arn, maxReceiveCount: 3}}
    MailsDead: {Type: AWS::SQS::Queue}
    Events: {Type: AWS::SNS::Topic, Properties: {TopicName: events, DisplayName: E}}
    Users: {Type: AWS::DynamoDB::Table, Properties: {TableName: users}}
  Outputs: {X: {Value: 1}}
functions:
  work:
    handler: handlers/work.run
    egress: ['*.stripe.com']
    maximumRetryAttempts: 0
    maximumEventAge: 1h
    destinations: {onSuccess: audit, onFailure: {type: sqs, arn: !GetAtt MailsDead.Arn}}
    environment: {TABLE: !Ref Users, QUEUE: {Ref: Mails}, TEXT: !Sub 'to ${Mails}'}
    events:
      - sqs: orders
      - sqs: {arn: !GetAtt Mails.Arn, batchSize: 100, maximumBatchingWindow: 5, maximumConcurrency: 4, functionResponseType: ReportBatchItemFailures, filterPatterns: [{body: {kind: [a, {numeric: ['>', 1.50]}]}}]}
      - sqs: {queue: jobs.fifo, enabled: false}
      - sqs: {arn: {Fn::GetAtt: [MailsDead, Arn]}}
      - sqs: arn:aws:sqs:${aws:region}:${aws:accountId}:elsewhere
      - sns: placed
      - sns: {topicName: events, filterPolicy: {kind: [a]}, filterPolicyScope: MessageBody, redrivePolicy: {deadLetterTargetRef: MailsDead}}
      - sns: {arn: !Sub 'arn:aws:sns:${AWS::Region}:${AWS::AccountId}:other'}
      - schedule: {rate: [rate(1 day), cron(0 9 ? * MON-FRI *)], enabled: false, name: night, input: {a: [1, "2", true, null]}, timezone: Europe/Berlin, missed: once}
      - schedule: {rate: rate(1 minute), input: '{"b": 1}'}
      - schedule: {rate: rate(2 minutes), inputPath: $.detail}
      - eventBridge: {pattern: {source: [shop], detail: {total: [{numeric: ['>', 100]}]}}, name: big, deadLetterQueueArn: !GetAtt MailsDead.Arn, eventBus: default}
      - eventBridge: {schedule: rate(3 minutes), pattern: {source: [sett.deployment]}, input: {a: 1}, eventBus: 'arn:aws:events:us-east-1:1:event-bus/default'}
      - eventBridge: {pattern: {source: [a]}, inputTransformer: {inputPathsMap: {id: $.detail.id}, inputTemplate: '{"id": <id>}'}}
      - eventBridge: {pattern: {source: [b]}, enabled: false}
      - eventBridge: {pattern: {source: [c]}, inputPath: $.detail}
  audit:
    handler: handlers/audit.run
    onError: arn:aws:sns:us-east-1:1:placed
    events:
      - httpApi: GET /audit
      - http:
          path: audit
          method: post
          async: true
          cors: {origin: 'https://a.example,https://b.example', headers: X-A}
          request: {schemas: {application/json: {type: object, required: [id]}}}
      - http: {path: plain, method: get, cors: true}
`

func TestEverything(t *testing.T) {
	app, err := Parse("sett.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	zero := 0
	document := func(s string) json.RawMessage { return json.RawMessage(s) }
	provider := &registry.Cors{Origins: []string{"https://shop.example"}, Headers: defaultCors().Headers, Credentials: true, MaxAgeSeconds: 600}
	own := &registry.Cors{Origins: []string{"https://a.example", "https://b.example"}, Headers: []string{"X-A"}}
	want := []Function{
		{"work", "handlers/work", registry.Settings{
			Handler: "run", Egress: []string{"api.example.com", "*.stripe.com"},
			Env:   map[string]string{"TABLE": "users", "QUEUE": "mails-prod", "TEXT": "to mails-prod"},
			Async: &registry.Async{Retries: &zero, MaxAgeSeconds: 3600, OnSuccess: "function:audit", OnFailure: "queue:MailsDead"},
			Triggers: []registry.Trigger{
				{Queue: &registry.QueueSource{Queue: "orders"}},
				{Queue: &registry.QueueSource{Queue: "mails-prod", BatchSize: 100, WindowMS: 5000, Concurrency: 4, ReportItems: true,
					Filters: []json.RawMessage{document(`{"body":{"kind":["a",{"numeric":[">",1.50]}]}}`)}}},
				{Queue: &registry.QueueSource{Queue: "MailsDead"}},
				{Queue: &registry.QueueSource{Queue: "elsewhere"}},
				{Topic: &registry.TopicSource{Topic: "placed"}},
				{Topic: &registry.TopicSource{Topic: "events", Filter: document(`{"kind":["a"]}`), FilterScope: registry.FilterBody, DeadLetter: "MailsDead"}},
				{Topic: &registry.TopicSource{Topic: "other"}},
				{Schedule: &registry.Schedule{Name: "night", Expressions: []string{"rate(1 day)", "cron(0 9 ? * MON-FRI *)"}, Disabled: true,
					Input: document(`{"a":[1,"2",true,null]}`), Timezone: "Europe/Berlin", Missed: registry.MissedOnce}},
				{Schedule: &registry.Schedule{Expressions: []string{"rate(1 minute)"}, Input: document(`{"b": 1}`)}},
				{Schedule: &registry.Schedule{Expressions: []string{"rate(2 minutes)"}, InputPath: "$.detail"}},
				{Event: &registry.EventSource{Name: "big", Pattern: document(`{"detail":{"total":[{"numeric":[">",100]}]},"source":["shop"]}`), DeadLetter: "MailsDead"}},
				{Schedule: &registry.Schedule{Expressions: []string{"rate(3 minutes)"}, Input: document(`{"a":1}`)}},
				{Event: &registry.EventSource{Pattern: document(`{"source":["sett.deployment"]}`), Input: document(`{"a":1}`)}},
				{Event: &registry.EventSource{Pattern: document(`{"source":["a"]}`),
					Transformer: &registry.InputTransformer{Paths: map[string]string{"id": "$.detail.id"}, Template: `{"id": <id>}`}}},
				{Event: &registry.EventSource{Pattern: document(`{"source":["c"]}`), InputPath: "$.detail"}},
			}}},
		{"audit", "handlers/audit", registry.Settings{
			Handler: "run", Egress: []string{"api.example.com"}, Async: &registry.Async{OnFailure: "topic:placed"},
			Routes: []registry.Route{
				{Pattern: "GET /audit", Payload: registry.PayloadHTTPAPI, Cors: provider},
				{Pattern: "POST /audit", Payload: registry.PayloadHTTP, Async: true, Cors: own,
					Schemas: map[string]json.RawMessage{"application/json": document(`{"required":["id"],"type":"object"}`)}},
				{Pattern: "GET /plain", Payload: registry.PayloadHTTP, Cors: defaultCors()},
			}}},
	}
	for i := range want {
		if diff := cmp.Diff(want[i], app.Functions[i]); diff != "" { // by Settings.Equal: documents are in canonical form
			t.Errorf("function %s differs (-want +got):\n%s", want[i].Name, diff)
		}
	}
	queues := []registry.Queue{
		{Name: "orders", VisibilitySeconds: 120, RetentionSeconds: 86400, DeadLetter: "orders-dead", MaxReceives: 5},
		{Name: "orders-dead"},
		{Name: "jobs.fifo", FIFO: true, ContentDedup: true, DelaySeconds: 5},
		{Name: "mails-prod", VisibilitySeconds: 60, DeadLetter: "MailsDead", MaxReceives: 3},
		{Name: "MailsDead"},
	}
	topics := []registry.Topic{{Name: "placed"}, {Name: "events"}}
	if !reflect.DeepEqual(app.Queues, queues) || !reflect.DeepEqual(app.Topics, topics) {
		t.Errorf("queues = %+v, topics = %+v", app.Queues, app.Topics)
	}
	notes := strings.Join(app.Notes, "\n")
	for _, part := range []string{"is not enabled and left out", "resources.Outputs has no effect", "resources.Resources.Users is a AWS::DynamoDB::Table, which", "DisplayName has no effect"} {
		if !strings.Contains(notes, part) {
			t.Errorf("notes = %s\nwant %q in it", notes, part)
		}
	}
}

// TestMoreFaults holds what is said of events, resources and references; one fault each.
func TestMoreFaults(t *testing.T) {
	event := func(e string) string { return "functions:\n  f:\n    handler: f.g\n    events:\n      - " + e + "\n" }
	key := func(line string) string { return "functions:\n  f:\n    handler: f.g\n    " + line + "\n" }
	top := func(lines string) string { return "functions: {f: {handler: f}}\n" + lines + "\n" }
	res := func(entry string) string { return top("resources:\n  Resources:\n    " + entry) }
	for text, want := range map[string]string{
		event("schedule: at(2030-01-01T00:00)"):                          `functions.f.events.schedule: schedule "at(2030-01-01T00:00)": it is rate(...) or cron(...) sett.yaml:5:19`,
		event("schedule: {enabled: true}"):                               "functions.f.events.schedule: rate is missing, as in rate: cron(0 9 * * ? *) sett.yaml:5:9",
		event("schedule: {rate: []}"):                                    "functions.f.events.schedule.rate: empty: name at least one rate(...) or cron(...) sett.yaml:5:26",
		event("schedule: {rate: rate(1 day), input: hello}"):             `functions.f.events.schedule.input: "hello" is no JSON sett.yaml:5:46`,
		event("schedule: {rate: rate(1 day), inputTransformer: {}}"):     "functions.f.events.schedule.inputTransformer: not offered yet sett.yaml:5:39",
		event("schedule: {rate: rate(1 day), missed: all}"):              `functions.f.events.schedule.missed: "all" is not skip or once sett.yaml:5:47`,
		event("schedule: {rate: rate(1 day), input: 1, inputPath: $.a}"): "functions.f: schedule: has both input and input path; one is allowed sett.yaml:2:3",
		event("schedule"):                    "functions.f.events.schedule: needs the times it fires at, as in schedule: rate(1 hour) sett.yaml:5:9",
		event("queue: x"):                    "functions.f.events.queue: unknown event, did you mean sqs? sett.yaml:5:9",
		event("eventBridge: {}"):             "functions.f.events.eventBridge: needs a pattern or a schedule, as in eventBridge: {pattern: {source: [shop]}} sett.yaml:5:9",
		event("eventBridge"):                 "functions.f.events.eventBridge: needs a pattern or a schedule, as in eventBridge: {pattern: {source: [shop]}} sett.yaml:5:9",
		event("eventBridge: rate(1 day)"):    "functions.f.events.eventBridge: \"rate(1 day)\" where a mapping is needed sett.yaml:5:22",
		event("eventBridge: {pattern: [a]}"): "functions.f.events.eventBridge.pattern: a list where a mapping is needed sett.yaml:5:32",
		event("eventBridge: {pattern: {a: [b]}, eventBus: orders}"):                           `functions.f.events.eventBridge.eventBus: event bus "orders": an app has one bus, default sett.yaml:5:52`,
		event("eventBridge: {pattern: {a: [b]}, retryPolicy: {}}"):                            "functions.f.events.eventBridge.retryPolicy: not offered yet sett.yaml:5:42",
		event("eventBridge: {pattern: {a: [b]}, inputTransformer: {}}"):                       `functions.f.events.eventBridge.inputTransformer: inputTemplate is missing, as in inputTemplate: '{"order": <order>}' sett.yaml:5:42`,
		event("eventBridge: {schedule: at(1)}"):                                               `functions.f.events.eventBridge.schedule: schedule "at(1)": it is rate(...) or cron(...) sett.yaml:5:33`,
		event("eventBridge: {schedule: rate(1 day), inputTransformer: {inputTemplate: '1'}}"): "functions.f.events.eventBridge.inputTransformer: of schedules not offered yet; input and inputPath are sett.yaml:5:46",
		event("eventBridge: {pattern: {a: [b]}, input: 1, inputPath: $.a}"):                   "functions.f: rule: has several of input, input path and input transformer; one is allowed sett.yaml:2:3",
		event("event: {}"):                                   "functions.f.events.event: unknown event, did you mean eventBridge? sett.yaml:5:9",
		event("sqs: {queue: a, batchSize: 10001}"):           `functions.f.events.sqs.batchSize: "10001" is no number of messages from 1 to 10000 sett.yaml:5:36`,
		event("sqs: {queue: a, maximumBatchingWindow: 301}"): `functions.f.events.sqs.maximumBatchingWindow: "301" is no time from 0 to 300 seconds sett.yaml:5:48`,
		event("sqs: {batchSize: 1}"):                         "functions.f.events.sqs: needs a queue, by one of queue and arn sett.yaml:5:9",
		event("sqs: {queue: a, functionResponseType: x}"):    `functions.f.events.sqs.functionResponseType: "x" is not ReportBatchItemFailures sett.yaml:5:47`,
		event("sqs: {queue: a, filterPatterns: [a]}"):        `functions.f.events.sqs.filterPatterns: "a" where a mapping is needed sett.yaml:5:42`,
		event("sqs: {queue: a, batchsize: 1}"):               "functions.f.events.sqs.batchsize: unknown key, did you mean batchSize? sett.yaml:5:25",
		event("sqs: arn:aws:sns:us-east-1:1:t"):              `functions.f.events.sqs: "t" is a topic where a queue is needed sett.yaml:5:14`,
		event("sqs: arn:aws:kinesis:us-east-1:1:t"):          `functions.f.events.sqs: "arn:aws:kinesis:us-east-1:1:t" is of kinesis; queues, topics, buckets and functions are offered sett.yaml:5:14`,
		event("sqs: arn:aws:sqs"):                            `functions.f.events.sqs: "arn:aws:sqs" is no ARN, as in arn:aws:sqs:us-east-1:000000000000:orders sett.yaml:5:14`,
		event("sqs: !GetAtt Ordres.Arn") + "resources: {Resources: {Orders: {Type: AWS::SQS::Queue}}}": `functions.f.events.sqs: there is no resource "Ordres", did you mean Orders? sett.yaml:5:14`,
		event("sqs: {Fn::ImportValue: x}"):                                                   "functions.f.events.sqs.Fn::ImportValue: not offered; write the name, or an ARN sett.yaml:5:15",
		event("stream: {batchSize: 1}"):                                                      "functions.f.events.stream: needs the keys, by one of prefix and arn sett.yaml:5:9",
		event("stream: {type: kinesis, prefix: a}"):                                          `functions.f.events.stream.type: "kinesis" is not dynamodb sett.yaml:5:24`,
		event("stream: {prefix: a, parallelizationFactor: 11}"):                              `functions.f.events.stream.parallelizationFactor: "11" is no number of batches from 1 to 10 sett.yaml:5:52`,
		event("stream: {prefix: a, tumblingWindowInSeconds: 1}"):                             "functions.f.events.stream.tumblingWindowInSeconds: not offered yet sett.yaml:5:29",
		event("stream: arn:aws:kinesis:us-east-1:1:stream/t"):                                `functions.f.events.stream: "arn:aws:kinesis:us-east-1:1:stream/t" is no table's, as in arn:aws:dynamodb:us-east-1:000000000000:table/users/stream/1 sett.yaml:5:17`,
		event("change: a"):                                                                   "functions.f.events.change: unknown event, did you mean stream? sett.yaml:5:9",
		event("sqs: a b"):                                                                    `functions.f.events.sqs: queue name "a b": a name is 1 to 80 letters, digits, - and _; .fifo may follow sett.yaml:5:14`,
		event("sns: {filterPolicy: {}}"):                                                     "functions.f.events.sns: needs a topic, by topicName or arn sett.yaml:5:9",
		event("sns: {topicName: a, arn: 'arn:aws:sns:::b'}"):                                 "functions.f.events.sns: needs a topic, by topicName or arn sett.yaml:5:9",
		event("sns: {topicName: a, redrivePolicy: {deadLetterTargetImport: x}}"):             "functions.f.events.sns.redrivePolicy.deadLetterTargetImport: not offered yet sett.yaml:5:45",
		event("http: {path: a, method: get, cors: maybe}"):                                   `functions.f.events.http.cors: "maybe" is not true or false sett.yaml:5:44`,
		event("http: {path: a, method: get, cors: {origin: '*', allowCredentials: true}}"):   `functions.f: route "GET /a": cors: credentials with origin *: browsers refuse that; name the origins sett.yaml:2:3`,
		event("http: {path: a, method: get, request: {schemas: {application/json: Name}}}"):  `functions.f.events.http.request.schemas.application/json: "Name" where a JSON schema is needed, as in ${file(create.json)} sett.yaml:5:76`,
		event("http: {path: a, method: get, request: {parameters: {}}}"):                     "functions.f.events.http.request.parameters: not offered yet sett.yaml:5:48",
		event("sqs: a\n      - sqs: a"):                                                      "functions.f: queue a: given twice sett.yaml:2:3",
		key("maximumRetryAttempts: 3"):                                                       `functions.f.maximumRetryAttempts: "3" is no number of retries from 0 to 2 sett.yaml:4:27`,
		key("maximumEventAge: 59"):                                                           `functions.f.maximumEventAge: "59" is no time from 60 to 21600 seconds sett.yaml:4:22`,
		key("destinations: {onFailure: g}"):                                                  `functions.f.destinations.onFailure: there is no function "g"; a queue is queue:NAME, a topic topic:NAME sett.yaml:4:31`,
		key("destinations: {onFailure: kueue:g}"):                                            `functions.f.destinations.onFailure: "kueue:g": it is a name, an ARN, function:NAME, queue:NAME, topic:NAME sett.yaml:4:31`,
		key("destinations: {onFailure: queue:d}\n    onError: q"):                            "functions.f.onError: destinations.onFailure says already where failures go; keep one of them sett.yaml:5:5",
		key("destinations: {onFailure: {type: eventBus, arn: queue:x}}"):                     `functions.f.destinations.onFailure.type: "eventBus" is not sqs or sns or function sett.yaml:4:38`,
		key("onError: function:f"):                                                           `functions.f.onError: "f" is a function where a queue or a topic is needed sett.yaml:4:14`,
		key("egress: [https://a.example]"):                                                   `functions.f.egress: egress "https://a.example": it is a host such as api.example.com, *.example.com or api.example.com:8443, without a scheme or a path, in lower case sett.yaml:4:14`,
		key("memorySize: !Ref X"):                                                            "functions.f.memorySize: !Ref where a word is needed sett.yaml:4:17",
		key("environment: !If [a]"):                                                          "functions.f.environment: !If where a mapping is needed sett.yaml:4:18",
		top("queues: {a: {visibilityTimeout: 12h1s}}"):                                       `queues.a.visibilityTimeout: "12h1s" is no time from 1 to 43200 seconds sett.yaml:2:33`,
		top("queues: {a: {deadLetter: a}}"):                                                  "queues.a.deadLetter: is the queue itself sett.yaml:2:26",
		top("queues: {a: {maxReceives: 3}}"):                                                 "queues.a: maxReceives needs deadLetter: the queue for messages received that often sett.yaml:2:10",
		top("queues: {a.fifo: {deadLetter: b}}"):                                             `queues.a.fifo.deadLetter: "b": FIFO like the queue itself, or neither sett.yaml:2:31`,
		top("queues: {a: {fifo: true}}"):                                                     "queues.a.fifo: a FIFO queue's name ends in .fifo, no other's does sett.yaml:2:20",
		top("queues: {a: {contentBasedDeduplication: true}}"):                                "queues.a: deduplication by content is for FIFO queues sett.yaml:2:10",
		top("queues: {a: }\nresources: {queues: {a: }}"):                                     `resources.queues.a: queue "a" is declared already, at queues.a sett.yaml:3:22`,
		top("topics: {a: {fifo: true}}"):                                                     "topics.a.fifo: unknown key sett.yaml:2:14",
		top("topics: [a]"):                                                                   "topics: a list where a mapping is needed sett.yaml:2:9",
		res("A: {Type: AWS::SQS::Queu}"):                                                     "resources.Resources.A.Type: AWS::SQS::Queu is not offered, did you mean AWS::SQS::Queue? sett.yaml:4:15",
		res("A: {Type: AWS::RDS::DBInstance}"):                                               "resources.Resources.A.Type: AWS::RDS::DBInstance is not offered sett.yaml:4:15",
		res("A: {Properties: {}}"):                                                           "resources.Resources.A: Type is missing, as in Type: AWS::SQS::Queue sett.yaml:4:5",
		res("A: {Type: AWS::SQS::Queue, Properties: {VisibilityTimout: 3}}"):                 "resources.Resources.A.Properties.VisibilityTimout: unknown key, did you mean VisibilityTimeout? sett.yaml:4:45",
		res("A: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true, QueueName: a}}"):       `resources.Resources.A: "a": a FIFO queue's name ends in .fifo, no other's does sett.yaml:4:5`,
		res("A: {Type: AWS::SQS::Queue, Properties: {RedrivePolicy: {maxReceiveCount: 3}}}"): "resources.Resources.A.Properties.RedrivePolicy: deadLetterTargetArn is missing sett.yaml:4:45",
		res("A: {Type: AWS::SNS::Topic, Properties: {FifoTopic: true}}"):                     "resources.Resources.A.Properties.FifoTopic: not offered yet sett.yaml:4:45",
		top("provider: {httpApi: {authorizers: {}}}"):                                        "provider.httpApi.authorizers: not offered yet sett.yaml:2:22",
		top("stages: {dev: {resolvers: {}}}"):                                                "stages.dev.resolvers: not offered yet sett.yaml:2:16",
	} {
		_, err := Parse("sett.yaml", []byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("Parse(%q) error:\n%v\nwant:\n%s", text, err, want)
		}
	}
}

func TestScheduleIsChecked(t *testing.T) {
	config := Config{File: "sett.yaml", Schedule: func(expression, timezone string) error {
		if expression != "rate(5 minutes)" || timezone != "Europe/Berlin" {
			return fmt.Errorf("bad %s in %q", expression, timezone)
		}
		return nil
	}}
	file := "functions:\n  f:\n    handler: f\n    events: [schedule: {rate: %s, timezone: %s}]\n"
	if _, err := config.Parse(fmt.Appendf(nil, file, "rate(5 minutes)", "Europe/Berlin")); err != nil {
		t.Error(err)
	}
	want := `functions.f.events.schedule.rate: bad rate(5 minute) in "Mars" sett.yaml:4:31`
	if _, err := config.Parse(fmt.Appendf(nil, file, "rate(5 minute)", "Mars")); err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestFiltersAreChecked(t *testing.T) {
	config := Config{File: "sett.yaml", Filter: func(pattern []byte) error {
		if strings.Contains(string(pattern), "bad") {
			return fmt.Errorf("refused %s", pattern)
		}
		return nil
	}}
	file := "functions:\n  f:\n    handler: f\n    events:\n    - sns: {topicName: t, filterPolicy: {%[1]s: [1]}}\n" +
		"    - sqs: {queue: q, filterPatterns: [{good: [1]}, {%[1]s: [1]}]}\n"
	if _, err := config.Parse(fmt.Appendf(nil, file, "good")); err != nil {
		t.Error(err)
	}
	want := "functions.f.events.sns.filterPolicy: refused {\"bad\":[1]} sett.yaml:5:41\n" +
		"functions.f.events.sqs.filterPatterns: refused {\"bad\":[1]} sett.yaml:6:53"
	if _, err := config.Parse(fmt.Appendf(nil, file, "bad")); err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestNamesThatAreNearlyThere(t *testing.T) {
	app, err := Parse("sett.yaml", []byte("queues: {orders: }\nfunctions: {f: {handler: f, events: [sqs: ordres, sqs: elsewhere]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`functions.f.events.sqs queue "ordres" is declared nowhere here, did you mean orders? sett.yaml:2:43`}
	if !reflect.DeepEqual(app.Notes, want) {
		t.Errorf("notes = %q, want %q", app.Notes, want)
	}
}

func TestVariables(t *testing.T) {
	config := Config{
		File:    "app/sett.yaml",
		Env:     func(name string) (string, bool) { return "from ${env}", name == "HOME_" },
		Options: map[string]string{"stage": "prod", "n": "7"},
		Params:  map[string]string{"given": "by flag"},
		Files: fstest.MapFS{"conf/prod.yml": {Data: []byte("mem: 64\nlist: [a, {b: c}]\nback: ${self:service}\n")},
			"key.pem": {Data: []byte("KEY\n")}, "x.json": {Data: []byte(`{"a": {"b": "json"}}`)}},
	}
	for value, want := range map[string]string{
		"${self:custom.a}":                                 "one",
		"x${self:custom.a}y${self:custom.n}":               "xoney5",
		"${self:custom.list.1}":                            "second",
		"${self:custom.${self:custom.key}}":                "one",
		"${self:custom.none, 'text, with } and ${opt:n}'}": "text, with } and 7",
		"${self:custom.none, \"q\"}":                       "q",
		"${self:custom.none, env:NONE, opt:n}":             "7",
		"${self:custom.none, ${self:custom.none, opt:n}}":  "7",
		"${self:custom.null, 5}":                           "5",
		"${self:custom.none, true}":                        "true",
		"${self:custom.none, ''}":                          "",
		"${self:custom.merged.m}":                          "merged",
		"${env:HOME_}":                                     "from ${env}",
		"${env:NONE, 'no'}":                                "no",
		"${opt:stage}":                                     "prod",
		"${sls:stage}":                                     "prod",
		"${param:given}":                                   "by flag",
		"${param:p}":                                       "of prod",
		"${param:q}":                                       "of default",
		"${param:r}":                                       "of stages",
		"${file(./conf/${opt:stage}.yml):mem}":             "64",
		"${file(conf/prod.yml):list.1.b}":                  "c",
		"${file(conf/prod.yml):back}":                      "shop",
		"${file(conf/none.yml):x, 'none'}":                 "none",
		"${file(key.pem)}":                                 "KEY\n",
		"${file(x.json):a.b}":                              "json",
		"${ self:custom.a }":                               "one",
		"a \\${b} c ${opt:n}":                              "a ${b} c 7",
		"arn:aws:sqs:${aws:region}:${aws:accountId}:q":     "arn:aws:sqs:us-east-1:000000000000:q",
		"no variable $ {x} $x":                             "no variable $ {x} $x",
	} {
		text := "service: shop\nparams: {prod: {p: of prod, r: no}, default: {p: no, q: of default}}\nstages: {prod: {params: {r: of stages}}}\n" +
			"x-m: &m {m: merged}\ncustom: {a: one, n: 5, list: [first, second], key: a, 'null': , merged: {<<: *m}}\nfunctions: {f: {handler: f, environment: {V: '" +
			strings.ReplaceAll(value, "'", "''") + "'}}}\n"
		app, err := config.Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if got := app.Functions[0].Settings.Env["V"]; got != want {
			t.Errorf("%s = %q, want %q", value, got, want)
		}
	}
}

// TestVariablesHoldTrees: a value may be a whole mapping or list.
func TestVariablesHoldTrees(t *testing.T) {
	config := Config{File: "sett.yaml", Files: fstest.MapFS{"f.yml": {Data: []byte("f: {handler: f.g, memorySize: '${self:custom.mem}', events: '${self:custom.events}'}")},
		"r.yml": {Data: []byte("Resources: {Q: {Type: AWS::SQS::Queue}}")}}}
	app, err := config.Parse([]byte("custom: {mem: 32, events: [{sqs: !GetAtt Q.Arn}]}\nfunctions: ${file(f.yml)}\nresources: ['${file(r.yml)}']\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Function{{"f", "f", registry.Settings{Handler: "g", MemoryMB: 32, Triggers: []registry.Trigger{{Queue: &registry.QueueSource{Queue: "Q"}}}}}}
	if !reflect.DeepEqual(app.Functions, want) {
		t.Errorf("functions = %+v, want %+v", app.Functions, want)
	}
}

func TestVariableFaults(t *testing.T) {
	files := fstest.MapFS{"bad.yml": {Data: []byte("a: [\n")}, "big.txt": {Data: make([]byte, MaxFileBytes+1)}, "dir/x": {}, "run.js": {},
		"f.yml": {Data: []byte("a: 1\ntimeout: soon\n")}}
	for value, want := range map[string]string{
		"${self:custom.none}":                 "${self:custom.none} has no value; give it a default, as in ${env:NAME, 'default'} sett.yaml:2:26",
		"${self:custom.loop}":                 "${self:custom.pool} leads back to itself sett.yaml:1:",
		"${self:custom.self}":                 "${self:custom.self} leads back to itself sett.yaml:1:",
		"${self:custom.mended}":               "${self:custom.mended, 1} leads back to itself sett.yaml:1:",
		"${self:}":                            "${self:} needs a path, as in ${self:custom.name}",
		"${file(../x.yml)}":                   `"../x.yml" is no file below the manifest's folder`,
		"${file(/etc/passwd)}":                `"/etc/passwd" is no file below the manifest's folder`,
		"${file(dir/../../x)}":                `"dir/../../x" is no file below the manifest's folder`,
		"${file(dir)}":                        `"dir" is no regular file`,
		"${file(run.js):x}":                   `"run.js" is a program; files of YAML, JSON and text are offered`,
		"${file(big.txt)}":                    `"big.txt" is larger than 256 KiB`,
		"${file(bad.yml):x}":                  "not YAML: ",
		"${slef:custom.x}":                    "${slef...}: unknown source, did you mean self?",
		"${ssm:/a/b}":                         "${ssm...}: not offered",
		"${banana:x}":                         "${banana...}: unknown source; there are self, env",
		"${dev}":                              "${dev} names no source, as in ${self:custom.x}; text stands in quotes: 'dev'",
		"${opt:stage, dev}":                   "${dev} names no source",
		"x ${self:custom}":                    "${self:custom} is a mapping, and stands within text",
		"${opt:stage":                         "${opt:stage: a ${ is not closed",
		"${}":                                 "${}: it is written ${source:name}",
		"${opt:stage, 'x}":                    "a ' is not closed",
		"${file(x:y}":                         "a ( is not closed",
		"${self:custom.a, 'b' c}":             "'c' where , or } is needed",
		strings.Repeat("${self:", MaxDepth+1): "variables nested deeper than 64",
		"${self:custom.map}":                  "a mapping where a word is needed",
	} {
		text := "custom: {loop: '${self:custom.pool}', pool: '${self:custom.loop}', self: '${self:custom.self}', mended: '${self:custom.mended, 1}', map: {a: b}, a: }\n" +
			"functions: {f: {handler: '" + strings.ReplaceAll(value, "'", "''") + "'}}\n"
		_, err := Config{File: "sett.yaml", Files: files}.Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error = %v\nwant one with %s", value, err, want)
		}
	}
	// A fault in another file stands in that file.
	_, err := Config{File: "app/sett.yaml", Files: files}.Parse([]byte("functions: {f: {handler: f, timeout: '${file(f.yml):timeout}'}}"))
	want := `functions.f.timeout: "soon" is no timeout from 1ms to 15m0s: write seconds (6) or a duration (500ms) app/f.yml:2:10`
	if err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestVariableLimits(t *testing.T) {
	chain := "custom:\n"
	for i := range MaxDepth + 2 {
		chain += fmt.Sprintf("  a%d: ${self:custom.a%d}\n", i, i+1)
	}
	double := "custom:\n  a0: " + strings.Repeat("x", 1000) + "\n"
	for i := range 30 {
		double += fmt.Sprintf("  a%d: ${self:custom.a%d}${self:custom.a%d}\n", i+1, i, i)
	}
	files, named := fstest.MapFS{}, "x-n: x\nfunctions:\n  f:\n    handler: f\n    environment:\n"
	for i := range MaxFiles + 1 {
		files[fmt.Sprintf("f%d.txt", i)] = &fstest.MapFile{Data: []byte("x")}
		named += fmt.Sprintf("      A%d: ${file(f%d.txt)}\n", i, i)
	}
	nested := "functions: {f: {handler: f, events: [schedule: {rate: rate(1 day), input: '${self:custom.a}'}]}}\ncustom: {a: {b: '${self:custom.a}'}}\n"
	queues := "functions: {f: {handler: f}}\nqueues:\n"
	for i := range 2*MaxChannels + 1 {
		queues += fmt.Sprintf("  q%d:\n", i)
	}
	for name, c := range map[string]struct{ text, want string }{
		"chain":    {chain + "functions: {f: {handler: '${self:custom.a0}'}}", "variables nested deeper than 64"},
		"doubling": {double + "functions: {f: {handler: f, environment: {A: '${self:custom.a30}'}}}", "more than 4 MiB of text"},
		"files":    {named, "more than 64 files"},
		"document": {nested, "nested deeper than 64"},
		"queues":   {queues, "more than 200 queues and topics"},
	} {
		_, err := Config{File: "sett.yaml", Files: files}.Parse([]byte(c.text))
		var faults Faults
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error = %.300v, want %q", name, err, c.want)
		}
	}
}
