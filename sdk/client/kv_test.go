package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

func TestKVReadsSayWhatTheyMaySee(t *testing.T) {
	var got []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get(RevisionHeader))
		w.Header().Set(RevisionHeader, "1")
		io.WriteString(w, `{"keys":[],"items":[]}`)
	})
	ctx, kv := context.Background(), c.KV()
	strong, session := op.Read{Consistency: op.Strong}, op.Read{Seen: 9}
	kv.Get(ctx, "shop", "a/ü", strong)
	kv.Get(ctx, "shop", "k", session)
	kv.GetMany(ctx, "shop", nil, op.Read{Consistency: op.Local, Seen: 9})
	kv.List(ctx, "shop", op.Query{Prefix: "p&", Cursor: "c", Limit: op.MaxPageKeys + 1, KeysOnly: true, Read: session})
	kv.List(ctx, "shop", op.Query{Read: strong})
	want := []string{
		"GET /v1/apps/shop/kv/value?consistency=strong&key=a%2F%C3%BC ", "GET /v1/apps/shop/kv/value?key=k 9",
		"POST /v1/apps/shop/kv/values?consistency=local 9",
		"GET /v1/apps/shop/kv/keys?cursor=c&limit=1000&prefix=p%26 9", "GET /v1/apps/shop/kv/keys?consistency=strong&values=true ",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
	if _, err := kv.List(ctx, "shop", op.Query{Limit: -1}); !errors.Is(err, op.ErrInvalid) || len(got) != len(want) {
		t.Errorf("List with a negative limit: %v, want %v", err, op.ErrInvalid)
	}
}

func TestKVRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, answer := range map[string]struct {
		headers, body string
		code          abi.Code
	}{
		"no revision":       {"", `{"revision":1}`, abi.Internal},
		"damaged revision":  {"x", `[]`, abi.Internal},
		"damaged base64":    {"1", `{"keys":[{"key_base64":"*"}],"items":[{"value_base64":"*"}],"ops":[{"previous_base64":"*"}]}`, abi.Internal},
		"too few":           {"1", `{"keys":[{"value":"a","value_base64":""}],"items":[],"ops":[]}`, abi.Internal},
		"too large a value": {"1", strings.Repeat("x", op.MaxValueBytes+1), ""},
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(RevisionHeader, answer.headers)
			io.WriteString(w, answer.body)
		})
		ctx, kv := context.Background(), c.KV()
		_, getErr := kv.Get(ctx, "shop", "k", op.Read{})
		_, manyErr := kv.GetMany(ctx, "shop", []string{"k"}, op.Read{})
		_, listErr := kv.List(ctx, "shop", op.Query{})
		_, commitErr := kv.Commit(ctx, op.Txn{Namespace: "shop", Ops: []op.Op{{Kind: op.Delete, Key: "k"}}})
		_, incrErr := kv.Incr(ctx, "shop", "k", Incr{})
		switch name {
		case "no revision", "damaged revision":
			if abi.CodeOf(getErr) != answer.code {
				t.Errorf("%s: Get = %v, want %s", name, getErr, answer.code)
			}
		case "too large a value":
			if abi.CodeOf(getErr) != abi.TooLarge {
				t.Errorf("%s: Get = %v, want %s", name, getErr, abi.TooLarge)
			}
		default:
			for _, err := range []error{manyErr, listErr, commitErr, incrErr} {
				if abi.CodeOf(err) != answer.code || !strings.Contains(err.Error(), "not what this client knows") {
					t.Errorf("%s: %v, want %s", name, err, answer.code)
				}
			}
		}
	}
}

func TestReasonsAndErrorsAreOneToOne(t *testing.T) {
	for _, err := range []error{op.ErrInvalid, op.ErrTooLarge, op.ErrNotInteger, op.ErrNotFound, op.ErrConflict, op.ErrRange, op.ErrQuota,
		op.ErrCompacted, op.ErrNoBucket, op.ErrNoObject, op.ErrBucketExists, op.ErrNotEmpty, op.ErrPrecondition, op.ErrNoQueue, op.ErrInFlight, op.ErrUnavailable, op.ErrUnknown} {
		r := ReasonOf(fmt.Errorf("get k: %w", err))
		if p := (Problem{Code: abi.Conflict, Detail: "get k", Reason: r}); r == "" || !errors.Is(p.asError(409), err) {
			t.Errorf("%v has reason %q, whose error is another", err, r)
		}
	}
	p := Problem{Code: "teapot", Detail: "short and stout", Reason: "of a newer node"}
	if err := p.asError(418); err.Reason != p.Reason || err.Error() != p.Detail || abi.CodeOf(err) != p.Code || ReasonOf(err) != "" {
		t.Errorf("error of an unknown reason: %+v", err)
	}
}

func TestTxnNamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "",
		`{"checks":[{"key":"a","revision":0},{"key_base64":"/w==","present":true},{"key":"c","value":""}]}`:       "",
		`{"ops":[{"op":"set","key":"a","value":""},{"op":"touch","key":"a","ttl_ms":1},{"op":"incr","key":"n"}]}`: "",
		`{"checks":[{"key":"a"}]}`:                                              "checks[0].key: give one of revision, present and value to check",
		`{"checks":[{"key":"a","revision":1,"present":true}]}`:                  "checks[0].key: give one of",
		`{"checks":[{"key":"a","revision":1},{"key":"a","key_base64":"YQ=="}]}`: "checks[1].key: given as text and in base64",
		`{"checks":[{"key":"a","value":"","value_base64":""}]}`:                 "checks[0].value: given as text and in base64",
		`{"checks":[{"key":"a","value_base64":"YQ"}]}`:                          "checks[0].value_base64: illegal base64",
		`{"ops":[{"op":"Set","key":"a","value":""}]}`:                           `ops[0].op: "Set" is not one of set,`,
		`{"ops":[{"key":"a"}]}`:                                                 `ops[0].op: "" is not one of`,
		`{"ops":[{"op":"set","key":"a"}]}`:                                      "ops[0].value: missing",
		`{"ops":[{"op":"set","key":"a","value":"","ttl_ms":-1}]}`:               "ops[0].ttl_ms: it is between 0 and 315360000000",
		`{"ops":[{"op":"set","key":"a","value":"","ttl_ms":9223372036854775}]}`: "ops[0].ttl_ms",
		`{"ops":[{"op":"set","key":"a","value":"","min":1}]}`:                   "ops[0].op: set has no delta, min or max",
		`{"ops":[{"op":"delete","key_base64":"!"}]}`:                            "ops[0].key_base64: illegal base64",
	} {
		var shown KVTxn
		if err := json.Unmarshal([]byte(text), &shown); err != nil {
			t.Fatal(err)
		}
		_, err := shown.Txn("shop")
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want) || abi.CodeOf(err) != abi.InvalidInput) {
			t.Errorf("Txn of %s = %v, want %q", text, err, want)
		}
	}
}

func TestIncrInATransactionHasDefaults(t *testing.T) {
	least := int64(-7)
	got, err := KVTxn{Ops: []KVOp{{Op: "incr", Key: "n", Min: &least}}}.Txn("shop")
	want := op.Op{Kind: op.Incr, Key: "n", Delta: 1, Bounded: true, Min: -7, Max: math.MaxInt64}
	if err != nil || !reflect.DeepEqual(got.Ops[0], want) {
		t.Errorf("Txn = %+v, %v; want %+v", got.Ops[0], err, want)
	}
	short := KVTxnOf(op.Txn{Ops: []op.Op{{Kind: op.Touch, Key: "k", TTL: time.Nanosecond}}})
	if short.Ops[0].TTLMS != 1 {
		t.Errorf("a life of a nanosecond is sent as %d ms, want 1: 0 would be for ever", short.Ops[0].TTLMS)
	}
}

// FuzzTxn holds that a transaction that is accepted means the same when it is sent on.
func FuzzTxn(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"checks":[{"key":"a","revision":3},{"key_base64":"/w==","present":true},{"key":"c","value":"\u0000"}]}`,
		`{"ops":[{"op":"set","key":"a","value_base64":"","ttl_ms":5},{"op":"append","key":"a","value":"x","previous":true}]}`,
		`{"ops":[{"op":"incr","key":"n","delta":-1,"min":0},{"op":"delete_prefix"},{"op":"touch","key":"k"},{"op":"delete","key":"k"}]}`,
		`{"ops":[{"op":"set","key":"\ud800","value":"x"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var shown KVTxn
		if json.Unmarshal(text, &shown) != nil {
			return
		}
		txn, err := shown.Txn("shop")
		if err != nil {
			if abi.CodeOf(err) != abi.InvalidInput {
				t.Fatalf("Txn of %s = %v (%s), want %s", text, err, abi.CodeOf(err), abi.InvalidInput)
			}
			return
		}
		if txn.Validate() != nil {
			return
		}
		sent, err := json.Marshal(KVTxnOf(txn))
		if err != nil {
			t.Fatal(err)
		}
		var again KVTxn
		if err := json.Unmarshal(sent, &again); err != nil {
			t.Fatal(err)
		}
		second, err := again.Txn("shop")
		for i := range txn.Ops {
			if len(txn.Ops[i].Value) == 0 { // nil and empty are one
				txn.Ops[i].Value, second.Ops[i].Value = nil, nil
			}
		}
		if err != nil || !reflect.DeepEqual(txn, second) {
			t.Fatalf("%s is %+v, and when sent on as %s %+v, %v", text, txn, sent, second, err)
		}
	})
}

// FuzzChange holds that a line of a watch is read without panic, and that what is read means the same when it is shown.
func FuzzChange(f *testing.F) {
	f.Add([]byte(`{"key":"a","revision":1,"value":"v","expires_at":"2026-01-02T15:04:05Z"}`))
	f.Add([]byte(`{"key":"?","key_base64":"/w==","revision":1,"deleted":true}`))
	f.Add([]byte(`{"error":{"code":"invalid_input","status":410,"detail":"too old","reason":"compacted"}}`))
	f.Add([]byte(`{"key":"a","revision":1,"value":"v","value_base64":"dg=="}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := KV{&Client{base: &url.URL{}}}.readChange(line)
		if err != nil {
			return
		}
		again, err := KVChangeOf(c).Change()
		if err != nil || again.Key != c.Key || string(again.Value) != string(c.Value) && !c.Deleted || again.Revision != c.Revision {
			t.Fatalf("%s is %+v, and shown again %+v, %v", line, c, again, err)
		}
	})
}

// body answers a request with what a test writes.
type body struct{ read *io.PipeReader }

func (b body) RoundTrip(r *http.Request) (*http.Response, error) {
	context.AfterFunc(r.Context(), func() { b.read.CloseWithError(r.Context().Err()) })
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: b.read, Request: r}, nil
}

func TestWatchGivesUpASilentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New("", "")
		if err != nil {
			t.Fatal(err)
		}
		read, write := io.Pipe()
		c.http.Transport = body{read}
		go func() {
			for range 10 {
				time.Sleep(WatchHeartbeat)
				io.WriteString(write, "\n")
			}
			io.WriteString(write, `{"key":"k","revision":7,"value":"v"}`+"\n")
		}()
		begin, changes := time.Now(), 0
		var last error
		for c, err := range c.KV().Watch(context.Background(), "shop", "", 0) {
			if last = err; err == nil {
				changes++
				time.Sleep(2 * watchSilence) // a slow reader is not a silent node
			}
			if err == nil && (c.Key != "k" || string(c.Value) != "v") {
				t.Errorf("change %+v", c)
			}
		}
		want := 10*WatchHeartbeat + 3*watchSilence
		if took := time.Since(begin); took != want || changes != 1 || abi.CodeOf(last) != abi.Unavailable || !errors.Is(last, errSilent) {
			t.Errorf("watch ended after %v and %d changes with %v; want %v and %v", took, changes, last, want, errSilent)
		}
	})
}

func TestWatchEndsWithTheReaderAndTheNode(t *testing.T) {
	left := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("prefix") == "cut" {
			io.WriteString(w, `{"key":"k","rev`)
			return
		}
		io.WriteString(w, `{"key":"k","revision":7}`+"\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	})
	for change, err := range c.KV().Watch(context.Background(), "shop", "", 6) {
		if err != nil || change.Revision != 7 {
			t.Fatalf("change %+v, %v", change, err)
		}
		break
	}
	<-left
	for change, err := range c.KV().Watch(context.Background(), "shop", "cut", 0) {
		if err == nil {
			t.Errorf("change %+v of half a line", change)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range c.KV().Watch(ctx, "shop", "", 0) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("watch with a cancelled context: %v, want %v", err, context.Canceled)
		}
	}
}
