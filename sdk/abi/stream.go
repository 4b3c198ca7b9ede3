package abi

// Stream is the client of an invocation, for a guest that reads its request or sends its reply in pieces. Read may be
// called beside the other methods, which are called one at a time. All of them wait for the client, no longer than the
// invocation may take and the node's limits for slow clients allow, and none is called once Invoke has returned.
//
// An error says that the client is gone, too slow or over a limit: the invocation should end, since nobody gets what it
// answers. It is coded; its text is for the function's log.
type Stream interface {
	// Read answers what follows Event.Body of the request's body, io.EOF at its end: at once unless Event.More.
	Read(b []byte) (int, error)
	// Trailers are the headers behind the request's body, once Read has answered io.EOF, and none before. They are valid as long
	// as the event, and nobody changes them.
	Trailers() []Field
	// Start sends the status and the headers of r, which is not kept, and what r says of where and how it runs, but no body. A
	// second call is an error, and so is what HTTP cannot carry, coded FunctionFailed: then nothing was sent.
	Start(r *Result) error
	// Write sends the next bytes of the reply's body, after Start. They are on their way when it returns.
	Write(b []byte) (int, error)
	// Stop has a Read that waits, and every later one, answer an error. It may be called beside all of them.
	Stop()
}
