// Package op is the store's vocabulary: keys, revisions, operations, transactions, what reads and changes look
// like, and the errors of all of it. It is pure; rooms that ask for storage do so with these types and know nothing
// of the store behind them. Guests link it, so it imports nothing heavy.
package op

import (
	"strings"
	"time"
)

// Limits of the store. Raising one makes replication entries larger and slower for everybody.
const (
	MaxKeyBytes   = 2 << 10 // a key, in bytes
	MaxValueBytes = 1 << 20 // a value, in bytes; larger things are objects
	MaxChecks     = 128     // checks in a transaction
	MaxOps        = 128     // operations in a transaction
	MaxTxnBytes   = 2 << 20 // keys and values of a transaction together, checks included; and again those that its ops write

	MaxPreviousBytes  = 1 << 20 // values a transaction answers because of Op.Previous
	MaxNamespaceBytes = 63      // a namespace's name
	MaxCursorBytes    = 4 << 10 // a page's cursor

	MaxGets       = 128     // keys read at once
	MaxPageKeys   = 1000    // keys in a page; also what Query.Limit 0 means
	MaxPageBytes  = 4 << 20 // keys and values in a page, which holds at least one key, and values read at once
	MaxDeleteKeys = 1000    // keys one DeletePrefix removes, its result says how many; and all of a transaction together

	MinTTL = time.Millisecond // shorter lives are refused, 0 meaning none
	MaxTTL = 10 * 365 * 24 * time.Hour
)

// System is the namespace of the platform's own records; no app can have this name.
const System = "$sett"

// objectsSuffix follows an app's name in the name of the namespace of its objects.
const objectsSuffix = "$objects"

// ObjectsOf is the namespace of the records of an app's objects. It is not the app's own, so that no listing, no
// deletion by prefix and no watch of its keys ever meets them; and no app can have this name.
func ObjectsOf(app string) string { return app + objectsSuffix }

// IsObjects says whether a namespace is one that ObjectsOf answers.
func IsObjects(namespace string) bool { return strings.HasSuffix(namespace, objectsSuffix) }

// Kind says what an Op does.
type Kind uint8

// Kinds of operation. Their numbers are in the replicated log and never change.
const (
	Set          Kind = 1 // Key gets Value, and TTL: 0 makes it live until it is deleted
	Delete       Kind = 2 // Key goes; deleting what is absent is no error
	Incr         Kind = 3 // Key's value, decimal text, grows by Delta; absent counts as 0
	Append       Kind = 4 // Key's value is lengthened by Value; absent counts as empty
	Touch        Kind = 5 // Key gets TTL, and a new revision; 0 makes it live on. Absent: nothing happens
	DeletePrefix Kind = 6 // the first MaxDeleteKeys keys that start with Key go; an empty Key is every key
)

// Op is one change.
type Op struct {
	Kind  Kind
	Key   string
	Value []byte // of Set and Append

	// TTL is how long the key lives, for Set and Touch. For Incr and Append it is that of a key they make; one
	// that is there keeps its own, so that a counter with a TTL counts within a fixed window.
	TTL time.Duration

	Delta    int64 // of Incr
	Min, Max int64 // bounds of Incr's result, when Bounded; outside of them the transaction fails with ErrRange
	Bounded  bool

	// Previous asks for the value the key had before, for Set, Delete and Append.
	Previous bool
}

// CheckKind says what a Check compares.
type CheckKind uint8

// Kinds of check. Their numbers are in the replicated log and never change.
const (
	HasRevision CheckKind = 0 // Key has exactly Revision; 0 means that it is absent
	HasValue    CheckKind = 1 // Key is there and has exactly Value
	IsPresent   CheckKind = 2 // Key is there
)

// Check is what must hold for a transaction to happen.
type Check struct {
	Kind     CheckKind
	Key      string
	Revision uint64
	Value    []byte
}

// Txn changes several keys of one namespace at once, or none. Ops are done in the order given, each on what the ones
// before it left. A key that has expired is absent to checks and ops alike.
type Txn struct {
	Namespace string // an app's name, that of its objects, or System
	Checks    []Check
	Ops       []Op
}

// Result is what a transaction did. Every key it changed has Revision now; a transaction that changed nothing answers
// one that is not below the newest there was.
type Result struct {
	Revision uint64
	Ops      []OpResult // one for each op
}

// OpResult is what one op did.
type OpResult struct {
	Found    bool   // the key was there
	Integer  int64  // Incr: the new value. Append: the new length in bytes. DeletePrefix: how many keys went
	Previous []byte // the value before, when asked for and Found
}

// Item is a key with its value.
type Item struct {
	Key      string
	Value    []byte
	Revision uint64    // of the transaction that wrote it; grows with every change anywhere in the store. 0: absent
	Expires  time.Time // zero: never
}

// Consistency says what a read may see.
type Consistency uint8

const (
	// Session sees at least everything up to Read.Seen, so that whoever passes on what it has seen reads its own
	// writes and never goes back in time.
	Session Consistency = iota
	// Local sees what this node has, however old.
	Local
	// Strong sees every write that was acknowledged anywhere before the read began.
	Strong
)

// Read says what a read may see. The zero value is a session that has seen nothing.
type Read struct {
	Consistency Consistency
	Seen        uint64 // the highest revision the session has seen in results, items and pages
}

// Query asks for keys in ascending order of their bytes.
type Query struct {
	Prefix   string
	From     string // with or without a cursor: no key below this one
	Cursor   string // of the page before; empty: from the first key. It goes on at the same moment of the store
	Limit    int    // keys in the page; 0 and more than MaxPageKeys mean MaxPageKeys
	KeysOnly bool   // leave values out; Size is still set
	Read     Read   // of the first page; later ones see what it saw
}

// Page is a part of the keys asked for, as they were at one moment.
type Page struct {
	Items    []Listed
	Cursor   string // for the next page; empty: there is none
	Revision uint64 // of the moment
}

// Listed is an item of a page.
type Listed struct {
	Item
	Size int // of the value, in bytes
}

// Change is one key's change, as a watch sees it. The changes of a transaction share its revision, come in ascending
// order of their keys, one for each key that is there afterwards or was before, and are never delivered in part.
type Change struct {
	Key      string
	Value    []byte // after the change
	Revision uint64
	Expires  time.Time // zero: never
	Deleted  bool      // by an op or because it expired
	Time     time.Time // of the transaction

	// What follows a replicated store knows from feature level 3 on.
	Existed          bool   // the key was there before
	Expired          bool   // it is Deleted because its time had come
	Previous         []byte // the value before; nil: there was none, or it is not kept
	PreviousRevision uint64 // that Previous had
}

// Follow asks for changes.
type Follow struct {
	Prefix string        // of the keys
	After  uint64        // a revision: only what came later. 0 is before the first change
	Wait   time.Duration // for a change, when there is none
}

// Changes are some of those that were asked for, oldest first and by whole transactions.
type Changes struct {
	Changes []Change
	Next    uint64 // all changes up to this revision were looked at: Follow.After of the next call
	Newest  uint64 // the newest revision there was
}

// Quota limits a namespace; 0 means no limit. Writes that would pass it fail with ErrQuota; those that make the
// namespace smaller always work.
type Quota struct {
	Keys  int64
	Bytes int64 // keys and values
}

// Usage is what a namespace holds.
type Usage struct {
	Keys  int64
	Bytes int64 // keys and values
	Quota Quota
}
