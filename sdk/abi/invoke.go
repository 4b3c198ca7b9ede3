package abi

// Limits of invoking another function.
const (
	// MaxPayloadBytes is the longest payload. Raising it lets an invocation hold more of the host's memory.
	MaxPayloadBytes = 6 << 20
	// MaxAsyncPayloadBytes is the longest payload of an asynchronous invocation, which waits in a queue: a message's limit.
	MaxAsyncPayloadBytes = 256 << 10
	// MaxInvokeNameBytes is the longest name of a function, and of an alias or a version; what is longer names none.
	MaxInvokeNameBytes = 255
	// MaxDepth is how many functions may have invoked one another. Raising it lets a loop of them cost more before it ends.
	MaxDepth = 16
)

// InvokeRequest asks for another function of the same app.
type InvokeRequest struct {
	Function  string
	Qualifier string // alias, or a version as 4 or v4; empty: the alias live
	Async     bool   // it is to be run later, and the answer says only that it will be
	Payload   []byte
}

// Field numbers of InvokeRequest.
const (
	invokeFunction  = 1
	invokeQualifier = 2
	invokeAsync     = 3
	invokePayload   = 4
)

// AppendInvoke appends the wire form of r to dst and answers the longer slice. It allocates at most once.
func AppendInvoke(dst []byte, r *InvokeRequest) []byte {
	b := grow(dst, 32+len(r.Function)+len(r.Qualifier)+len(r.Payload))
	b = appendBytes(b, invokeFunction, r.Function)
	b = appendBytes(b, invokeQualifier, r.Qualifier)
	b = appendFlag(b, invokeAsync, r.Async)
	return appendBytes(b, invokePayload, r.Payload)
}

// DecodeInvoke reads the wire form of an invocation and holds its payload to its limit. Strings are copies, the Payload
// is part of data.
func DecodeInvoke(data []byte) (r InvokeRequest, err error) {
	err = eachWithin(MaxMessageBytes, data, func(t token) error {
		names := t.is() == lengthy(invokeFunction) || t.is() == lengthy(invokeQualifier)
		if names && t.next-t.from > MaxInvokeNameBytes {
			return overLimit(MaxInvokeNameBytes, "bytes of a name")
		}
		switch t.is() {
		case lengthy(invokeFunction):
			r.Function = string(data[t.from:t.next])
		case lengthy(invokeQualifier):
			r.Qualifier = string(data[t.from:t.next])
		case varint(invokeAsync):
			r.Async = t.value != 0
		case lengthy(invokePayload):
			r.Payload = data[t.from:t.next:t.next]
		}
		return nil
	})
	switch {
	case err != nil:
	case len(r.Payload) > MaxPayloadBytes:
		err = overLimit(MaxPayloadBytes, "bytes of payload")
	case r.Async && len(r.Payload) > MaxAsyncPayloadBytes:
		err = overLimit(MaxAsyncPayloadBytes, "bytes of payload, when it is asynchronous")
	}
	return r, err
}
