package host

// CallError is an error that a host call answered.
type CallError struct {
	Message string
	Kind    error // of package op, or of package abi
}

// Error is the message.
func (e *CallError) Error() string { return e.Message }

// Unwrap answers what kind of error it is.
func (e *CallError) Unwrap() error { return e.Kind }
