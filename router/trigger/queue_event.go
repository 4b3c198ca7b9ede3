package trigger

import (
	"crypto/md5" // part of the event's shape; nothing relies on it
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sett-run/sett/kv/op"
)

// queueEvent is the event of a batch of messages. Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS".
func queueEvent(batch []op.Message, region, queue string) ([]byte, error) {
	e := events.SQSEvent{Records: make([]events.SQSMessage, len(batch))}
	for i, m := range batch {
		e.Records[i] = queueRecord(m, region, queue)
	}
	return json.Marshal(e)
}

func queueRecord(m op.Message, region, queue string) events.SQSMessage {
	sum := md5.Sum(m.Body)
	r := events.SQSMessage{
		MessageId: m.ID, ReceiptHandle: m.Receipt, Body: string(m.Body), Md5OfBody: hex.EncodeToString(sum[:]),
		EventSource: "aws:sqs", AWSRegion: region, EventSourceARN: queueARN(region, queue),
		Attributes: map[string]string{
			"ApproximateReceiveCount":          strconv.Itoa(m.Receives),
			"SentTimestamp":                    millis(m.Sent),
			"ApproximateFirstReceiveTimestamp": millis(m.First),
			"SenderId":                         account,
		},
		MessageAttributes: map[string]events.SQSMessageAttribute{},
	}
	if m.Group != "" {
		r.Attributes["MessageGroupId"] = m.Group
		r.Attributes["SequenceNumber"] = fmt.Sprintf("%020d", m.Sequence)
	}
	if m.Dedup != "" {
		r.Attributes["MessageDeduplicationId"] = m.Dedup
	}
	if m.Source != "" {
		r.Attributes["DeadLetterQueueSourceArn"] = queueARN(region, m.Source)
	}
	for _, a := range m.Attributes {
		value := events.SQSMessageAttribute{DataType: a.Type, StringListValues: []string{}, BinaryListValues: [][]byte{}}
		if isBinary(a) {
			value.BinaryValue = a.Value
		} else {
			text := string(a.Value)
			value.StringValue = &text
		}
		r.MessageAttributes[a.Name] = value
	}
	return r
}

func queueARN(region, queue string) string {
	return "arn:aws:sqs:" + region + ":" + account + ":" + queue
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// isBinary says whether the value is bytes, not text.
func isBinary(a op.Attribute) bool { return strings.HasPrefix(a.Type, "Binary") }

// subjectAttribute is the attribute that a publication's subject travels as.
const subjectAttribute = "sett-subject"

// topicEvent is the event of a published message. Source: AWS Lambda Developer Guide, "Invoking Lambda functions with
// Amazon SNS notifications".
func topicEvent(m op.Message, region, topic, function string) ([]byte, error) {
	arn := topicARN(region, topic)
	entity, attributes := notificationOf(m, arn)
	entity.SignatureVersion, entity.MessageAttributes = "1", attributes
	return json.Marshal(events.SNSEvent{Records: []events.SNSEventRecord{{
		EventVersion: "1.0", EventSource: "aws:sns", EventSubscriptionArn: arn + ":" + function, SNS: entity,
	}}})
}

// notification is what a URL is posted. Source: Amazon SNS Developer Guide, "HTTP/HTTPS notification JSON format".
func notification(m op.Message, region, topic string) ([]byte, error) {
	entity, attributes := notificationOf(m, topicARN(region, topic))
	return json.Marshal(struct {
		Type              string
		MessageID         string `json:"MessageId"`
		TopicARN          string `json:"TopicArn"`
		Subject           string `json:",omitempty"`
		Message           string
		Timestamp         string
		MessageAttributes map[string]any `json:",omitempty"`
	}{entity.Type, entity.MessageID, entity.TopicArn, entity.Subject, entity.Message, entity.Timestamp.Format(timestampFormat), attributes})
}

func topicARN(region, topic string) string {
	return "arn:aws:sns:" + region + ":" + account + ":" + topic
}

// notificationOf is a message as SNS shows it, and its attributes.
func notificationOf(m op.Message, arn string) (events.SNSEntity, map[string]any) {
	entity := events.SNSEntity{Type: "Notification", MessageID: m.ID, TopicArn: arn, Message: string(m.Body), Timestamp: m.Sent.UTC()}
	attributes := map[string]any{}
	for _, a := range m.Attributes {
		if a.Name == subjectAttribute {
			entity.Subject = string(a.Value)
			continue
		}
		value := map[string]any{"Type": a.Type, "Value": string(a.Value)}
		if isBinary(a) {
			value["Value"] = a.Value
		}
		attributes[a.Name] = value
	}
	return entity, attributes
}
