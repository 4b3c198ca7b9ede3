package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// MaxRecordBytes is the longest record: what a queue takes. From one that is longer the reply is left out, then the event
// is cut and becomes text.
const MaxRecordBytes = registry.MaxMessageBytes - 1024 // room for attributes

// outcomeRecord is what a destination is sent. Source: AWS Lambda Developer Guide, "Adding a destination", example
// "Invocation record".
type outcomeRecord struct {
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	RequestContext  requestContext   `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *responseContext `json:"responseContext,omitempty"` // nil: the function never ran
	ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
}

type requestContext struct {
	RequestID              string `json:"requestId"`
	FunctionARN            string `json:"functionArn"`
	Condition              string `json:"condition"`
	ApproximateInvokeCount int    `json:"approximateInvokeCount"`
}

type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

// timestampFormat is that of AWS's records and events.
const timestampFormat = "2006-01-02T15:04:05.000Z"

// encodeRecord is the record of an invocation that has ended, at most MaxRecordBytes.
func (d *Delivery) encodeRecord(i *Invocation, o Outcome) ([]byte, error) {
	qualifier := i.Qualifier
	if qualifier == "" {
		qualifier = "$LATEST"
	}
	r := outcomeRecord{
		Version: "1.0", Timestamp: time.Now().UTC().Format(timestampFormat),
		RequestContext: requestContext{
			RequestID: i.ID, Condition: o.Condition, ApproximateInvokeCount: i.Failed,
			FunctionARN: fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s:%s", d.config.Region, account, i.Function, qualifier),
		},
		RequestPayload: asJSON(i.Payload),
	}
	if o.Verdict == Succeeded {
		r.RequestContext.ApproximateInvokeCount++
	}
	if o.Version != 0 {
		r.ResponseContext = &responseContext{StatusCode: 200, ExecutedVersion: fmt.Sprint(o.Version)}
		r.ResponsePayload = asJSON(o.Result.Body)
	}
	if o.Err != nil && r.ResponseContext != nil {
		r.ResponseContext.FunctionError = "Unhandled"
		reason := map[string]string{"errorMessage": o.Err.Error(), "errorType": string(abi.CodeOf(o.Err))}
		r.ResponsePayload, _ = json.Marshal(reason) // strings always can
	}
	b, err := json.Marshal(r)
	if len(b) > MaxRecordBytes {
		r.ResponsePayload = nil
		b, err = json.Marshal(r)
	}
	if len(b) > MaxRecordBytes {
		r.RequestPayload = nil
		if b, err = json.Marshal(r); err != nil {
			return nil, err
		}
		// A byte of the text takes six at most when it is quoted.
		keep := min(len(i.Payload), (MaxRecordBytes-len(b))/6)
		r.RequestPayload, _ = json.Marshal(strings.ToValidUTF8(string(i.Payload[:keep]), ""))
		b, err = json.Marshal(r)
	}
	return b, err
}

// asJSON is b if it is JSON, else b as a JSON string; null for nothing.
func asJSON(b []byte) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage("null")
	}
	if json.Valid(b) {
		return b
	}
	text, _ := json.Marshal(string(b)) // strings always can
	return text
}

// sendRecord tells the destination of an invocation that has ended. False: it was not told, and has to be.
func (d *Delivery) sendRecord(ctx context.Context, i *Invocation, o Outcome, a *registry.Async) bool {
	if a == nil {
		return true
	}
	to := a.OnSuccess
	if o.Verdict == GivenUp {
		to = a.OnFailure
	}
	if to == "" {
		return true
	}
	body, err := d.encodeRecord(i, o)
	if err != nil {
		d.log.Error("encode record", "app", i.App, "function", i.Function, "invocation", i.ID, "err", err)
		return true
	}
	return d.send(ctx, i, Parcel{App: i.App, Destination: to, Body: body, Depth: i.Depth + 1})
}

// report tells the destination of what has ended until it is told; when ctx ends before, the attempt counts as interrupted.
func (d *Delivery) report(ctx context.Context, i *Invocation, o *Outcome, a *registry.Async) {
	if o.Condition == "" || o.Committed {
		return
	}
	for !d.sendRecord(ctx, i, *o, a) {
		if !pause(ctx, storePause) {
			o.Verdict = Interrupted
			return
		}
	}
}

// commitWithRecord has the effects of an invocation that succeeded happen with the record for its destination. Without it
// when there is no such destination: as for other invocations, that is no failure of the function.
func (d *Delivery) commitWithRecord(ctx context.Context, i *Invocation, o Outcome, a *registry.Async, commit func(op.Effects) error) error {
	e := *o.Result.Effects
	if a == nil || a.OnSuccess == "" || d.config.Destinations == nil {
		return commit(e)
	}
	body, err := d.encodeRecord(i, o)
	if err != nil {
		return err
	}
	p := Parcel{App: i.App, Destination: a.OnSuccess, Body: body, Depth: i.Depth + 1}
	s, err := d.config.Destinations.Sending(ctx, p)
	if err == nil {
		full := e
		full.Sends = append(slices.Clip(e.Sends), s)
		if err = commit(full); abi.CodeOf(err) != abi.NotFound {
			return err
		}
	} else if !isFinal(err) {
		return err
	}
	missing := err
	if err = commit(e); err == nil {
		d.notSent(i, p, missing)
	}
	return err
}

// send gives a parcel to its destination. False: it has to be tried again.
func (d *Delivery) send(ctx context.Context, i *Invocation, p Parcel) bool {
	if d.config.Destinations == nil {
		return true
	}
	err := error(nil)
	if p.Depth > abi.MaxDepth {
		err = errLoop()
	} else {
		err = d.config.Destinations.Send(ctx, p)
	}
	if err == nil {
		return true
	}
	d.notSent(i, p, err)
	return isFinal(err)
}

// isFinal says whether a parcel that could not be sent never can.
func isFinal(err error) bool {
	switch abi.CodeOf(err) {
	case abi.NotFound, abi.InvalidInput, abi.TooLarge:
		return true
	}
	return false
}

func (d *Delivery) notSent(i *Invocation, p Parcel, err error) {
	d.log.Error("send to destination", "app", i.App, "function", i.Function, "invocation", i.ID, "destination", p.Destination, "err", err)
}
