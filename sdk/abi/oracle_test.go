package abi

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

var (
	schemaBlock   = regexp.MustCompile("(?s)```proto\n(.*?)```")
	schemaMessage = regexp.MustCompile(`(?s)message (\w+) \{[^\n]*\n(.*?)\n\}`)
	schemaField   = regexp.MustCompile(`(?m)^  (repeated )?(\w+) (\w+) = (\d+);`)
	schemaTypes   = map[string]descriptorpb.FieldDescriptorProto_Type{
		"string": descriptorpb.FieldDescriptorProto_TYPE_BYTES, // no UTF-8 check: our decoder has none either
		"bytes":  descriptorpb.FieldDescriptorProto_TYPE_BYTES,
		"uint32": descriptorpb.FieldDescriptorProto_TYPE_UINT32,
		"uint64": descriptorpb.FieldDescriptorProto_TYPE_UINT64,
		"int64":  descriptorpb.FieldDescriptorProto_TYPE_INT64,
		"sint64": descriptorpb.FieldDescriptorProto_TYPE_SINT64,
		"bool":   descriptorpb.FieldDescriptorProto_TYPE_BOOL,
	}
)

// schema reads the messages from docs/ABI.md, so that document, code and the protobuf library agree.
func schema(t testing.TB) protoreflect.FileDescriptor {
	t.Helper()
	page, err := os.ReadFile("../../docs/ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, block := range schemaBlock.FindAllSubmatch(page, -1) {
		text.Write(block[1])
	}
	messages := schemaMessage.FindAllStringSubmatch(text.String(), -1)
	known := make(map[string]bool)
	for _, m := range messages {
		known[m[1]] = true
	}
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("abi.proto"), Package: proto.String("sett.abi"), Syntax: proto.String("proto3"),
	}
	for _, m := range messages {
		message := &descriptorpb.DescriptorProto{Name: proto.String(m[1])}
		for _, f := range schemaField.FindAllStringSubmatch(m[2], -1) {
			number, _ := strconv.Atoi(f[4])
			label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
			if f[1] != "" {
				label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
			}
			kind, ok := schemaTypes[f[2]]
			if known[f[2]] {
				kind = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
			} else if !ok {
				t.Fatalf("field %s has unknown type %s", f[3], f[2])
			}
			field := &descriptorpb.FieldDescriptorProto{
				Name: proto.String(f[3]), Number: proto.Int32(int32(number)), Type: &kind, Label: &label,
			}
			if known[f[2]] {
				field.TypeName = proto.String(".sett.abi." + f[2])
			}
			message.Field = append(message.Field, field)
		}
		file.MessageType = append(file.MessageType, message)
	}
	d, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// oracle is a message of the protobuf library with the schema of docs/ABI.md.
type oracle struct{ *dynamicpb.Message }

func newOracle(t testing.TB, file protoreflect.FileDescriptor, name string) oracle {
	t.Helper()
	d := file.Messages().ByName(protoreflect.Name(name))
	if d == nil {
		t.Fatalf("docs/ABI.md has no message %s", name)
	}
	return oracle{dynamicpb.NewMessage(d)}
}

func (o oracle) field(name string) protoreflect.FieldDescriptor {
	return o.Descriptor().Fields().ByName(protoreflect.Name(name))
}

func (o oracle) text(name string) string { return string(o.Get(o.field(name)).Bytes()) }
func (o oracle) bytes(name string) []byte {
	if b := o.Get(o.field(name)).Bytes(); len(b) > 0 {
		return b
	}
	return nil
}
func (o oracle) uint(name string) int { return int(o.Get(o.field(name)).Uint()) }

func (o oracle) texts(name string) []string {
	var all []string
	list := o.Get(o.field(name)).List()
	for i := range list.Len() {
		all = append(all, string(list.Get(i).Bytes()))
	}
	return all
}

func (o oracle) fields(name string) []Field {
	var all []Field
	list := o.Get(o.field(name)).List()
	for i := range list.Len() {
		f := oracle{list.Get(i).Message().Interface().(*dynamicpb.Message)}
		all = append(all, Field{f.text("name"), f.text("value")})
	}
	return all
}

func (o oracle) event() Event {
	return Event{
		Invocation: o.text("invocation"), Trigger: o.text("trigger"), App: o.text("app"),
		Function: o.text("function"), Version: o.uint("version"), Handler: o.text("handler"),
		Attempt: o.uint("attempt"), Depth: o.uint("depth"), DeadlineUnixMS: o.Get(o.field("deadline_unix_ms")).Int(),
		Method: o.text("method"), Scheme: o.text("scheme"), Proto: o.text("proto"), Host: o.text("host"),
		Path: o.text("path"), Query: o.text("query"), Remote: o.text("remote"), Pattern: o.text("pattern"),
		Params: o.fields("params"), Headers: o.fields("headers"), Body: o.bytes("body"), More: o.flag("more"),
	}
}

func (o oracle) reply() Reply {
	return Reply{Status: o.uint("status"), Headers: o.fields("headers"), Body: o.bytes("body"), Error: o.text("error")}
}

func (o oracle) description() Description {
	return Description{ABI: o.uint("abi"), SDK: o.text("sdk"), Handles: o.texts("handles"), Patterns: o.texts("patterns")}
}

// isGroup says whether the protobuf library's only reason to accept what we refuse is a group.
func isGroup(data []byte) bool {
	for i := 0; i < len(data); {
		tag, next := uvarint(string(data), i)
		if next < 0 {
			return false
		}
		if wire := tag & 7; wire == 3 || wire == 4 {
			return true
		}
		t, ok := nextToken(string(data), i)
		if !ok {
			return false
		}
		// A group may hide inside a Field of a list.
		if t.wire == wireBytes && isGroup(data[t.from:t.next]) {
			return true
		}
		i = t.next
	}
	return false
}

func TestSchemaNamesEveryField(t *testing.T) {
	file := schema(t)
	for name, want := range map[string]string{
		"Field":       "name=1 value=2",
		"Reply":       "status=1 headers=2 body=3 error=4",
		"Description": "abi=1 sdk=2 handles=3 patterns=4",
		"Event": "invocation=1 trigger=2 handler=3 method=4 path=5 query=6 params=7 headers=8 host=9 pattern=10 " +
			"deadline_unix_ms=11 scheme=12 proto=13 remote=14 body=15 attempt=16 version=17 app=18 function=19 depth=20 more=21",
		"FetchRequest":   "method=1 url=2 headers=3 body=4",
		"InvokeRequest":  "function=1 qualifier=2 async=3 payload=4",
		"QueueSend":      "to=1 messages=2",
		"QueueOutgoing":  "attributes=1 group=2 dedup=3 delay_ms=4 body=5",
		"QueueAttribute": "name=1 type=2 value=3",
		"QueueSent":      "messages=1",
		"QueueReceipt":   "id=1 sequence=2 duplicate=3",
		"QueueReceive":   "queue=1 max=2 visibility_ms=3 wait_ms=4",
		"QueueMessages":  "messages=1",
		"QueueMessage":   "id=1 sequence=2 attributes=3 group=4 dedup=5 sent_unix_ms=6 first_unix_ms=7 receives=8 source=9 receipt=10 visible_unix_ms=11 body=12",
		"QueueSettle":    "queue=1 delete=2 release=3",
		"QueueRelease":   "receipt=1 delay_ms=2",
		"QueueSettled":   "delete=1 release=2",
		"QueueName":      "queue=1",
		"QueueStats":     "messages=1 bytes=2 visible=3 in_flight=4 delayed=5 oldest_unix_ms=6",
		"KvGet":          "keys=1 consistency=2",
		"KvItems":        "items=1",
		"KvItem":         "key=1 value=2 revision=3 expires_unix_ms=4 size=5",
		"KvQuery":        "prefix=1 cursor=2 limit=3 keys_only=4 consistency=5",
		"KvPage":         "items=1 cursor=2 revision=3",
		"KvTxn":          "checks=1 ops=2",
		"KvCheck":        "kind=1 key=2 revision=3 value=4",
		"KvOp":           "kind=1 key=2 value=3 ttl_ms=4 delta=5 min=6 max=7 bounded=8 previous=9",
		"KvResult":       "revision=1 ops=2",
		"KvOpResult":     "found=1 integer=2 previous=3",
	} {
		var got []string
		fields := newOracle(t, file, name).Descriptor().Fields()
		for i := range fields.Len() {
			got = append(got, string(fields.Get(i).Name())+"="+strconv.Itoa(int(fields.Get(i).Number())))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("message %s of docs/ABI.md = %s, want %s", name, s, want)
		}
	}
}
