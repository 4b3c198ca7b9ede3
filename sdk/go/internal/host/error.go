package host

// StoreError is an error that a host's store answered.
type StoreError struct {
	Message string
	Kind    error // of package op, or of package abi
}

func (e *StoreError) Error() string { return e.Message }

// Unwrap answers what kind of error it is.
func (e *StoreError) Unwrap() error { return e.Kind }
