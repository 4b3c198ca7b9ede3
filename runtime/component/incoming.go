package component

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// typesName is the interface of wasi:http's types.
const typesName = "wasi:http/types@0.2"

// incomingFunctions are those by which a request is read and answered. Source: WASI 0.2, wit/deps/http/types.wit.
func incomingFunctions() []function {
	return slices.Concat(group(typesName,
		function{"[method]incoming-request.method", "ii:", true, func(c *Call, p []uint64) {
			c.putMethod(c.at(p[1], 4), use[*incomingRequest](c, p[0]).event.Method)
		}},
		function{"[method]incoming-request.path-with-query", "ii:", true, func(c *Call, p []uint64) {
			c.putSome(c.at(p[1], 4), pathWithQuery(use[*incomingRequest](c, p[0]).event))
		}},
		function{"[method]incoming-request.scheme", "ii:", true, func(c *Call, p []uint64) {
			c.putScheme(c.at(p[1], 4), cmp.Or(use[*incomingRequest](c, p[0]).event.Scheme, "http"))
		}},
		function{"[method]incoming-request.authority", "ii:", true, func(c *Call, p []uint64) {
			c.putSome(c.at(p[1], 4), cmp.Or(use[*incomingRequest](c, p[0]).event.Host, noHost))
		}},
		function{"[method]incoming-request.headers", "i:i", false, func(c *Call, p []uint64) {
			p[0] = uint64(c.own(c.received(use[*incomingRequest](c, p[0]).event.Headers), uint32(p[0])))
		}},
		function{"[method]incoming-request.consume", "ii:", false, func(c *Call, p []uint64) {
			r := use[*incomingRequest](c, p[0])
			c.consume(p[1], &r.consumed, c.eventBody(r.event))
		}},
		function{"[method]incoming-body.stream", "ii:", false, bodyStream},
		function{"[static]incoming-body.finish", "i:i", false, func(c *Call, p []uint64) {
			b := take[*incomingBody](c, p[0])
			b.drop(c)
			p[0] = uint64(c.own(b.finish(c), 0))
		}},
		function{"[method]future-trailers.subscribe", "i:i", false, func(c *Call, p []uint64) {
			t := use[*futureTrailers](c, p[0])
			p[0] = uint64(c.own(&pollable{ready: t.ready}, uint32(p[0])))
		}},
		function{"[method]future-trailers.get", "ii:", false, trailersGet},
		function{"[static]response-outparam.set", "iiiiliiii:", false, outparamSet},
		function{"[method]response-outparam.send-informational", "iiii:", true, sendInformational},
		function{"[constructor]outgoing-response", "i:i", false, func(c *Call, p []uint64) {
			r := &outgoingResponse{status: 200, fields: take[*fields](c, p[0])}
			r.body.expect(r.fields)
			p[0] = uint64(c.own(r, 0))
		}},
		function{"[method]outgoing-response.status-code", "i:i", false, func(c *Call, p []uint64) {
			p[0] = uint64(use[*outgoingResponse](c, p[0]).status)
		}},
		function{"[method]outgoing-response.set-status-code", "ii:i", false, setStatus},
		function{"[method]outgoing-response.headers", "i:i", false, func(c *Call, p []uint64) {
			p[0] = uint64(c.own(use[*outgoingResponse](c, p[0]).fields.frozen(), uint32(p[0])))
		}},
		function{"[method]outgoing-response.body", "ii:", false, func(c *Call, p []uint64) {
			r := use[*outgoingResponse](c, p[0])
			c.openBody(p[1], &r.body, c.MaxReply)
		}},
		function{"http-error-code", "ii:", true, func(c *Call, p []uint64) {
			e, known := bodyError(use[*streamError](c, p[0]).err)
			at := c.at(p[1], 8)
			if known {
				c.putError(at+8, e)
			}
			c.put8(at, byte(bit(known)))
		}},
	), []function{
		dropped[*incomingRequest](), dropped[*incomingBody](), dropped[*futureTrailers](), dropped[*responseOutparam](),
		dropped[*outgoingResponse](),
	})
}

// noHost is the authority of an event that was no HTTP request. Components in JavaScript make a URL of it, and trap if that
// cannot be.
const noHost = "localhost"

// incomingRequest is the request of an event.
type incomingRequest struct {
	nothing
	event    *abi.Event
	consumed bool
}

func (*incomingRequest) resource() string { return "incoming-request" }

func pathWithQuery(e *abi.Event) string {
	if e.Query == "" {
		return e.Path
	}
	return e.Path + "?" + e.Query
}

// incomingBody is a body that is read.
type incomingBody struct {
	from     source
	trailers func() []abi.Field // what follows the end of from
	opened   bool
	held     int // bytes that count as held until it is dropped
}

func (*incomingBody) resource() string { return "incoming-body" }
func (b *incomingBody) drop(c *Call)   { c.free(b.held) }

// eventBody is the body of an event.
func (c *Call) eventBody(e *abi.Event) *incomingBody {
	if c.Body == nil {
		return &incomingBody{from: &buffer{e.Body}, trailers: func() []abi.Field { return e.Trailers }}
	}
	c.body = &pieceSource{from: c.Body, wake: c.wake, rest: e.Body}
	return &incomingBody{from: c.body, trailers: c.Body.Trailers}
}

// consume writes the result of a function that gives a body away, once.
func (c *Call) consume(ret uint64, consumed *bool, body *incomingBody) {
	at := c.at(ret, 4)
	if *consumed {
		c.put8(at, 1)
		return
	}
	*consumed = true
	c.put8(at, 0)
	c.put32(at+4, c.own(body, 0))
}

func bodyStream(c *Call, p []uint64) {
	b := use[*incomingBody](c, p[0])
	at := c.at(p[1], 4)
	if b.opened {
		c.put8(at, 1)
		return
	}
	b.opened = true
	c.put8(at, 0)
	c.put32(at+4, c.own(&inputStream{source: b.from}, uint32(p[0])))
}

// responseOutparam is where a response is set. There is one.
type responseOutparam struct{ nothing }

func (*responseOutparam) resource() string { return "response-outparam" }

// outcome is what a response was set to: a response, or an error.
type outcome struct {
	response *outgoingResponse
	started  bool // it is sent in pieces, at least its beginning
	err      string
}

func outparamSet(c *Call, p []uint64) {
	take[*responseOutparam](c, p[0])
	if api.DecodeU32(p[1]) == 0 {
		r := take[*outgoingResponse](c, p[2])
		c.free(r.fields.size)
		c.reply = &outcome{response: r}
		return
	}
	number := api.DecodeU32(p[2])
	o := &outcome{err: "error code " + strconv.Itoa(int(number))}
	if int(number) < len(errorCodes()) {
		o.err = errorCodes()[number]
	}
	if number == codeInternal && api.DecodeU32(p[3]) == 1 {
		o.err += ": " + c.text(p[4], p[5])
	}
	c.reply = o
}

// sendInformational refuses: nothing is sent before the response.
func sendInformational(c *Call, p []uint64) {
	use[*responseOutparam](c, p[0])
	take[*fields](c, p[2]).drop(c)
	at := c.at(p[3], 8)
	c.putError(at+8, httpError{code: codeInternal, text: "informational responses are not sent"})
	c.put8(at, 1)
}

// outgoingResponse is a response that is made.
type outgoingResponse struct {
	status int
	fields *fields
	body   outgoingBody
}

func (*outgoingResponse) resource() string { return "outgoing-response" }
func (r *outgoingResponse) drop(c *Call)   { r.fields.drop(c) }

// frozen answers fields that a message has, for its guest to read.
func (f *fields) frozen() *fields { return &fields{list: f.list, immutable: true} }

func setStatus(c *Call, p []uint64) {
	r, status := use[*outgoingResponse](c, p[0]), api.DecodeU32(p[1])
	if status < 100 || status > 599 {
		p[0] = 1
		return
	}
	r.status, p[0] = int(status), 0
}

// putSome writes an optional string that is there.
func (c *Call) putSome(at uint32, s string) {
	c.putText(at+4, s)
	c.put8(at, 1)
}

// methods are wasi:http's, in the order of their numbers.
func methods() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
}

func (c *Call) putMethod(at uint32, method string) {
	i := slices.Index(methods(), method)
	if i < 0 {
		i = len(methods())
		c.putText(at+4, method)
	}
	c.put8(at, byte(i))
}

// putScheme writes an optional scheme that is there.
func (c *Call) putScheme(at uint32, scheme string) {
	n := byte(2)
	switch strings.ToLower(scheme) {
	case "http":
		n = 0
	case "https":
		n = 1
	default:
		c.putText(at+8, scheme)
	}
	c.put8(at, 1)
	c.put8(at+4, n)
}

// Holds says whether the guest holds handles.
func (c *Call) Holds() bool { return len(c.handles.entries)-1 > len(c.handles.free) }

// Begin readies the call for an event, and answers the parameters of the function that handles it. The event must stay
// as it is until Close.
func (c *Call) Begin(e *abi.Event) []uint64 {
	c.wake, c.toHead = make(chan struct{}, 1), e.Method == "HEAD"
	request := c.own(&incomingRequest{event: e}, 0)
	return []uint64{uint64(request), uint64(c.own(new(responseOutparam), 0))}
}

// After is called before what runs behind the handler, which may call nothing.
func (c *Call) After() { c.inside = true }

// Reply fills in what the component answered, when its handler has returned, or sends the end of it where the beginning was
// sent; the error says why it is no reply, or is of Pieces.
func (c *Call) Reply(reply *abi.Reply) error {
	switch o := c.reply; {
	case o == nil:
		return fmt.Errorf("the component set no response")
	case o.err != "":
		return fmt.Errorf("the component answered with an error: %s", o.err)
	case o.response.body.failed != "":
		return fmt.Errorf("the response's body: %s", o.response.body.failed)
	case o.response.body.opened && !o.response.body.finished:
		return fmt.Errorf("the response's body was not finished")
	case o.started:
		reply.Trailers = o.response.body.trailing()
		return c.sendReply()
	default:
		reply.Trailers = o.response.body.trailing()
		reply.Status, reply.Headers, reply.Body = o.response.status, o.response.fields.list, o.response.body.b
		return nil
	}
}
