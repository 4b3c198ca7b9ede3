package abi

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// outgoingMessages are those of fetch and invoke.
func outgoingMessages() []kvMessage {
	return []kvMessage{
		{"FetchRequest", func(v any) []byte { r := v.(FetchRequest); return AppendFetch(nil, &r) },
			func(data []byte) (any, error) { return DecodeFetch(data) },
			func(o oracle) any {
				return FetchRequest{o.text("method"), o.text("url"), o.fields("headers"), o.bytes("body"), nil}
			},
			FetchRequest{"POST", "https://api.example.com/a?b=c", []Field{{"Accept", "*/*"}, {"X", ""}, {"X", "caf\xe9"}, {}}, []byte("body"), nil}},
		{"InvokeRequest", func(v any) []byte { r := v.(InvokeRequest); return AppendInvoke(nil, &r) },
			func(data []byte) (any, error) { return DecodeInvoke(data) },
			func(o oracle) any {
				return InvokeRequest{o.text("function"), o.text("qualifier"), o.flag("async"), o.bytes("payload")}
			},
			InvokeRequest{"resize", "canary", true, []byte(`{"id":7}`)}},
	}
}

func TestOutgoingMessages(t *testing.T) { checkMessages(t, outgoingMessages()) }

func FuzzDecodeFetch(f *testing.F)  { fuzzKV(f, "FetchRequest") }
func FuzzDecodeInvoke(f *testing.F) { fuzzKV(f, "InvokeRequest") }

func TestOutgoingLimits(t *testing.T) {
	text := func(n int) string { return strings.Repeat("a", n) }
	fetch := func(r FetchRequest) error { _, err := DecodeFetch(AppendFetch(nil, &r)); return err }
	invoke := func(r InvokeRequest) error { _, err := DecodeInvoke(AppendInvoke(nil, &r)); return err }
	for _, tt := range []struct {
		name string
		err  error
		say  string // empty: no error
	}{
		{"URL", fetch(FetchRequest{URL: text(MaxURLBytes)}), ""},
		{"long URL", fetch(FetchRequest{URL: text(MaxURLBytes + 1)}), "8192 bytes of URL"},
		{"headers", fetch(FetchRequest{Headers: make([]Field, MaxHeaders)}), ""},
		{"many headers", fetch(FetchRequest{Headers: make([]Field, MaxHeaders+1)}), "1024 headers"},
		{"header", fetch(FetchRequest{Headers: []Field{{"A", text(MaxFetchHeaderBytes - 1)}}}), ""},
		{"long header", fetch(FetchRequest{Headers: []Field{{"A", text(MaxFetchHeaderBytes)}}}), "65536 bytes of headers"},
		{"body", fetch(FetchRequest{Body: make([]byte, MaxFetchRequestBytes)}), ""},
		{"long body", fetch(FetchRequest{Body: make([]byte, MaxFetchRequestBytes+1)}), "6291456 bytes of body"},
		{"unknown field", fetchError(field(15, text(MaxTextBytes))), "besides its body"},
		{"payload", invoke(InvokeRequest{Payload: make([]byte, MaxPayloadBytes)}), ""},
		{"long payload", invoke(InvokeRequest{Payload: make([]byte, MaxPayloadBytes+1)}), "6291456 bytes of payload"},
		{"async payload", invoke(InvokeRequest{Async: true, Payload: make([]byte, MaxAsyncPayloadBytes)}), ""},
		{"long async payload", invoke(InvokeRequest{Async: true, Payload: make([]byte, MaxAsyncPayloadBytes+1)}), "262144 bytes of payload"},
		{"name", invoke(InvokeRequest{Function: text(MaxInvokeNameBytes), Qualifier: text(MaxInvokeNameBytes)}), ""},
		{"long name", invoke(InvokeRequest{Function: text(MaxInvokeNameBytes + 1)}), "255 bytes of a name"},
		{"long qualifier", invoke(InvokeRequest{Qualifier: text(MaxInvokeNameBytes + 1)}), "255 bytes of a name"},
	} {
		if tt.say == "" && tt.err != nil || tt.say != "" && (CodeOf(tt.err) != TooLarge || !strings.Contains(tt.err.Error(), tt.say)) {
			t.Errorf("%s: %v, want %q", tt.name, tt.err, tt.say)
		}
	}
	for _, data := range [][]byte{[]byte("\x0a\x05a"), []byte("\x1a\x02\x0a\x05"), []byte("\xff"), bytes.Repeat([]byte{0x80}, 11)} {
		if _, err := DecodeFetch(data); CodeOf(err) != InvalidInput {
			t.Errorf("DecodeFetch(%x) = %v, want %s", data, err, InvalidInput)
		}
	}
}

func fetchError(message string) error { _, err := DecodeFetch([]byte(message)); return err }

func TestOutgoingErrors(t *testing.T) {
	numbers{OutgoingErrorNumber, OutgoingError, lastOutgoingError}.check(t, []error{
		ErrBadRequest, ErrOverLimit, ErrDenied, ErrResolve, ErrConnect, ErrTLS, ErrBroken,
		context.DeadlineExceeded, ErrOutgoingCalls, ErrNoOutgoing, ErrNoFunction, ErrDepth, ErrBusy, ErrFunctionFailed, ErrOutgoingFailed,
	}, nil)
}
