// Package abi holds the words that host and guests share: the event an invocation is given, the reply it
// answers, a module's description of itself, and the error codes.
//
// Event, Reply and Description cross the border between host and guest as protobuf messages (proto3 wire
// format; the schema is docs/ABI.md), so any language can read and write them, and unknown fields are skipped:
// a newer host and an older guest understand each other. The encoder and decoder here use the standard library
// only and no reflection, because they are linked into every guest.
//
// All functions of this package may be called concurrently. It imports nothing heavier than strconv, time and
// kv/op, so that a guest stays small.
package abi

import (
	"time"

	"github.com/sett-run/sett/kv/op"
)

// Version is the version of the binary interface between host and sett modules. A sett module exports
// it as the result of its function ExportVersion; the host refuses a module with another one.
const Version = 1

// Names of what a sett module exports and of the host module it imports from.
const (
	HostModule         = "sett"              // host functions' module name
	ExportVersion      = "sett_abi_version"  // func() i32: Version
	ExportHandle       = "sett_handle"       // func(eventLen i32) i32: 0 when a reply was written
	ExportDescribe     = "sett_describe"     // func(): writes the Description by host call; optional
	ExportWarmup       = "sett_warmup"       // func(): called before the image is taken, with no outside world; optional
	ExportRandom       = "sett_random"       // func(): draws random numbers and reports them by host call; optional
	ExportInitialize   = "_initialize"       // WASI reactor's constructor
	ExportStart        = "_start"            // WASI command's entry point
	ImportEventRead    = "event_read"        // func(ptr, len i32) i32: copies the event, answers its length
	ImportReplyWrite   = "reply_write"       // func(ptr, len i32): sets the reply
	ImportDescribe     = "description_write" // func(ptr, len i32): sets the description
	ImportBodyRead     = "body_read"         // func(ptr, len i32) i32: the next bytes of a body that the event has only the beginning of
	ImportReplyStart   = "reply_start"       // func(ptr, len i32): sends the reply's status and headers now
	ImportReplySend    = "reply_send"        // func(ptr, len i32): sends the next bytes of the reply's body
	ImportLogWrite     = "log_write"         // func(level, ptr, len i32): one log record, JSON
	ImportRandom       = "random_drawn"      // func(ptr, count i32): the 64-bit numbers drawn in sett_random, in order
	ImportRunMarker    = "run"               // func(): no effect; its import marks a command that calls sett.Main
	ImportKVGet        = "kv_get"            // func(ptr, len, to, room, timeout i32) i32: reads keys
	ImportKVList       = "kv_list"           // func(ptr, len, to, room, timeout i32) i32: reads a page of keys
	ImportKVCommit     = "kv_commit"         // func(ptr, len, to, room, timeout i32) i32: a transaction
	ImportFetch        = "fetch"             // func(ptr, len, to, room, timeout i32) i32: an HTTP request to the outside
	ImportInvoke       = "invoke"            // func(ptr, len, to, room, timeout i32) i32: another function of the app
	ImportQueueSend    = "queue_send"        // func(ptr, len, to, room, timeout i32) i32: sends messages to a queue
	ImportQueueReceive = "queue_receive"     // func(ptr, len, to, room, timeout i32) i32: takes messages from a queue
	ImportQueueSettle  = "queue_settle"      // func(ptr, len, to, room, timeout i32) i32: deletes and releases received messages
	ImportQueueStats   = "queue_stats"       // func(ptr, len, to, room, timeout i32) i32: counts what a queue holds
	ImportTopicPublish = "topic_publish"     // func(ptr, len, to, room, timeout i32) i32: publishes messages to a topic
	ImportEventPut     = "event_put"         // func(ptr, len, to, room, timeout i32) i32: puts events on the app's bus
	ImportObjectHead   = "object_head"       // func(ptr, len, to, room, timeout i32) i32: what is known of an object
	ImportObjectOpen   = "object_open"       // func(ptr, len, to, room, timeout i32) i32: opens an object as a stream
	ImportObjectRead   = "object_read"       // func(ptr, len, to, room, timeout i32) i32: reads on in an object
	ImportObjectCreate = "object_create"     // func(ptr, len, to, room, timeout i32) i32: begins a new object as a stream
	ImportObjectWrite  = "object_write"      // func(ptr, len, to, room, timeout i32) i32: writes on in a new object
	ImportObjectCommit = "object_commit"     // func(ptr, len, to, room, timeout i32) i32: makes a new object visible
	ImportObjectClose  = "object_close"      // func(ptr, len, to, room, timeout i32) i32: closes a stream
	ImportObjectList   = "object_list"       // func(ptr, len, to, room, timeout i32) i32: reads a page of objects
	ImportObjectCopy   = "object_copy"       // func(ptr, len, to, room, timeout i32) i32: copies an object
	ImportObjectDelete = "object_delete"     // func(ptr, len, to, room, timeout i32) i32: deletes objects
	ImportAnswerRead   = "answer_read"       // func(ptr, len i32) i32: copies what the last call had no room for
)

// DefaultBus is what an app's event bus is called.
const DefaultBus = "default"

// Trigger says what caused an invocation. The value is also the Sett-Trigger header and SETT_TRIGGER variable.
const (
	TriggerHTTP     = "http"     // a request on the data plane
	TriggerInvoke   = "invoke"   // sett invoke, the admin API's invoke, or another function
	TriggerSchedule = "schedule" // a tick of a schedule
	TriggerQueue    = "queue"    // a batch of a queue's messages
	TriggerTopic    = "topic"    // a message published to a topic
	TriggerEvent    = "event"    // an event on the app's bus
	TriggerUpload   = "upload"   // what became of an object in a bucket
	TriggerStream   = "stream"   // a batch of the changes of keys
	TriggerAsync    = "async"    // an asynchronous invocation
)

// Field is a name with a value: a header in the order received, or a path parameter.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Event is what an invocation is given. Strings and slices belong to the caller of Invoke and are valid until
// it returns; whoever keeps one longer copies it.
type Event struct {
	Invocation     string // the invocation's id: 26 characters, Crockford base32, sortable by time (ULID)
	Trigger        string // what caused it: TriggerHTTP, ...
	App            string
	Function       string
	Version        int    // number of the version that runs
	Handler        string // name of the Handle to run; empty for the module's HTTP handlers, a command or a component
	Attempt        int    // 1 for the first attempt
	DeadlineUnixMS int64  // when the invocation is ended, milliseconds since 1970; 0 means never
	Depth          int    // how many functions invoked one another until this one was; at most MaxDepth

	// The HTTP request, or for other triggers POST / with the trigger's payload as the body.
	Method  string // upper case
	Scheme  string // "http" or "https"
	Proto   string // "HTTP/1.1"
	Host    string // Host header, with port when sent
	Path    string // as sent: percent-encoded, always starts with /
	Query   string // raw, without the question mark
	Remote  string // client address, host:port
	Pattern string // route that matched, as deployed: "GET /users/{id}"
	Params  []Field
	Headers []Field // in order, duplicates kept, hop-by-hop headers dropped
	Body    []byte
	More    bool // Body is only the beginning, perhaps an empty one: the rest comes from Stream

	// Trailers are the headers behind the body, where all of it is here. They stay on the host's side: the wire form of an event
	// has none.
	Trailers []Field

	// Stream is the client, for guests that answer in pieces. Nil: nobody takes any, and the reply is the Result's. It stays
	// on the host's side: the wire form of an event has none.
	Stream Stream
}

// Reply is what an invocation answers.
type Reply struct {
	Status  int     // HTTP status, 200..599; 0 means 200
	Headers []Field // in order, duplicates kept
	Body    []byte
	Error   string // not empty: the handler failed with this message; triggers retry, HTTP answers 502

	// Trailers are the headers behind the body, in order, duplicates kept. They stay on the host's side: the wire form of a
	// reply has none.
	Trailers []Field
}

// Description is what a sett module says of itself after it is initialised.
type Description struct {
	ABI      int      `json:"abi"`                // Version it was built for
	SDK      string   `json:"sdk,omitempty"`      // "go/0.1.0"
	Handles  []string `json:"handles,omitempty"`  // names given to Handle
	Patterns []string `json:"patterns,omitempty"` // patterns given to HTTP
}

// Start says how long ago an instance's code was made ready. It is the Sett-Start header.
type Start string

const (
	Cold Start = "cold" // the invocation waited for loading, compiling or an image
	Warm Start = "warm" // the code was resident
)

// Result is a reply and what the invocation used and caused. The receiver owns all of it.
type Result struct {
	Reply
	Start       Start
	Took        time.Duration // wall time from the invocation's start to its reply
	MemoryBytes int64         // the guest's linear memory at its largest
	Fuel        uint64        // instructions counted, the same each time for the same work
	Node        string        // name of the node it ran on, when that is another than the one asked
	Streamed    bool          // the reply went by Event.Stream: Status and Headers are what was sent first, Body is empty
	// Effects are what a transactional invocation asks for: whoever called Dispatch commits them in one step with the end
	// of what caused it. Nil: there are none, or what was asked for has happened.
	Effects *op.Effects
}

// Line is one line a guest or the platform wrote during an invocation.
type Line struct {
	Time       time.Time `json:"time"`
	App        string    `json:"app"`
	Function   string    `json:"function"`
	Version    int       `json:"version"`
	Invocation string    `json:"invocation,omitempty"`
	Node       string    `json:"node,omitempty"`  // name of the node it was written on, where lines of several come together
	Stream     string    `json:"stream"`          // one of the Stream constants
	Level      string    `json:"level,omitempty"` // DEBUG INFO WARN ERROR; empty for stdout and stderr
	Message    string    `json:"message"`
	Attrs      string    `json:"attrs,omitempty"` // a JSON object of a structured record's attributes, or empty
}

// Streams of a Line.
const (
	StreamStdout   = "stdout"
	StreamStderr   = "stderr"
	StreamLog      = "log"      // a structured record of the guest's logger
	StreamPlatform = "platform" // written by the node: why an invocation failed, a deploy
)
