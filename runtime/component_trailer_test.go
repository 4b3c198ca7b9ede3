package runtime

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// storeText is the code that stores a text at a place.
func storeText(at int32, s string) (code []byte) {
	for i := range len(s) {
		code = slices.Concat(code, wasmtest.I32(at+int32(i)), wasmtest.I32(int32(s[i])), []byte{0x3a, 0, 0})
	}
	return code
}

// endWithTrailer ends the response's body with trailer X-Sum, whose value is its second character.
func endWithTrailer() []byte {
	return slices.Concat(storeText(1200, "X-Sum"), wasmtest.Call(newFields), wasmtest.Set(2),
		wasmtest.Get(2), wasmtest.I32(1200), wasmtest.I32(5), wasmtest.I32(1201), wasmtest.I32(1), wasmtest.I32(1210), wasmtest.Call(appendField),
		wasmtest.I32(1060), wasmtest.Load32(), wasmtest.Call(dropStream),
		wasmtest.I32(1044), wasmtest.Load32(), wasmtest.I32(1), wasmtest.Get(2), wasmtest.I32(1088), wasmtest.Call(finishBody))
}

// echoTrailers ends the response's body with the trailers of the request, for which it waits without reading the body.
func echoTrailers() []byte {
	return slices.Concat(wasmtest.Get(0), wasmtest.I32(1104), wasmtest.Call(consumeBody),
		wasmtest.I32(1108), wasmtest.Load32(), wasmtest.Call(endBody), wasmtest.Set(2),
		wasmtest.Get(2), wasmtest.Call(awaitTrailers), wasmtest.Call(block),
		wasmtest.Get(2), wasmtest.I32(1136), wasmtest.Call(getTrailers),
		wasmtest.I32(1060), wasmtest.Load32(), wasmtest.Call(dropStream),
		wasmtest.I32(1044), wasmtest.Load32(), wasmtest.I32(1160), []byte{0x2d, 0, 0}, wasmtest.I32(1164), wasmtest.Load32(),
		wasmtest.I32(1088), wasmtest.Call(finishBody))
}

// trails is a component whose reply has a trailer: at /w one that is held, at /s one that was begun, at /r those of the
// request.
func trails() []byte {
	wait := slices.Concat(wasmtest.I64(1e6), wasmtest.Call(sleepFor), wasmtest.Call(block))
	return counts(map[byte][]byte{
		'w': slices.Concat(beginResponse(), writeCount(), endWithTrailer(), wasmtest.Return()),
		's': slices.Concat(beginResponse(), writeCount(), wait, endWithTrailer(), wasmtest.Return()),
		'r': slices.Concat(beginResponse(), writeCount(), echoTrailers(), wasmtest.Return()),
	}, nil)
}

func TestComponentReplyTrailers(t *testing.T) {
	r, s := open(t, Config{Store: &op.Memory{}})
	v := deploy(t, r, trails())
	want := []abi.Field{{Name: "X-Sum", Value: "-"}}
	for _, path := range []string{"/w", "/s", "/w", "/s"} {
		c := new(client)
		res, err := r.Invoke(context.Background(), v, from(path, c))
		if err != nil || res.Streamed != (path == "/s") || !slices.Equal(res.Trailers, want) || strings.Join(c.pieces, "")+string(res.Body) != "1" {
			t.Errorf("%s: Invoke = %+v, %v, sent %q; log %q", path, res, err, c.pieces, s.stream(abi.StreamPlatform))
		}
	}
	if res, err := r.Invoke(context.Background(), v, from("/s", nil)); err != nil || res.Streamed || !slices.Equal(res.Trailers, want) || string(res.Body) != "1" {
		t.Errorf("Invoke without pieces = %+v, %v", res, err)
	}
	checkNothingLeft(t, r)
}

// TestCheckTrailers: what no client could be sent fails the function, as in headers.
func TestCheckTrailers(t *testing.T) {
	for _, c := range []struct {
		trailers []abi.Field
		want     string
	}{
		{[]abi.Field{{Name: "X-Sum", Value: "1"}}, ""},
		{[]abi.Field{{Name: "X Sum", Value: "1"}}, "an invalid trailer name"},
		{[]abi.Field{{Name: "X", Value: "1\r\nY: 2"}}, "trailer X has an invalid value"},
		{make([]abi.Field, abi.MaxHeaders+1), "1025 trailers, more than 1024"},
		{[]abi.Field{{Name: "X", Value: strings.Repeat("x", MaxHeaderBytes)}}, "trailer is longer than"},
	} {
		err := checkReply(&abi.Reply{Trailers: c.trailers}, 0)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("checkReply = %v, want %q", err, c.want)
		}
	}
}

func TestComponentRequestTrailers(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, trails())
	for _, sent := range [][]abi.Field{{{Name: "X-Sum", Value: "1"}, {Name: "X-Sum", Value: "2"}}, nil} {
		want := slices.Clone(sent)
		for i := range want {
			want[i].Name = strings.ToLower(want[i].Name) // as names of headers that come in
		}
		e := from("/r", new(client))
		e.Body, e.Trailers, e.More = []byte("abc"), sent, false
		if res, err := r.Invoke(context.Background(), v, e); err != nil || !slices.Equal(res.Trailers, want) {
			t.Errorf("Invoke = %+v, %v, want trailers %v; log %q", res, err, want, s.stream(abi.StreamPlatform))
		}
		e = from("/r", &client{body: strings.NewReader(strings.Repeat("d", 1<<18)), trailers: sent})
		if res, err := r.Invoke(context.Background(), v, e); err != nil || !slices.Equal(res.Trailers, want) || !e.More {
			t.Errorf("Invoke with a body in pieces = %+v, %v, want trailers %v; log %q", res, err, want, s.stream(abi.StreamPlatform))
		}
	}
	checkNothingLeft(t, r)
}
