// Package peer carries what nodes ask of each other over node HTTP: modules, and invocations of versions that another
// node holds. Its main types are Server, which answers, Client, which asks, and Loader, which keeps a node's modules as
// the registry wants them. Connections come from outside and are authenticated by both sides already.
//
// Its guarantees: a module is stored with the bytes its digest names or not at all, whatever holders do; an invocation
// is run at most once for each Client.Invoke, and never forwarded a second time; and an error says whether it may be
// tried elsewhere.
package peer

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits and defaults. What no Config sets is here for good.
const (
	// DefaultMessageBytes bounds an event or a reply with its envelope: a body of registry.DefaultBodyBytes in base64
	// and abi.MaxTextBytes fit well. Higher lets one invocation hold more memory on both nodes.
	DefaultMessageBytes = 16 << 20
	// DefaultInvocations is how many forwarded invocations a node runs or reads at once; more are refused with
	// abi.TooManyRequests. Higher lets others' load take more of this node's memory.
	DefaultInvocations = 1024
	// MaxHolders is how many holders Hold names.
	MaxHolders = 256
	// MaxConnections to one node; further calls wait for one. Higher opens more in a burst.
	MaxConnections = 256
	// MaxIdleConnections to one node are kept. Higher saves handshakes after bursts and costs memory, 40 kB a piece.
	MaxIdleConnections = 32

	idleTimeout       = 90 * time.Second // of a connection at the side that dialed
	serverIdleTimeout = 2 * idleTimeout  // longer, so that a request seldom meets a connection that is being closed
	dialTimeout       = 5 * time.Second  // with the handshake
	stallTimeout      = 10 * time.Second // no byte of a module, or of a request, for so long: broken
	maxInvocationTime = registry.MaxTimeout
	maxHeaderBytes    = 16 << 10  // of an HTTP request or answer
	maxHoldBytes      = 128 << 10 // body of Hold
	maxProblemBytes   = 64 << 10  // an error's text
)

// Errors of Client.Invoke. All are coded abi.Unavailable.
var (
	// ErrNotHere says that the node does not hold the version, or is leaving: nothing was begun, another may be asked.
	ErrNotHere = errors.New("the node does not hold the version")
	// ErrUnreachable says that the request was certainly not processed: nothing was begun, another may be asked.
	ErrUnreachable = errors.New("the node cannot be reached")
	// ErrUnknown says that the node was asked and did not answer: the invocation may have run, or may yet.
	ErrUnknown = errors.New("it is not known whether the invocation ran")
)

// Node is a node to ask. ID is its 16 hexadecimal digits, Address the HOST:PORT of its TLS port.
type Node struct {
	ID      string `json:"id"`
	Address string `json:"address"`
}

// Modules keeps modules by their digest. Package runtime's Modules is one. Open's error is coded abi.NotFound for a
// module that is not there.
type Modules interface {
	Sink
	Open(digest string) (*os.File, error)
}

// Sink takes modules. Put stores what r holds when that has the digest, and else nothing.
type Sink interface {
	Has(digest string) bool
	Put(ctx context.Context, digest string, r io.Reader) (int64, error)
}

// Fetcher brings modules here. Client is one.
type Fetcher interface {
	Fetch(ctx context.Context, r FetchRequest, into Sink) error
}

// Invocation asks for a version to run once. The event is the caller's, and is not kept after the call.
type Invocation struct {
	App      string
	Function string
	Version  int // number
	Event    *abi.Event
}

// Invoker runs invocations on this node and never elsewhere. Its errors are coded; ErrNotHere says that the node does not
// hold the version, abi.TooManyRequests that it has no room: both before anything began. It keeps nothing of the event.
// The context ends when the caller's deadline is over or the caller went away.
type Invoker interface {
	Invoke(ctx context.Context, i Invocation) (*abi.Result, error)
}

// coded gives the error of a call that its context ended the code that says how, unless it has one.
func coded(err error) error {
	var already *abi.Error
	switch {
	case errors.As(err, &already):
	case errors.Is(err, context.DeadlineExceeded):
		return abi.WithCode(abi.Timeout, err)
	case errors.Is(err, context.Canceled):
		return abi.WithCode(abi.Unavailable, err)
	}
	return err
}

// isDigest says whether s is a SHA-256 as 64 lower-case hexadecimal digits, and so may stand in a path.
func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
