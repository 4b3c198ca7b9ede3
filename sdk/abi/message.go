package abi

import "unsafe"

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
	eventDepth      = 20
	eventMore       = 21
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
	b = appendInt(b, eventDepth, uint64(uint32(e.Depth)))
	b = appendBytes(b, eventApp, e.App)
	b = appendBytes(b, eventFunction, e.Function)
	if e.More {
		b = appendInt(b, eventMore, 1)
	}
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
	if err := ReadEvent(unsafe.Slice(unsafe.StringData(o.text), len(o.text)), e); err != nil {
		return err
	}
	e.Body = o.body
	return nil
}

// ReadEvent is DecodeEvent for a guest, which keeps no event: the strings are part of data too, which must not change
// while they are used.
func ReadEvent(data []byte, e *Event) error {
	if len(data) > MaxMessageBytes {
		return overLimit(MaxMessageBytes, "bytes")
	}
	s := unsafe.String(unsafe.SliceData(data), len(data))
	*e = Event{Params: e.Params[:0], Headers: e.Headers[:0]}
	var at [maxField]span
	body := 0 // bytes of its field
	for i := 0; i < len(s); {
		var field, from, next int
		if k := i + 1; k < len(s)-1 { // the quick way: number and length are short, as they almost always are
			tag := int(s[i])
			if tag >= 0x80 {
				tag += int(s[k]-1) << 7
				k++
			}
			n := int(s[k])
			if tag&7 == wireBytes && tag < maxField<<3 && n < 0x80 && n < len(s)-k {
				field, from, next = tag>>3, k+1, k+1+n
			}
		}
		if field == 0 {
			t, ok := nextToken(s, i)
			if !ok {
				return malformed()
			}
			if t.wire != wireBytes || t.field >= maxField {
				e.setNumber(t)
				i = t.next
				continue
			}
			field, from, next = t.field, t.from, t.next
		}
		switch field {
		case eventHeaders, eventParams:
			f, ok := decodeField(s[from:next])
			if !ok {
				return malformed()
			}
			list, usual := &e.Headers, usualHeaders
			if field == eventParams {
				list, usual = &e.Params, usualParams
			}
			if *list == nil {
				*list = make([]Field, 0, usual)
			}
			*list = append(*list, f)
			if len(e.Headers) > MaxHeaders {
				return overLimit(MaxHeaders, "headers")
			}
			if len(e.Params) > MaxParams {
				return overLimit(MaxParams, "path parameters")
			}
		default:
			if field == eventBody {
				body = next - i
			}
			at[field] = span{from, next}
		}
		i = next
	}
	if len(data)-body > MaxTextBytes {
		return overLimit(MaxTextBytes, "bytes besides its body")
	}
	if b := at[eventBody]; b.next > 0 {
		e.Body = data[b.from:b.next:b.next]
	}
	e.setTexts(s, &at)
	return nil
}

// span is where a field's bytes are; zero, which is nowhere, reads as the empty text.
type span struct{ from, next int }

func (a span) of(s string) string { return s[a.from:a.next] }

// How many headers and path parameters there is room for when the first is read into an event that had no lists.
const (
	usualHeaders = 16
	usualParams  = 4
)

// setTexts stores the fields that are text.
func (e *Event) setTexts(s string, at *[maxField]span) {
	e.Invocation, e.Trigger, e.Handler = at[eventInvocation].of(s), at[eventTrigger].of(s), at[eventHandler].of(s)
	e.App, e.Function, e.Pattern = at[eventApp].of(s), at[eventFunction].of(s), at[eventPattern].of(s)
	e.Method, e.Scheme, e.Proto = at[eventMethod].of(s), at[eventScheme].of(s), at[eventProto].of(s)
	e.Host, e.Path, e.Query = at[eventHost].of(s), at[eventPath].of(s), at[eventQuery].of(s)
	e.Remote = at[eventRemote].of(s)
}

// setNumber stores a field that is a number; an unknown one is skipped.
func (e *Event) setNumber(t token) {
	switch t.is() {
	case varint(eventDeadline):
		e.DeadlineUnixMS = int64(t.value)
	case varint(eventAttempt):
		e.Attempt = int(uint32(t.value))
	case varint(eventVersion):
		e.Version = int(uint32(t.value))
	case varint(eventDepth):
		e.Depth = int(uint32(t.value))
	case varint(eventMore):
		e.More = t.value != 0
	}
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
