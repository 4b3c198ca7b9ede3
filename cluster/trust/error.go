package trust

import "errors"

// Errors of who the other end is, matched with errors.Is.
var (
	ErrNoCertificate = errors.New("this node has no certificate yet")
	ErrOtherNode     = errors.New("another node answers at this address")
	ErrRemoved       = errors.New("the node was removed from the cluster")
	ErrFingerprint   = errors.New("who answers there is not of the cluster that made the token")
)

// Errors of a token that is shown, matched with errors.Is. The last two are answered only to who knows the secret.
var (
	ErrUnknownToken = errors.New("the token is not known here")
	ErrExpiredToken = errors.New("the token has expired; ask for a new one with: sett cluster invite")
	ErrUsedToken    = errors.New("the token was used by another node; ask for a new one with: sett cluster invite")
)
