// Package registry holds the records of functions, versions and aliases and their transitions: deploy, roll
// back, alias, remove, retire. The transitions are pure; storage is passed in. Its main type is Registry, whose
// guarantee is that a change happens whole or not at all and that whoever reads a Snapshot sees one moment.
package registry

import (
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// Defaults and limits of a function. Retained: more keeps older versions reachable for rollback and their
// modules on disk; fewer frees disk sooner.
const (
	DefaultApp         = "default"
	DefaultMemoryMB    = 128
	MaxMemoryMB        = 4096 // wasm32's limit
	DefaultTimeout     = 30 * time.Second
	MaxTimeout         = 15 * time.Minute
	DefaultConcurrency = 100     // concurrent invocations a function, unless Reserved says otherwise
	DefaultBodyBytes   = 6 << 20 // request body, and reply body
	MaxEnvBytes        = 32 << 10
	MaxRoutes          = 128
	MaxNameBytes       = 63
	Retained           = 10 // versions kept besides those an alias names
	LiveAlias          = "live"
)

// Kind is what a module is, recognised from its bytes.
type Kind string

const (
	KindCommand   Kind = "command"   // WASI preview 1 program with _start: CGI
	KindSett      Kind = "sett"      // reactor that speaks sdk/abi
	KindComponent Kind = "component" // wasi:http component
)

// Payload is the shape in which a Handle behind a route gets an HTTP request.
type Payload string

const (
	PayloadRaw     Payload = ""        // the request body as it is; the result is the reply's body
	PayloadHTTPAPI Payload = "httpApi" // API Gateway HTTP API event, format 2.0
	PayloadHTTP    Payload = "http"    // API Gateway REST proxy event, format 1.0
)

// Effects is when what an invocation writes and sends happens.
type Effects string

// EffectsTransactional has the writes and messages of an invocation happen when it has succeeded, in one step with the end
// of what caused it, all or none.
const EffectsTransactional Effects = "transactional"

// Isolation is how a version's invocations are kept apart.
type Isolation string

const (
	// IsolationReset uses an instance again after its memory and globals are its image's again, byte for byte.
	// Settings leave it empty.
	IsolationReset Isolation = "reset"
	// IsolationStrict gives every invocation an instance of its own.
	IsolationStrict Isolation = "strict"
)

// Settings are what a person chooses for a version. The zero value means every default.
type Settings struct {
	Handler     string            `json:"handler,omitempty"` // name of a Handle; empty: HTTP handlers, command, component
	Routes      []Route           `json:"routes,omitempty"`  // empty: the module's own patterns, else the default path
	MemoryMB    int               `json:"memory_mb,omitempty"`
	TimeoutMS   int               `json:"timeout_ms,omitempty"`
	Env         map[string]string `json:"env,omitempty"`
	Provisioned int               `json:"provisioned,omitempty"` // instances kept ready
	Reserved    int               `json:"reserved,omitempty"`    // concurrent invocations at most; 0: DefaultConcurrency
	Effects     Effects           `json:"effects,omitempty"`     // EffectsTransactional, or empty: they happen at once
	Streaming   bool              `json:"streaming,omitempty"`   // large request bodies come, and a command's reply is sent, in pieces
	Isolation   Isolation         `json:"isolation,omitempty"`   // IsolationStrict, or empty: what the module allows
	Triggers    []Trigger         `json:"triggers,omitempty"`    // what invokes it besides HTTP
	Async       *Async            `json:"async,omitempty"`       // nil: every default
	Egress      []string          `json:"egress,omitempty"`      // hosts it may call: api.example.com, *.example.com; none by default
}

// Module is what is known of uploaded bytes.
type Module struct {
	Digest      string           `json:"digest"` // SHA-256, 64 hexadecimal digits, lower case
	SizeBytes   int64            `json:"size_bytes"`
	Kind        Kind             `json:"kind"`
	Description *abi.Description `json:"description,omitempty"` // of a sett module
	Interfaces  []string         `json:"interfaces,omitempty"`  // that a component imports and exports, with their versions
	// Isolation is what the version gets, the settings' wish included, and IsolationReason why it is not the plain reset of
	// an initialised instance; empty when it is.
	Isolation       Isolation `json:"isolation,omitempty"`
	IsolationReason string    `json:"isolation_reason,omitempty"`
}

// Version is a module with settings. It never changes once numbered.
type Version struct {
	App      string    `json:"app"`
	Function string    `json:"function"`
	Number   int       `json:"version"` // 1, 2, ...
	Created  time.Time `json:"created"`
	Module   Module    `json:"module"`
	Settings Settings  `json:"settings"` // defaults filled in
	// Seed is a random value from which the random numbers are drawn that a guest asks for while its image is
	// built, so that every node builds the same image and no two versions do. It never leaves the nodes.
	Seed string `json:"seed,omitempty"`
	// Holders are the ids of the nodes that had the module when it was deployed; others fetch it from there.
	Holders []string `json:"holders,omitempty"`
}

// Weight is a version's share of an alias: its weight over the sum of all weights.
type Weight struct {
	Version int `json:"version"`
	Weight  int `json:"weight"` // 1..100
}

// Function is a name with its versions and aliases. The alias live is what answers requests.
type Function struct {
	App      string              `json:"app"`
	Name     string              `json:"name"`
	Latest   int                 `json:"latest"`   // the highest number ever given
	Versions []Version           `json:"versions"` // ascending by number
	Aliases  map[string][]Weight `json:"aliases"`  // heaviest first, then by number
}

// Change is one function of a deployment.
type Change struct {
	Name     string
	Module   Module
	Settings Settings
	Seed     string
	Holders  []string
}

// Deployed is what a deployment did to one function.
type Deployed struct {
	Version
	Unchanged bool // same bytes and settings as what is live: no new version
}
