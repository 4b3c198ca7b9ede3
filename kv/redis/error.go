package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sett-run/sett/kv/op"
)

// replyError is an error as a client sees it. Its first word is its kind, by which clients tell what to do.
type replyError string

func (e replyError) Error() string { return string(e) }

// Errors in Redis's words.
const (
	errSyntax       replyError = "ERR syntax error"
	errInteger      replyError = "ERR value is not an integer or out of range"
	errOverflow     replyError = "ERR increment or decrement would overflow"
	errDecrOverflow replyError = "ERR decrement would overflow"
	errStringSize   replyError = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	errDBIndex      replyError = "ERR DB index is out of range"
	errCursor       replyError = "ERR invalid cursor"
	errNoAuth       replyError = "NOAUTH Authentication required."
	errWrongPass    replyError = "WRONGPASS invalid username-password pair or user is disabled."
	errNoPassword   replyError = "ERR AUTH <password> called without any password configured for the default user. " +
		"Are you sure your configuration is correct?"
	errNoProto      replyError = "NOPROTO unsupported protocol version"
	errProtoVersion replyError = "ERR Protocol version is not an integer or out of range"
	errHelloNoAuth  replyError = "NOAUTH HELLO must be called with the client already authenticated, otherwise the " +
		"HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol " +
		"version at the same time"
	errClientName   replyError = "ERR Client names cannot contain spaces, newlines or special characters."
	errNested       replyError = "ERR MULTI calls can not be nested"
	errExecAlone    replyError = "ERR EXEC without MULTI"
	errDiscardAlone replyError = "ERR DISCARD without MULTI"
	errWatchInside  replyError = "ERR WATCH inside MULTI is not allowed"
	errNotInside    replyError = "ERR Command not allowed inside a transaction"
	errExecAbort    replyError = "EXECABORT Transaction discarded because of previous errors."
	errExpireXX     replyError = "ERR NX and XX, GT or LT options at the same time are not compatible"
	errExpireGTLT   replyError = "ERR GT and LT options at the same time are not compatible"
	errInternal     replyError = "ERR internal error"
)

// Errors that Redis does not have. TRYAGAIN is said only when nothing was changed: clients may repeat the command by
// themselves.
const (
	errEmptyKey     replyError = "ERR the empty key is not allowed"
	errQuota        replyError = "OOM command not allowed: the app is over its quota"
	errUnavailable  replyError = "TRYAGAIN the store cannot be reached; nothing was changed"
	errUncertain    replyError = "ERR the outcome is not known: the command may yet take effect"
	errContended    replyError = "TRYAGAIN others changed the keys each time; nothing was changed"
	errScanTooOld   replyError = "ERR invalid cursor: the scan is too old or another node's, begin anew"
	errReplySize    replyError = "ERR the reply is over the limit of 32 MiB"
	errCommandSize  replyError = "ERR the command is over the limit of 4 MiB"
	errAuthNow      replyError = "TRYAGAIN the token cannot be checked now"
	errTooManyWatch replyError = "ERR more than 128 watched keys"
)

var (
	errKeySize   = replyError(fmt.Sprintf("ERR key is longer than %d bytes", op.MaxKeyBytes))
	errQueueSize = replyError(fmt.Sprintf("ERR more than %d commands, %d arguments or %d bytes inside MULTI", MaxQueued, MaxArgs, MaxQueuedBytes))
)

func invalidExpire(command string) replyError {
	return replyError("ERR invalid expire time in '" + command + "' command")
}

func wrongArity(command string) replyError {
	return replyError("ERR wrong number of arguments for '" + command + "' command")
}

// describeRead says what the client is told about an error of a read. What is not expected is for the log, too.
func describeRead(err error) (told replyError, expected bool) {
	told, expected = describe(err)
	if told == errUncertain {
		told = errUnavailable
	}
	return told, expected
}

// describe says the same about a transaction.
func describe(err error) (told replyError, expected bool) {
	var e replyError
	switch {
	case errors.As(err, &e):
		return e, true
	case errors.Is(err, op.ErrNotInteger):
		return errInteger, true
	case errors.Is(err, op.ErrRange):
		return errOverflow, true
	case errors.Is(err, op.ErrQuota):
		return errQuota, true
	case errors.Is(err, op.ErrCompacted):
		return errScanTooOld, true
	case errors.Is(err, op.ErrUnavailable), errors.Is(err, op.ErrClosed):
		return errUnavailable, true
	case errors.Is(err, op.ErrUnknown), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errUncertain, true
	case errors.Is(err, op.ErrTooLarge), errors.Is(err, op.ErrInvalid):
		return replyError("ERR " + strings.ToValidUTF8(err.Error(), "?")), true
	}
	return errInternal, false
}

// ownFault says that an error is that of one op, so that others beside it in a transaction could have been done.
func ownFault(err error) bool {
	return errors.Is(err, op.ErrNotInteger) || errors.Is(err, op.ErrRange) || errors.Is(err, op.ErrTooLarge) ||
		errors.Is(err, op.ErrQuota) || errors.Is(err, op.ErrInvalid)
}
