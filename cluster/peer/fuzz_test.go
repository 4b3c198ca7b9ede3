package peer

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// What decodes encodes to what decodes to the same.
func FuzzDecodeInvocation(f *testing.F) {
	message, err := encodeInvocation(invocation([]byte("body")), time.Second)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	f.Add([]byte{0, 0, 0, 1, 0xa0})
	f.Fuzz(func(t *testing.T, data []byte) {
		i, remaining, err := decodeInvocation(data)
		if err != nil {
			if abi.CodeOf(err) != abi.InvalidInput && abi.CodeOf(err) != abi.TooLarge {
				t.Errorf("decodeInvocation = %v, without a code", err)
			}
			return
		}
		if remaining <= 0 || remaining > maxInvocationTime {
			t.Errorf("%v remain", remaining)
		}
		again, err := encodeInvocation(i, remaining)
		if err != nil {
			t.Fatal(err)
		}
		j, left, err := decodeInvocation(again)
		if diff := cmp.Diff(i, j, cmpopts.EquateEmpty()); diff != "" || left != remaining || err != nil {
			t.Errorf("%v, %v, want %v:\n%s", err, left, remaining, diff)
		}
	})
}

func FuzzDecodeResult(f *testing.F) {
	for _, failure := range []error{nil, abi.WithCode(abi.Timeout, errors.New("too slow"))} {
		message, err := encodeResult(&abi.Result{
			Reply: abi.Reply{Status: 200, Body: []byte("x")}, Start: abi.Warm, Effects: &op.Effects{Ops: []op.Op{{Kind: op.Set, Key: "k"}}},
		}, failure)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, failure, err := decodeResult(data)
		if r == nil {
			t.Fatal("no result")
		}
		if err != nil {
			return
		}
		again, err := encodeResult(r, failure)
		if err != nil {
			t.Fatal(err)
		}
		s, second, err := decodeResult(again)
		if err != nil || abi.CodeOf(second) != abi.CodeOf(failure) {
			t.Fatalf("decodeResult = %v, %v, want %v", second, err, failure)
		}
		if diff := cmp.Diff(r.Reply, s.Reply, cmpopts.EquateEmpty()); diff != "" || r.Effects.Empty() != s.Effects.Empty() || r.Fuel != s.Fuel {
			t.Errorf("the result changed:\n%s", diff)
		}
	})
}

// Whatever comes, the server answers it.
func FuzzServer(f *testing.F) {
	s, err := NewServer(ServerConfig{
		Modules: newModules(f, []byte("module")),
		Invoker: invokerFunc(func(context.Context, Invocation) (*abi.Result, error) { return nil, nil }),
		Fetcher: fetcherFunc(func(context.Context, FetchRequest, Sink) error { return nil }),
	})
	if err != nil {
		f.Fatal(err)
	}
	digest := digestOf([]byte("module"))
	f.Add("GET", digest, "bytes=1-", []byte(nil))
	f.Add("POST", digest, "", []byte(`{"size_bytes":6,"holders":[{"id":"a","address":"b"}]}`))
	f.Add("POST", "", "", []byte{0, 0, 0, 1, 0xa0})
	f.Fuzz(func(t *testing.T, method, digest, ranges string, body []byte) {
		path := "/invoke"
		if digest != "" {
			path = "/modules/" + digest
		}
		r, err := http.NewRequest(method, "http://x", bytes.NewReader(body))
		if err != nil {
			return
		}
		r.URL.Path = path
		r.Header.Set("Range", ranges)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code < 200 {
			t.Errorf("%s %q: status %d", method, path, w.Code)
		}
	})
}
