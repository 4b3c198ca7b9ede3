package abi

// Field numbers of Event, as in docs/ABI.md. A number is never used for something else.
const (
	eventInvocation = 1
	eventTrigger    = 2
	eventHandler    = 3
	eventMethod     = 4
	eventPath       = 5
	eventQuery      = 6
	eventParams     = 7
	eventHeaders    = 8
	eventHost       = 9
	eventPattern    = 10
	eventDeadline   = 11
	eventScheme     = 12
	eventProto      = 13
	eventRemote     = 14
	eventBody       = 15
	eventAttempt    = 16
	eventVersion    = 17
	eventApp        = 18
	eventFunction   = 19
)

// Field numbers of Reply.
const (
	replyStatus  = 1
	replyHeaders = 2
	replyBody    = 3
	replyError   = 4
)

// Field numbers of Description.
const (
	descriptionABI      = 1
	descriptionSDK      = 2
	descriptionHandles  = 3
	descriptionPatterns = 4
)

// AppendEvent appends the wire form of e to dst and answers the longer slice. It allocates at most once, and
// not at all when dst has room.
func AppendEvent(dst []byte, e *Event) []byte {
	b := grow(dst, 256+len(e.Invocation)+len(e.Trigger)+len(e.Handler)+len(e.Method)+len(e.Path)+len(e.Query)+
		len(e.Host)+len(e.Pattern)+len(e.Scheme)+len(e.Proto)+len(e.Remote)+len(e.App)+len(e.Function)+
		boundFields(e.Params)+boundFields(e.Headers)+len(e.Body))
	b = appendBytes(b, eventInvocation, e.Invocation)
	b = appendBytes(b, eventTrigger, e.Trigger)
	b = appendBytes(b, eventHandler, e.Handler)
	b = appendBytes(b, eventMethod, e.Method)
	b = appendBytes(b, eventPath, e.Path)
	b = appendBytes(b, eventQuery, e.Query)
	b = appendFields(b, eventParams, e.Params)
	b = appendFields(b, eventHeaders, e.Headers)
	b = appendBytes(b, eventHost, e.Host)
	b = appendBytes(b, eventPattern, e.Pattern)
	b = appendInt(b, eventDeadline, uint64(e.DeadlineUnixMS))
	b = appendBytes(b, eventScheme, e.Scheme)
	b = appendBytes(b, eventProto, e.Proto)
	b = appendBytes(b, eventRemote, e.Remote)
	b = appendInt(b, eventAttempt, uint64(uint32(e.Attempt)))
	b = appendInt(b, eventVersion, uint64(uint32(e.Version)))
	b = appendBytes(b, eventApp, e.App)
	b = appendBytes(b, eventFunction, e.Function)
	// The body is last, so that the text before it decodes as one string.
	return appendBytes(b, eventBody, e.Body)
}

// DecodeEvent reads the wire form of an event into e, whose former content is lost; the capacity of its lists
// is used again. The Body is part of data; the strings are copies. After an error e's content is unspecified.
func DecodeEvent(data []byte, e *Event) error {
	o, err := scan(data, eventBody)
	if err != nil {
		return err
	}
	if o.count[eventHeaders] > MaxHeaders {
		return overLimit(MaxHeaders, "headers")
	}
	if o.count[eventParams] > MaxParams {
		return overLimit(MaxParams, "path parameters")
	}
	*e = Event{
		Params:  room(e.Params, o.count[eventParams]),
		Headers: room(e.Headers, o.count[eventHeaders]),
		Body:    o.body,
	}
	for i := 0; i < len(o.text); {
		t, ok := nextToken(o.text, i)
		if !ok || !e.set(t, o.text) {
			return malformed()
		}
		i = t.next
	}
	return nil
}

// set stores one field read from text; an unknown one is skipped.
func (e *Event) set(t token, text string) bool {
	switch t.wire {
	case wireVarint:
		switch t.field {
		case eventDeadline:
			e.DeadlineUnixMS = int64(t.value)
		case eventAttempt:
			e.Attempt = int(uint32(t.value))
		case eventVersion:
			e.Version = int(uint32(t.value))
		}
		return true
	case wireBytes:
	default:
		return true
	}
	value := text[t.from:t.next]
	switch t.field {
	case eventParams:
		f, ok := decodeField(value)
		e.Params = append(e.Params, f)
		return ok
	case eventHeaders:
		f, ok := decodeField(value)
		e.Headers = append(e.Headers, f)
		return ok
	}
	if s := e.text(t.field); s != nil {
		*s = value
	}
	return true
}

// text answers where the string field with this number lives, nil for none.
func (e *Event) text(field int) *string {
	switch field {
	case eventInvocation:
		return &e.Invocation
	case eventTrigger:
		return &e.Trigger
	case eventHandler:
		return &e.Handler
	case eventMethod:
		return &e.Method
	case eventPath:
		return &e.Path
	case eventQuery:
		return &e.Query
	case eventHost:
		return &e.Host
	case eventPattern:
		return &e.Pattern
	case eventScheme:
		return &e.Scheme
	case eventProto:
		return &e.Proto
	case eventRemote:
		return &e.Remote
	case eventApp:
		return &e.App
	case eventFunction:
		return &e.Function
	}
	return nil
}

// AppendReply appends the wire form of r to dst and answers the longer slice. It allocates at most once, and
// not at all when dst has room.
func AppendReply(dst []byte, r *Reply) []byte {
	b := grow(dst, 64+len(r.Error)+boundFields(r.Headers)+len(r.Body))
	b = appendInt(b, replyStatus, uint64(uint32(r.Status)))
	b = appendFields(b, replyHeaders, r.Headers)
	b = appendBytes(b, replyError, r.Error)
	return appendBytes(b, replyBody, r.Body)
}

// DecodeReply reads the wire form of a reply into r, whose former content is lost; the capacity of its Headers
// is used again. The Body is part of data; the strings are copies. After an error r's content is unspecified.
// Whether status and headers are valid HTTP is for the caller to check.
func DecodeReply(data []byte, r *Reply) error {
	o, err := scan(data, replyBody)
	if err != nil {
		return err
	}
	if o.count[replyHeaders] > MaxHeaders {
		return overLimit(MaxHeaders, "headers")
	}
	*r = Reply{Headers: room(r.Headers, o.count[replyHeaders]), Body: o.body}
	for i := 0; i < len(o.text); {
		t, ok := nextToken(o.text, i)
		if !ok {
			return malformed()
		}
		switch {
		case t.field == replyStatus && t.wire == wireVarint:
			r.Status = int(uint32(t.value))
		case t.field == replyError && t.wire == wireBytes:
			r.Error = o.text[t.from:t.next]
		case t.field == replyHeaders && t.wire == wireBytes:
			f, ok := decodeField(o.text[t.from:t.next])
			if !ok {
				return malformed()
			}
			r.Headers = append(r.Headers, f)
		}
		i = t.next
	}
	return nil
}

// AppendDescription appends the wire form of d to dst and answers the longer slice.
func AppendDescription(dst []byte, d *Description) []byte {
	b := appendInt(dst, descriptionABI, uint64(uint32(d.ABI)))
	b = appendBytes(b, descriptionSDK, d.SDK)
	for _, name := range d.Handles {
		b = appendItem(b, descriptionHandles, name)
	}
	for _, pattern := range d.Patterns {
		b = appendItem(b, descriptionPatterns, pattern)
	}
	return b
}

// DecodeDescription reads the wire form of a description into d, whose former content is lost. Nothing of data
// is kept. After an error d's content is unspecified.
func DecodeDescription(data []byte, d *Description) error {
	o, err := scan(data, -1)
	if err != nil {
		return err
	}
	if o.count[descriptionHandles] > MaxHandles {
		return overLimit(MaxHandles, "handles")
	}
	if o.count[descriptionPatterns] > MaxPatterns {
		return overLimit(MaxPatterns, "patterns")
	}
	*d = Description{}
	for i := 0; i < len(o.text); {
		t, ok := nextToken(o.text, i)
		if !ok {
			return malformed()
		}
		value := ""
		if t.wire == wireBytes {
			value = o.text[t.from:t.next]
		}
		switch {
		case t.field == descriptionABI && t.wire == wireVarint:
			d.ABI = int(uint32(t.value))
		case t.field == descriptionSDK && t.wire == wireBytes:
			d.SDK = value
		case t.field == descriptionHandles && t.wire == wireBytes:
			d.Handles = append(d.Handles, value)
		case t.field == descriptionPatterns && t.wire == wireBytes:
			d.Patterns = append(d.Patterns, value)
		}
		i = t.next
	}
	return nil
}

// grow answers b with capacity for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	longer := make([]byte, len(b), len(b)+n)
	copy(longer, b)
	return longer
}
