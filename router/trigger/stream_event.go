package trigger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
)

// item is a change that a function is to have.
type item struct {
	change   op.Change
	after    position // of what follows it
	sequence string   // its number: the revision, and four digits for its place among those of its transaction
	record   []byte   // as the function gets it
}

func streamARN(region, app, id string) string {
	return "arn:aws:dynamodb:" + region + ":" + account + ":table/" + app + "/stream/" + url.PathEscape(id)
}

// sequence is the number of a change, the i-th of its transaction. Numbers of one stream grow, also as text.
func sequence(revision uint64, i int) string { return fmt.Sprintf("%020d%04d", revision, i) }

// streamRecord is a record of a stream's event. Source: Amazon DynamoDB API Reference, "Record"; AWS Lambda Developer
// Guide, "Using AWS Lambda with Amazon DynamoDB".
func streamRecord(c op.Change, sequence, region, arn string) ([]byte, error) {
	id := sha256.Sum256([]byte(arn + "\x00" + sequence))
	key := attribute([]byte(c.Key))
	r := events.DynamoDBEventRecord{
		AWSRegion: region, EventID: hex.EncodeToString(id[:16]), EventSource: "aws:dynamodb", EventVersion: "1.1", EventSourceArn: arn,
		Change: events.DynamoDBStreamRecord{
			ApproximateCreationDateTime: events.SecondsEpochTime{Time: c.Time},
			Keys:                        map[string]events.DynamoDBAttributeValue{"key": key},
			SequenceNumber:              sequence, SizeBytes: int64(len(c.Key) + len(c.Value) + len(c.Previous)),
			StreamViewType: string(events.DynamoDBStreamViewTypeNewAndOldImages),
		},
	}
	r.EventName = string(events.DynamoDBOperationTypeInsert)
	switch {
	case c.Deleted:
		r.EventName = string(events.DynamoDBOperationTypeRemove)
	case c.Existed:
		r.EventName = string(events.DynamoDBOperationTypeModify)
	}
	if c.Expired {
		r.UserIdentity = &events.DynamoDBUserIdentity{Type: "Service", PrincipalID: "dynamodb.amazonaws.com"}
	}
	if !c.Deleted {
		r.Change.NewImage = image(key, c.Value, c.Revision)
	}
	if c.Previous != nil {
		r.Change.OldImage = image(key, c.Previous, c.PreviousRevision)
	}
	return marshalText(r)
}

func image(key events.DynamoDBAttributeValue, value []byte, revision uint64) map[string]events.DynamoDBAttributeValue {
	return map[string]events.DynamoDBAttributeValue{
		"key": key, "value": attribute(value), "revision": events.NewNumberAttribute(strconv.FormatUint(revision, 10)),
	}
}

// attribute is a string if b is text, else bytes.
func attribute(b []byte) events.DynamoDBAttributeValue {
	if utf8.Valid(b) {
		return events.NewStringAttribute(string(b))
	}
	return events.NewBinaryAttribute(b)
}

// streamEvent is the event of a batch.
func streamEvent(batch []item) []byte {
	b := []byte(`{"Records":[`)
	for i := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, batch[i].record...)
	}
	return append(b, "]}"...)
}

// streamBatchID is the invocation id of a batch: the same whenever the same changes come together again.
func streamBatchID(function, arn string, batch []item) string {
	first, last := &batch[0], &batch[len(batch)-1]
	sum := sha256.Sum256([]byte(function + "\x00" + arn + "\x00" + first.sequence + "\x00" + last.sequence + "\x00" + strconv.Itoa(len(batch))))
	return router.InvocationID(first.change.Time, binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:]))
}

// streamFailure is what a destination is sent of changes that were given up. Source: AWS Lambda Developer Guide, "Retain
// discarded records for a DynamoDB event source in Lambda", example "Amazon SQS".
type streamFailure struct {
	RequestContext  requestContext   `json:"requestContext"`
	ResponseContext *responseContext `json:"responseContext,omitempty"` // nil: the function never had them
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	Batch           streamBatch      `json:"DDBStreamBatchInfo"`
}

type streamBatch struct {
	ShardID string `json:"shardId"`
	Start   string `json:"startSequenceNumber"`
	End     string `json:"endSequenceNumber"`
	First   string `json:"approximateArrivalOfFirstRecord"`
	Last    string `json:"approximateArrivalOfLastRecord"`
	Size    int    `json:"batchSize"`
	ARN     string `json:"streamArn"`
}

// Conditions of changes that were given up.
const (
	conditionStreamRetries = "RetryAttemptsExhausted"
	conditionStreamAge     = "RecordAgeExceeded"
)

// failure is the record of a batch that was given up after an attempt, if there was one.
func (r *shardReader) failure(batch []item, i *Invocation, condition string, last Outcome) ([]byte, error) {
	s := r.stream
	first, end := &batch[0], &batch[len(batch)-1]
	f := streamFailure{
		Version: "1.0", Timestamp: time.Now().UTC().Format(timestampFormat),
		RequestContext: requestContext{
			RequestID: i.ID, Condition: condition, ApproximateInvokeCount: i.Failed,
			FunctionARN: fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", s.config.Delivery.config.Region, account, s.config.Function),
		},
		Batch: streamBatch{
			ShardID: fmt.Sprintf("shardId-%020d-%08x", r.lease.shard, s.config.Source.Parallel), Size: len(batch), ARN: s.arn,
			Start: first.sequence, End: end.sequence,
			First: first.change.Time.UTC().Format(timestampFormat), Last: end.change.Time.UTC().Format(timestampFormat),
		},
	}
	if last.Version != 0 {
		f.ResponseContext = &responseContext{StatusCode: 200, ExecutedVersion: strconv.Itoa(last.Version), FunctionError: "Unhandled"}
	}
	return json.Marshal(f)
}
