package events_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	ours "github.com/sett-run/sett/sdk/go/events"
)

const streamJSON = `{"Records":[
{"awsRegion":"local","eventID":"a","eventName":"MODIFY","eventSource":"aws:dynamodb","eventVersion":"1.1","eventSourceARN":"arn:aws:dynamodb:local:000000000000:table/shop/stream/users",
 "dynamodb":{"ApproximateCreationDateTime":1764158400,"Keys":{"key":{"S":"user/1"}},"NewImage":{"key":{"S":"user/1"},"value":{"B":"/w=="},"revision":{"N":"8192"}},
 "OldImage":{"key":{"S":"user/1"},"value":{"S":""},"revision":{"N":"4096"}},"SequenceNumber":"000000000000000081920000","SizeBytes":7,"StreamViewType":"NEW_AND_OLD_IMAGES"}},
{"eventID":"b","eventName":"REMOVE","userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},
 "dynamodb":{"Keys":{"key":{"S":"user/2"}},"SequenceNumber":"000000000000000122880000"}}]}`

func TestStream(t *testing.T) {
	var s ours.Stream
	if err := json.Unmarshal([]byte(streamJSON), &s); err != nil {
		t.Fatal(err)
	}
	a, b := &s.Records[0], &s.Records[1]
	if a.Key() != "user/1" || a.Kind != ours.Modify || string(a.New()) != "\xff" || a.Old() == nil || len(a.Old()) != 0 ||
		a.Revision() != 8192 || a.Time().Unix() != 1764158400 || a.Expired() {
		t.Errorf("%+v", a)
	}
	if b.Kind != ours.Remove || b.New() != nil || b.Old() != nil || b.Revision() != 0 || !b.Expired() {
		t.Errorf("%+v", b)
	}
	var theirs events.DynamoDBEvent
	if err := json.Unmarshal([]byte(streamJSON), &theirs); err != nil || theirs.Records[0].Change.SequenceNumber != a.Detail.Sequence {
		t.Errorf("%+v, %v", theirs, err)
	}
}

func TestStreamEach(t *testing.T) {
	var s ours.Stream
	for _, key := range []string{"a", "b", "c"} {
		s.Records = append(s.Records, ours.Change{Detail: ours.ChangeDetail{Sequence: key, Keys: map[string]ours.Value{"key": {Text: &key}}}})
	}
	for bad, want := range map[string]string{"": "abc", "a": "a", "b": "ab", "c": "abc"} {
		var seen strings.Builder
		failures, err := s.Each(func(c ours.Change) error {
			seen.WriteString(c.Key())
			if c.Key() == bad {
				return errors.New("broken")
			}
			return nil
		})
		if seen.String() != want || (err != nil) != (bad == "a") {
			t.Errorf("%q: saw %s, %v, want %s", bad, seen.String(), err, want)
		}
		if n := len(failures.Items); bad == "" && (n != 0 || failures.Items == nil) || bad != "" && (n != 1 || failures.Items[0].ID != bad) {
			t.Errorf("%q: failures %+v", bad, failures)
		}
	}
}
