// Package op is the store's vocabulary: keys, revisions, operations, transactions and their errors. It is pure;
// rooms that ask for storage do so with these types and know nothing of the store behind them.
package op

import "errors"

// Limits of the store. Raising one makes replication entries larger and slower for everybody.
const (
	MaxKeyBytes   = 2 << 10 // a key, in bytes
	MaxValueBytes = 1 << 20 // a value, in bytes; larger things are objects
	MaxChecks     = 128     // checks in a transaction
	MaxOps        = 128     // operations in a transaction
	MaxTxnBytes   = 2 << 20 // keys and values of a transaction together
)

// Errors of the store. They are matched with errors.Is; the error that carries one names the key and the limit.
var (
	ErrNotFound = errors.New("key not found")
	ErrConflict = errors.New("a check failed") // the transaction changed nothing
	ErrTooLarge = errors.New("over a limit of the store")
	ErrInvalid  = errors.New("invalid key or operation")
	ErrClosed   = errors.New("store is closed")
)

// Kind says what an Op does.
type Kind uint8

const (
	Set    Kind = 1 // Key gets Value
	Delete Kind = 2 // Key goes; deleting what is absent is no error
)

// Op is one change.
type Op struct {
	Kind  Kind
	Key   string
	Value []byte
}

// Check is what must hold for a transaction to happen: Key has exactly this revision; 0 means it is absent.
type Check struct {
	Key      string
	Revision uint64
}

// Txn changes several keys of one namespace at once, or none. Keys are in the order given; a later op on the
// same key wins.
type Txn struct {
	Namespace string // an app's name, or System
	Checks    []Check
	Ops       []Op
}

// System is the namespace of the platform's own records; no app can have this name.
const System = "$sett"

// Item is a key with its value. Revision grows with every change anywhere in the store.
type Item struct {
	Key      string
	Value    []byte
	Revision uint64
}
