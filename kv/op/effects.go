package op

// Effects are what an invocation asks for. They happen when it has succeeded, all of them or none, and only if what it
// has read is still as it was.
type Effects struct {
	Checks  []Check // what it has read
	Ops     []Op    // what it changes, each key once
	Sends   []Sending
	Objects ObjectEffects // of the namespace ObjectsOf the app
}

// ObjectEffects are what is read and changed of the namespace of objects beside the app's own, each key once.
type ObjectEffects struct {
	Checks []Check
	Ops    []Op
}

// Sending is messages to a queue or, as publications, to a topic.
type Sending struct {
	Queue    string
	Topic    string // one of the two is set
	Messages []Outgoing
}

// Empty says whether nothing was asked for.
func (e *Effects) Empty() bool { return e == nil || len(e.Ops)+len(e.Sends)+len(e.Objects.Ops) == 0 }

// Ending is the end of what caused an invocation. The zero value is of one that nothing has to be told.
type Ending struct {
	Queue      string // that Settlement is of
	Settlement Settlement
	Record     Check  // a record of namespace System that must have its revision; no key: none
	Becomes    []byte // what it holds then; nil: it goes
}
