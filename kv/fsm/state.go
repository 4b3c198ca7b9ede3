// Package fsm is the store's state machine: what an entry of the replicated log does to the state, and what reads
// find in it. Apply is its centre. It is pure: no clock, no randomness, no goroutine, no storage. Its guarantee: the
// same entries on the same state give the same writes and the same outcomes, on every node and at every replay.
//
// So whatever it does with a command is part of the log's format. A change of that, down to a limit of package op,
// comes with a new feature level: see Level.
package fsm

// View is the state before an entry. Keys are ordered by their bytes.
type View interface {
	// Get answers a key's value, which the caller owns.
	Get(key []byte) (value []byte, found bool, err error)
	// Scan visits the keys that start with prefix and are not below from, ascending, until visit answers false.
	// What visit is given is valid until it returns.
	Scan(prefix, from []byte, visit func(key, value []byte) (more bool)) error
}

// Write is one key's change. The writes of an entry are applied together or not at all; no key comes twice.
type Write struct {
	Key    []byte
	Value  []byte
	Delete bool
	// Passing says that the key is written once, at its entry's index, and deleted by a later entry, those of lower
	// indices first: see Passed. It is no part of the state.
	Passing bool
}
