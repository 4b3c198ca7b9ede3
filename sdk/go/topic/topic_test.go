package topic_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/go/settest"
	"github.com/sett-run/sett/sdk/go/topic"
)

func TestPublish(t *testing.T) {
	settest.Topics(t, "orders")
	ctx := settest.Context(t)
	attributes := make([]topic.Attribute, 1, 2) // the caller's, whose room is not to be used
	attributes[0] = topic.Text("kind", "gift")
	want := []topic.Message{{Subject: "hello", Body: []byte("one"), Attributes: attributes}, {Body: []byte(`{"N":2}`), Attributes: attributes}, {Body: []byte("three")}}
	if id, err := topic.Publish(ctx, "orders", want[0]); err != nil || len(id) != 26 {
		t.Errorf("Publish = %q, %v", id, err)
	}
	if _, err := topic.PublishJSON(ctx, "orders", struct{ N int }{2}, attributes...); err != nil {
		t.Errorf("PublishJSON: %v", err)
	}
	if sent, err := topic.PublishAll(ctx, "orders", want[2]); err != nil || len(sent) != 1 {
		t.Errorf("PublishAll = %+v, %v", sent, err)
	}
	if got := settest.Published(t, "orders"); !reflect.DeepEqual(got, want) {
		t.Errorf("published %+v, want %+v", got, want)
	}
	if spare := attributes[:2][1]; spare.Name != "" {
		t.Errorf("Publish writes %+v into the caller's list", spare)
	}
}

func TestErrors(t *testing.T) {
	if _, err := topic.Publish(settest.Context(t), "orders", topic.Message{Body: []byte("b")}); !errors.Is(err, topic.ErrUnsupported) {
		t.Errorf("without topics: %v, want %v", err, topic.ErrUnsupported)
	}
	settest.Topics(t, "orders")
	ctx := settest.Context(t)
	for _, tt := range []struct {
		topic string
		m     topic.Message
		want  error
		say   string
	}{
		{"none", topic.Message{Body: []byte("b")}, topic.ErrNotFound, "topic none: publish: "},
		{"orders", topic.Message{Subject: "s"}, topic.ErrInvalid, "topic orders: publish: the message is empty"},
		{"orders", topic.Message{Body: make([]byte, topic.MaxMessageBytes), Subject: "s"}, topic.ErrTooLarge, "262144"},
		{"orders", topic.Message{Body: []byte("b"), Subject: "s", Attributes: make([]topic.Attribute, topic.MaxAttributes)}, topic.ErrTooLarge, "11 attributes"},
	} {
		if _, err := topic.Publish(ctx, tt.topic, tt.m); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.say) {
			t.Errorf("Publish to %s: %v, want %v and %q", tt.topic, err, tt.want, tt.say)
		}
	}
	if _, err := topic.PublishJSON(ctx, "orders", func() {}); err == nil {
		t.Error("a message that is no JSON is no error")
	}
}
