package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	aws "github.com/aws/aws-lambda-go/events"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// decode reads one JSON as ours and as AWS's.
func decode(t *testing.T, text string, ours, theirs any) {
	t.Helper()
	for _, v := range []any{ours, theirs} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatalf("decode as %T: %v", v, err)
		}
	}
}

// encoded is what AWS's type is on the wire, which is what a node sends.
func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestQueueIsAWS(t *testing.T) {
	text := "new"
	record := aws.SQSMessage{MessageId: "01J", ReceiptHandle: "r", Body: "body", Md5OfBody: "sum", EventSource: "aws:sqs", AWSRegion: "eu",
		EventSourceARN: "arn:aws:sqs:eu:000000000000:orders.fifo", Attributes: map[string]string{
			"ApproximateReceiveCount": "3", "SentTimestamp": "1795400000123", "MessageGroupId": "g"},
		MessageAttributes: map[string]aws.SQSMessageAttribute{"kind": {DataType: "String", StringValue: &text},
			"raw": {DataType: "Binary", BinaryValue: []byte{0, 255}}}}
	var ours events.Queue
	var theirs aws.SQSEvent
	decode(t, encoded(t, aws.SQSEvent{Records: []aws.SQSMessage{record, {}}}), &ours, &theirs)
	m, a := ours.Records[0], theirs.Records[0]
	want := events.Message{ID: a.MessageId, Receipt: a.ReceiptHandle, Body: a.Body, BodyMD5: a.Md5OfBody, System: a.Attributes,
		QueueARN: a.EventSourceARN, Source: a.EventSource, Region: a.AWSRegion, Attributes: map[string]events.Attribute{}}
	for name, v := range a.MessageAttributes {
		want.Attributes[name] = events.Attribute{Type: v.DataType, Text: v.StringValue, Binary: v.BinaryValue}
	}
	if !reflect.DeepEqual(m, want) || len(ours.Records) != 2 {
		t.Errorf("message = %+v, want %+v", m, want)
	}
	if m.Queue() != "orders.fifo" || m.Receives() != 3 || m.Group() != "g" || m.Text("kind") != "new" || m.Text("none") != "" ||
		m.Text("raw") != "" || !m.Sent().Equal(time.UnixMilli(1795400000123)) {
		t.Errorf("%s %d %s %s %v", m.Queue(), m.Receives(), m.Group(), m.Text("kind"), m.Sent())
	}
	if e := ours.Records[1]; e.Queue() != "" || e.Receives() != 0 || e.Group() != "" || !e.Sent().IsZero() {
		t.Errorf("an empty message: %s %d %s %v", e.Queue(), e.Receives(), e.Group(), e.Sent())
	}
	failures := events.Failures{Items: []events.Failure{{ID: "a"}, {ID: "b"}}}
	if got, want := encoded(t, failures), encoded(t, aws.SQSEventResponse{BatchItemFailures: []aws.SQSBatchItemFailure{{ItemIdentifier: "a"}, {ItemIdentifier: "b"}}}); got != want {
		t.Errorf("failures = %s, want %s", got, want)
	}
}

func TestTopicIsAWS(t *testing.T) {
	at := time.UnixMilli(1795400000123).UTC()
	var ours events.Topic
	var theirs aws.SNSEvent
	decode(t, encoded(t, aws.SNSEvent{Records: []aws.SNSEventRecord{{EventVersion: "1.0", EventSource: "aws:sns", EventSubscriptionArn: "s",
		SNS: aws.SNSEntity{Type: "Notification", MessageID: "01J", TopicArn: "arn:aws:sns:eu:000000000000:news", Message: "m", Subject: "hello", Timestamp: at,
			MessageAttributes: map[string]any{"kind": map[string]any{"Type": "String", "Value": "gift"}, "raw": map[string]any{"Type": "Binary", "Value": []byte{0, 255}}}}}}}),
		&ours, &theirs)
	a := theirs.Records[0]
	want := events.Topic{Records: []events.TopicRecord{{Version: a.EventVersion, SubscriptionARN: a.EventSubscriptionArn, Source: a.EventSource,
		Notification: events.Notification{ID: a.SNS.MessageID, TopicARN: a.SNS.TopicArn, Subject: a.SNS.Subject, Message: a.SNS.Message, Time: a.SNS.Timestamp,
			Attributes: map[string]events.TopicAttribute{"kind": {Type: "String", Value: "gift"}, "raw": {Type: "Binary", Value: "AP8="}}}}}}
	if !reflect.DeepEqual(ours, want) {
		t.Errorf("topic = %+v, want %+v", ours, want)
	}
	if got := ours.Records[0].Notification.Topic(); got != "news" {
		t.Errorf("topic's name = %q, want news", got)
	}
}

func TestScheduleIsAWS(t *testing.T) {
	var ours events.Schedule
	var theirs aws.EventBridgeEvent
	decode(t, encoded(t, aws.EventBridgeEvent{Version: "0", ID: "01J", DetailType: "Scheduled Event", Source: "aws.events", AccountID: "0",
		Time: time.UnixMilli(1795400000123).UTC(), Region: "eu", Resources: []string{"rule"}, Detail: json.RawMessage(`{"a":1}`)}), &ours, &theirs)
	if got := (aws.EventBridgeEvent{Version: ours.Version, ID: ours.ID, DetailType: ours.Type, Source: ours.Source, AccountID: ours.Account, Time: ours.Time,
		Region: ours.Region, Resources: ours.Resources, Detail: ours.Detail}); !reflect.DeepEqual(got, theirs) {
		t.Errorf("schedule = %+v, want %+v", got, theirs)
	}
}

// TestOutcome reads the records of AWS's documentation. Source: AWS Lambda Developer Guide, "Adding a destination".
func TestOutcome(t *testing.T) {
	var o events.Outcome
	err := json.Unmarshal([]byte(`{"version":"1.0","timestamp":"2019-11-14T18:16:05.568Z","requestContext":{"requestId":"e4b46cbf",
		"functionArn":"arn:aws:lambda:us-east-2:123456789012:function:my-function:$LATEST","condition":"RetriesExhausted","approximateInvokeCount":3},
		"requestPayload":{"ORDER_IDS":[9]},"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},
		"responsePayload":{"errorMessage":"Process exited before completing request"}}`), &o)
	want := events.Outcome{Version: "1.0", Time: time.Date(2019, 11, 14, 18, 16, 5, 568e6, time.UTC),
		Request: events.OutcomeRequest{ID: "e4b46cbf", FunctionARN: "arn:aws:lambda:us-east-2:123456789012:function:my-function:$LATEST",
			Condition: "RetriesExhausted", Invokes: 3},
		RequestPayload: json.RawMessage(`{"ORDER_IDS":[9]}`), Response: &events.OutcomeResponse{Status: 200, Version: "$LATEST", Error: "Unhandled"},
		ResponsePayload: json.RawMessage(`{"errorMessage":"Process exited before completing request"}`)}
	if err != nil || !reflect.DeepEqual(o, want) {
		t.Errorf("outcome = %+v, %v, want %+v", o, err, want)
	}
}

func TestEach(t *testing.T) {
	batchOf := func(queue string, ids ...string) (q events.Queue) {
		for _, id := range ids {
			id, group, _ := strings.Cut(id, "/")
			q.Records = append(q.Records, events.Message{ID: id, QueueARN: "arn:aws:sqs:eu:0:" + queue, System: map[string]string{"MessageGroupId": group}})
		}
		return q
	}
	batch := func(ids ...string) events.Queue { return batchOf("orders", ids...) }
	fifo := func(ids ...string) events.Queue { return batchOf("orders.fifo", ids...) }
	errStock := errors.New("no stock")
	for _, tt := range []struct {
		name  string
		batch events.Queue
		fails string // ids that f fails on
		tried string
		want  string // failures
		err   string
		logs  int
	}{
		{"empty", batch(), "", "", `[]`, "", 0},
		{"good", batch("a", "b"), "", "ab", `[]`, "", 0},
		{"one fails", batch("a", "b", "c"), "b", "abc", `[{"itemIdentifier":"b"}]`, "", 1},
		{"all fail", batch("a", "b"), "ab", "ab", `[{"itemIdentifier":"a"},{"itemIdentifier":"b"}]`, "all messages of the batch failed, the first with: no stock a", 2},
		{"no FIFO queue", batch("a/x", "b/x", "c/x"), "a", "abc", `[{"itemIdentifier":"a"}]`, "", 1},
		{"group", fifo("a/x", "b/x", "c/y", "d/x"), "b", "abc", `[{"itemIdentifier":"b"},{"itemIdentifier":"d"}]`, "", 1},
		{"groups", fifo("a/x", "b/y", "c/x"), "a", "ab", `[{"itemIdentifier":"a"},{"itemIdentifier":"c"}]`, "", 1},
	} {
		logs, tried := 0, ""
		restore := host.Capture(func(level int, record []byte) {
			if logs++; level != 4 || !strings.Contains(string(record), `"err":"no stock`) {
				t.Errorf("%s: log %d %s", tt.name, level, record)
			}
		})
		failures, err := tt.batch.Each(func(m events.Message) error {
			tried += m.ID
			if strings.Contains(tt.fails, m.ID) && tt.fails != "" {
				return fmt.Errorf("%w %s", errStock, m.ID)
			}
			return nil
		})
		restore()
		if got := encoded(t, failures); got != `{"batchItemFailures":`+tt.want+`}` || tried != tt.tried || logs != tt.logs {
			t.Errorf("%s: tried %s, logged %d, failures %s, want %s, %d and %s", tt.name, tried, logs, got, tt.tried, tt.logs, tt.want)
		}
		if tt.err == "" && err != nil || tt.err != "" && (!errors.Is(err, errStock) || err.Error() != tt.err) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		}
	}
}
