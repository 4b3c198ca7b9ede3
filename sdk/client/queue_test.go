package client

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

func TestQueuesRefuseWhatTheyDoNotKnow(t *testing.T) {
	for name, answer := range map[string]string{
		"too few": `{"messages":[],"delete":[],"release":[]}`, "too many": `{"messages":[{},{}],"delete":[true,true]}`,
		"damaged":            `{"messages":[{"body_base64":"*"}],"delete":[]}`,
		"damaged attributes": `{"messages":[{"body":"","attributes":[{"name":"a","value":"b","value_base64":"Yg=="}]}],"delete":[]}`,
		"no JSON":            `messages`,
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) })
		ctx, queues := context.Background(), c.Queues()
		_, sendErr := queues.Send(ctx, "shop", "q", op.Outgoing{Body: []byte("a")})
		_, settleErr := queues.Settle(ctx, "shop", "q", op.Settlement{Delete: []string{"r"}})
		_, receiveErr := queues.Receive(ctx, "shop", "q", op.Receive{})
		errs := []error{settleErr}
		if strings.HasPrefix(name, "too") {
			errs = append(errs, sendErr)
		} else {
			errs = append(errs, receiveErr)
		}
		for _, err := range errs {
			if abi.CodeOf(err) != abi.Internal || !strings.Contains(err.Error(), "not what this client knows") {
				t.Errorf("%s: %v, want %s", name, err, abi.Internal)
			}
		}
	}
}

// TestTimesOfQueuesKeepTheirMeaning holds that none, the queue's own and short ones stay apart.
func TestTimesOfQueuesKeepTheirMeaning(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{
		0: 0, op.NoWait: op.NoWait, time.Nanosecond: time.Millisecond, 1500 * time.Microsecond: 2 * time.Millisecond, op.MaxWait: op.MaxWait,
	} {
		if r, err := receiveRequestOf(op.Receive{Wait: given}).Receive(); err != nil || r.Wait != want {
			t.Errorf("wait %v arrives as %v, %v, want %v", given, r.Wait, err, want)
		}
		sent, err := sendRequestOf([]op.Outgoing{{Body: []byte("a"), Delay: given}}).Outgoing()
		if err != nil || !reflect.DeepEqual(sent, []op.Outgoing{{Body: []byte("a"), Delay: want}}) {
			t.Errorf("delay %v arrives as %+v, %v, want %v", given, sent, err, want)
		}
	}
}

func TestQueuesEscapeNames(t *testing.T) {
	var got []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get(AsyncHeader))
		io.WriteString(w, `{}`)
	})
	ctx := context.Background()
	c.Queues().Get(ctx, "shop", "topic/placed")
	c.Queues().List(ctx, "shop", op.QueueQuery{Prefix: "a&", After: "b", Limit: op.MaxQueuePage})
	c.Topics().Unsubscribe(ctx, "shop", "t", "a/b")
	c.InvokeAsync(ctx, InvokeTarget{App: "shop", Function: "f", Qualifier: "live"}, InvokeRequest{})
	want := []string{"GET /v1/apps/shop/queues/topic%2Fplaced ", "GET /v1/apps/shop/queues?cursor=b&prefix=a%26 ",
		"DELETE /v1/apps/shop/topics/t/subscriptions/a%2Fb ", "POST /v1/apps/shop/functions/f/invoke?qualifier=live async"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
}
