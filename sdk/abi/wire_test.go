package abi

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func sampleEvent() Event {
	return Event{
		Invocation: "01JDBSMX4R8F3W8M3E8Q7Z3V5K", Trigger: TriggerHTTP, App: "default", Function: "users", Version: 3,
		Handler: "resize", Attempt: 1, Depth: 2, More: true, DeadlineUnixMS: 1795400000123, Method: "GET", Scheme: "http", Proto: "HTTP/1.1",
		Host: "localhost:8080", Path: "/users/7%20a", Query: "a=1&b=%20", Remote: "127.0.0.1:54321",
		Pattern: "GET /users/{id}", Params: []Field{{"id", "7 a"}},
		Headers: []Field{{"Accept", "*/*"}, {"X-Twice", "1"}, {"X-Twice", ""}, {"X-Latin", "caf\xe9"}},
		Body:    []byte(`{"name":"Ada"}`),
	}
}

// emptyLists gives lists that decoding leaves empty but not nil the value nil.
func emptyLists(e Event) Event {
	if len(e.Params) == 0 {
		e.Params = nil
	}
	if len(e.Headers) == 0 {
		e.Headers = nil
	}
	if len(e.Body) == 0 {
		e.Body = nil
	}
	return e
}

func TestEvent(t *testing.T) {
	big := sampleEvent()
	big.Body = bytes.Repeat([]byte("x"), 1<<20)
	big.Headers = nil
	for range MaxHeaders {
		big.Headers = append(big.Headers, Field{"A", "b"})
	}
	big.Params = make([]Field, MaxParams)
	file := schema(t)
	for name, want := range map[string]Event{
		"zero": {}, "sample": sampleEvent(), "big": big,
		"extremes": {DeadlineUnixMS: math.MinInt64, Version: math.MaxInt32, Attempt: math.MaxUint32, Params: []Field{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			data := AppendEvent([]byte("head"), &want)
			if string(data[:4]) != "head" {
				t.Fatalf("AppendEvent changed what was there: %q", data[:4])
			}
			data = data[4:]
			got := sampleEvent() // must be forgotten
			if err := DecodeEvent(data, &got); err != nil {
				t.Fatal(err)
			}
			if got = emptyLists(got); !reflect.DeepEqual(got, want) {
				t.Errorf("DecodeEvent(AppendEvent(e)) = %+v, want %+v", got, want)
			}
			o := newOracle(t, file, "Event")
			if err := proto.Unmarshal(data, o); err != nil {
				t.Fatal(err)
			}
			if got := o.event(); !reflect.DeepEqual(got, want) {
				t.Errorf("protobuf reads %+v, want %+v", got, want)
			}
			data, err := proto.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := DecodeEvent(data, &got); err != nil {
				t.Fatal(err)
			}
			if got = emptyLists(got); !reflect.DeepEqual(got, want) {
				t.Errorf("DecodeEvent of protobuf's bytes = %+v, want %+v", got, want)
			}
		})
	}
}

func TestReply(t *testing.T) {
	file := schema(t)
	for name, want := range map[string]Reply{
		"zero":   {},
		"sample": {Status: 201, Headers: []Field{{"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}}, Body: []byte("done\n")},
		"error":  {Error: "no such order"},
	} {
		t.Run(name, func(t *testing.T) {
			data := AppendReply(nil, &want)
			got := Reply{Status: 500, Error: "must be forgotten", Headers: []Field{{"a", "b"}}, Body: []byte("x")}
			if err := DecodeReply(data, &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Headers) == 0 {
				got.Headers = nil
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("DecodeReply(AppendReply(r)) = %+v, want %+v", got, want)
			}
			o := newOracle(t, file, "Reply")
			if err := proto.Unmarshal(data, o); err != nil {
				t.Fatal(err)
			}
			if got := o.reply(); !reflect.DeepEqual(got, want) {
				t.Errorf("protobuf reads %+v, want %+v", got, want)
			}
		})
	}
}

func TestDescription(t *testing.T) {
	file := schema(t)
	want := Description{ABI: Version, SDK: "go/0.1.0", Handles: []string{"resize", ""}, Patterns: []string{"GET /users/{id}"}}
	data := AppendDescription(nil, &want)
	got := Description{Handles: []string{"old"}}
	if err := DecodeDescription(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("DecodeDescription(AppendDescription(d)) = %+v, want %+v", got, want)
	}
	o := newOracle(t, file, "Description")
	if err := proto.Unmarshal(data, o); err != nil {
		t.Fatal(err)
	}
	if got := o.description(); !reflect.DeepEqual(got, want) {
		t.Errorf("protobuf reads %+v, want %+v", got, want)
	}
}

// field writes one length-delimited field.
func field(number protowire.Number, value string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), value))
}

func TestDecodeForeignMessages(t *testing.T) {
	unknown := string(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1<<40)) +
		string(protowire.AppendFixed32(protowire.AppendTag(nil, 98, protowire.Fixed32Type), 7)) +
		string(protowire.AppendFixed64(protowire.AppendTag(nil, 97, protowire.Fixed64Type), 7)) + field(96, "text")
	otherType := string(protowire.AppendVarint(protowire.AppendTag(nil, eventPath, protowire.VarintType), 5)) +
		field(eventVersion, "three")
	tests := map[string]struct {
		data string
		want Event
	}{
		"unknown fields":        {unknown + field(eventPath, "/") + unknown, Event{Path: "/"}},
		"unknown in a header":   {field(eventHeaders, unknown+field(1, "A")+field(2, "b")), Event{Headers: []Field{{"A", "b"}}}},
		"another wire type":     {otherType, Event{}},
		"last value counts":     {field(eventPath, "/a") + field(eventPath, "/b"), Event{Path: "/b"}},
		"body first":            {field(eventBody, "body") + field(eventPath, "/a"), Event{Path: "/a", Body: []byte("body")}},
		"body in the middle":    {field(eventHost, "h") + field(eventBody, "b") + field(eventPath, "/a"), Event{Host: "h", Path: "/a", Body: []byte("b")}},
		"last body counts":      {field(eventBody, "one") + field(eventPath, "/a") + field(eventBody, "two"), Event{Path: "/a", Body: []byte("two")}},
		"overlong length is ok": {"\x2a\x81\x00/", Event{Path: "/"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got Event
			if err := DecodeEvent([]byte(tt.data), &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("DecodeEvent = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name string
		data string
		want Code
		say  string
	}{
		{"cut tag", "\x80", InvalidInput, "malformed"},
		{"cut length", "\x2a", InvalidInput, "malformed"},
		{"cut value", "\x2a\x05/", InvalidInput, "malformed"},
		{"cut number", "\x58", InvalidInput, "malformed"},
		{"cut fixed32", "\x0d123", InvalidInput, "malformed"},
		{"cut fixed64", "\x091234567", InvalidInput, "malformed"},
		{"huge length", "\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", InvalidInput, "malformed"},
		{"number over 64 bits", "\x58\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", InvalidInput, "malformed"},
		{"endless number", "\x58" + strings.Repeat("\x80", 20), InvalidInput, "malformed"},
		{"field number 0", "\x02\x00", InvalidInput, "malformed"},
		{"field number too high", "\xfa\xff\xff\xff\xff\x01\x00", InvalidInput, "malformed"},
		{"group", "\x0b\x0c", InvalidInput, "malformed"},
		{"wire type 6", "\x0e", InvalidInput, "malformed"},
		{"cut header", field(eventHeaders, "\x0a\x05A"), InvalidInput, "malformed"},
		{"headers", strings.Repeat(field(eventHeaders, ""), MaxHeaders+1), TooLarge, "1024 headers"},
		{"params", strings.Repeat(field(eventParams, ""), MaxParams+1), TooLarge, "64 path parameters"},
		{"text", field(eventPath, strings.Repeat("a", MaxTextBytes)), TooLarge, "1048576 bytes besides its body"},
		{"message", field(eventBody, strings.Repeat("a", MaxMessageBytes)), TooLarge, "67108864 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var e Event
			err := DecodeEvent([]byte(tt.data), &e)
			if CodeOf(err) != tt.want || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("DecodeEvent = %v (%s), want %q (%s)", err, CodeOf(err), tt.say, tt.want)
			}
		})
	}
	var d Description
	for want, data := range map[string]string{
		"256 handles":  strings.Repeat(field(descriptionHandles, "a"), MaxHandles+1),
		"128 patterns": strings.Repeat(field(descriptionPatterns, "a"), MaxPatterns+1),
	} {
		if err := DecodeDescription([]byte(data), &d); CodeOf(err) != TooLarge || !strings.Contains(err.Error(), want) {
			t.Errorf("DecodeDescription = %v, want %q", err, want)
		}
	}
	var r Reply
	err := DecodeReply([]byte(strings.Repeat(field(replyHeaders, ""), MaxHeaders+1)), &r)
	if CodeOf(err) != TooLarge {
		t.Errorf("DecodeReply with too many headers = %v, want %s", err, TooLarge)
	}
}

// TestDecodedText: what DecodeEvent answers shares its body with the input and nothing else, what ReadEvent answers all.
func TestDecodedText(t *testing.T) {
	want := sampleEvent()
	for name, decode := range map[string]func([]byte, *Event) error{"DecodeEvent": DecodeEvent, "ReadEvent": ReadEvent} {
		data := AppendEvent(nil, &want)
		var got Event
		if err := decode(data, &got); err != nil {
			t.Fatal(err)
		}
		body := got.Body
		for i := range data {
			data[i] = '#'
		}
		if shared := got.Path != want.Path && got.Headers[3] != want.Headers[3]; shared != (name == "ReadEvent") {
			t.Errorf("%s: strings are part of the input: %v: %q", name, shared, got.Path)
		}
		if string(body) != strings.Repeat("#", len(want.Body)) || cap(body) != len(body) {
			t.Errorf("%s: Body is no bounded part of the input: %q, capacity %d", name, body, cap(body))
		}
	}
}

func TestAllocations(t *testing.T) {
	e := sampleEvent()
	r := Reply{Status: 200, Headers: []Field{{"Content-Type", "text/plain"}}, Body: []byte("hello")}
	event, reply := AppendEvent(nil, &e), AppendReply(nil, &r)
	buf := make([]byte, 0, 4096)
	var e2 Event
	var r2 Reply
	tests := []struct {
		name string
		want float64
		run  func()
	}{
		{"AppendEvent into room", 0, func() { AppendEvent(buf, &e) }},
		{"AppendEvent into nothing", 1, func() { AppendEvent(nil, &e) }},
		{"AppendReply into room", 0, func() { AppendReply(buf, &r) }},
		{"AppendReply into nothing", 1, func() { AppendReply(nil, &r) }},
		{"DecodeEvent into a used event", 1, func() { DecodeEvent(event, &e2) }},
		{"DecodeEvent into a new event", 3, func() { var fresh Event; DecodeEvent(event, &fresh) }},
		{"ReadEvent into a used event", 0, func() { ReadEvent(event, &e2) }},
		{"DecodeReply into a used reply", 1, func() { DecodeReply(reply, &r2) }},
	}
	for _, tt := range tests {
		if got := testing.AllocsPerRun(100, tt.run); got > tt.want {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.want)
		}
	}
}

// seed adds bytes that both decoders should agree on.
func seed(f *testing.F) {
	e := sampleEvent()
	r := Reply{Status: 404, Headers: []Field{{"A", "b"}}, Body: []byte("x"), Error: "e"}
	d := Description{ABI: 1, SDK: "go", Handles: []string{"a"}, Patterns: []string{"/"}}
	f.Add([]byte{})
	f.Add(AppendEvent(nil, &e))
	f.Add(AppendReply(nil, &r))
	f.Add(AppendDescription(nil, &d))
	f.Add([]byte(field(eventBody, "b") + field(eventPath, "/a") + field(eventHeaders, field(1, "A"))))
	f.Add([]byte("\x0b\x0c"))
	f.Add([]byte("\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
}

// agree checks that our decoder and the protobuf library accept the same bytes, limits and groups aside.
func agree(t *testing.T, o oracle, data []byte, ours error) bool {
	theirs := proto.Unmarshal(data, o)
	switch {
	case ours == nil && theirs != nil:
		t.Fatalf("we accept %x, protobuf says %v", data, theirs)
	case ours != nil && theirs == nil && CodeOf(ours) != TooLarge && !isGroup(data):
		t.Fatalf("protobuf accepts %x, we say %v", data, ours)
	}
	return ours == nil
}

func fuzzSchema(f *testing.F) protoreflect.FileDescriptor { seed(f); return schema(f) }

func FuzzDecodeEvent(f *testing.F) {
	file := fuzzSchema(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, again Event
		o := newOracle(t, file, "Event")
		if !agree(t, o, data, DecodeEvent(data, &got)) {
			return
		}
		if got, want := emptyLists(got), o.event(); !reflect.DeepEqual(got, want) {
			t.Fatalf("DecodeEvent(%x) = %+v, protobuf reads %+v", data, got, want)
		}
		if err := ReadEvent(data, &again); err != nil || !reflect.DeepEqual(emptyLists(again), emptyLists(got)) {
			t.Fatalf("ReadEvent(%x) = %+v, %v, DecodeEvent answers %+v", data, again, err, got)
		}
		if err := DecodeEvent(AppendEvent(nil, &got), &again); err != nil || !reflect.DeepEqual(emptyLists(again), emptyLists(got)) {
			t.Fatalf("decode(encode(e)) = %+v, %v, want %+v", again, err, got)
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	file := fuzzSchema(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var got Reply
		o := newOracle(t, file, "Reply")
		if !agree(t, o, data, DecodeReply(data, &got)) {
			return
		}
		if len(got.Body) == 0 {
			got.Body = nil
		}
		if want := o.reply(); !reflect.DeepEqual(got, want) {
			t.Fatalf("DecodeReply(%x) = %+v, protobuf reads %+v", data, got, want)
		}
	})
}

func FuzzDecodeDescription(f *testing.F) {
	file := fuzzSchema(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var got Description
		o := newOracle(t, file, "Description")
		if !agree(t, o, data, DecodeDescription(data, &got)) {
			return
		}
		if want := o.description(); !reflect.DeepEqual(got, want) {
			t.Fatalf("DecodeDescription(%x) = %+v, protobuf reads %+v", data, got, want)
		}
	})
}

// FuzzEncodeEvent fuzzes the writing side: whatever a client sends comes out as it went in.
func FuzzEncodeEvent(f *testing.F) {
	f.Add("GET", "/a%20b", "q=1", "Accept", "*/*", []byte("body"), int64(-1), 7)
	f.Fuzz(func(t *testing.T, method, path, query, name, value string, body []byte, deadline int64, attempt int) {
		e := Event{Method: method, Path: path, Query: query, DeadlineUnixMS: deadline, Attempt: int(uint32(attempt)),
			Headers: []Field{{name, value}, {value, name}}, Params: []Field{{name, path}}, Body: body}
		var got Event
		if err := DecodeEvent(AppendEvent(nil, &e), &got); err != nil {
			if CodeOf(err) == TooLarge {
				return
			}
			t.Fatal(err)
		}
		if !reflect.DeepEqual(emptyLists(got), emptyLists(e)) {
			t.Fatalf("DecodeEvent(AppendEvent(e)) = %+v, want %+v", got, e)
		}
	})
}

func BenchmarkAppendEvent(b *testing.B) {
	e := sampleEvent()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEvent(buf[:0], &e)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeEvent(b *testing.B) {
	e := sampleEvent()
	data := AppendEvent(nil, &e)
	var got Event
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := DecodeEvent(data, &got); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeReply(b *testing.B) {
	r := Reply{Status: 200, Headers: []Field{{"Content-Type", "text/plain"}}, Body: []byte("hello")}
	data := AppendReply(nil, &r)
	var got Reply
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodeReply(data, &got); err != nil {
			b.Fatal(err)
		}
	}
}
