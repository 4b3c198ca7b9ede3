package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// invocationHeader names the invocation that a response is about.
const invocationHeader = "Sett-Invocation-Id"

// invoke runs a function once through the one door, or has it run later. A reply is answered as JSON: so a function's
// 404 and ours are told apart, and no header of a guest's reaches a browser as the admin plane's.
func (a *Admin) invoke(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "qualifier")
	if err != nil {
		return err
	}
	qualifier := q.text("qualifier")
	var ask client.InvokeRequest
	if err := a.readJSON(w, r, max(a.limits.JSONBytes, defaultInvokeBytes), &ask); err != nil {
		return err
	}
	event, err := eventOf(ask, r, http.MethodPost)
	if err != nil {
		return err
	}
	if err := a.checkHandler(r, qualifier, ask.Handler); err != nil {
		return err
	}
	call := router.Call{App: r.PathValue("app"), Function: r.PathValue("function"), Qualifier: qualifier, Event: event}
	switch kind := r.Header.Get(client.AsyncHeader); {
	case strings.EqualFold(kind, client.AsyncInvocation):
		return a.invokeLater(w, r, call)
	case kind != "" && !strings.EqualFold(kind, "sync"):
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("header %s %.40q: it is %s or sync", client.AsyncHeader, kind, client.AsyncInvocation))
	}
	return a.invokeNow(w, r, call)
}

// invokeLater answers once the invocation is durable.
func (a *Admin) invokeLater(w http.ResponseWriter, r *http.Request, call router.Call) error {
	if a.config.Async == nil {
		return abi.WithCode(abi.Unsupported, errors.New("this node takes no asynchronous invocations"))
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.limits.Time)
	defer cancel()
	invocation, err := a.config.Async.Enqueue(ctx, call)
	if err != nil {
		return err
	}
	w.Header().Set(invocationHeader, invocation)
	return answer(w, http.StatusAccepted, client.AsyncResponse{Invocation: invocation})
}

func (a *Admin) invokeNow(w http.ResponseWriter, r *http.Request, call router.Call) error {
	begin, event := time.Now(), call.Event
	result, err := a.config.Invoker.Dispatch(r.Context(), call)
	if err != nil {
		if result != nil && result.Error != "" {
			err = abi.WithCode(abi.CodeOf(err), fmt.Errorf("the handler failed: %s", result.Error))
		}
		return invocationError{event.Invocation, err}
	}
	took := result.Took
	if took == 0 {
		took = time.Since(begin)
	}
	status := result.Status
	if status == 0 {
		status = http.StatusOK
	}
	out := client.InvokeResponse{
		Invocation: event.Invocation, Version: event.Version, Status: status, Headers: result.Headers, Body: result.Body,
		Error: result.Error, Start: result.Start, Node: result.Node, TookUS: took.Microseconds(), MemoryBytes: result.MemoryBytes,
		Fuel: result.Fuel,
	}
	if out.Headers == nil {
		out.Headers = []abi.Field{}
	}
	if out.Body == nil {
		out.Body = []byte{}
	}
	w.Header().Set(invocationHeader, event.Invocation)
	return answer(w, http.StatusOK, out)
}

// checkHandler refuses a Handle other than the one the versions run: the door gives each version its own.
func (a *Admin) checkHandler(r *http.Request, qualifier, handler string) error {
	if handler == "" {
		return nil
	}
	app, name := r.PathValue("app"), r.PathValue("function")
	targets, err := a.config.Registry.Snapshot().Resolve(app, name, qualifier)
	if err != nil {
		return err
	}
	for _, to := range targets {
		if v := to.Version; v.Settings.Handler != handler {
			return abi.WithCode(abi.Unsupported, fmt.Errorf("handler %.80q: version %d of function %s runs %q; deploy one with this handler",
				handler, v.Number, name, v.Settings.Handler))
		}
	}
	return nil
}

// eventOf makes the event a function is given, of what the caller asked for.
func eventOf(ask client.InvokeRequest, r *http.Request, method string) (*abi.Event, error) {
	e := &abi.Event{
		Trigger: abi.TriggerInvoke, Handler: ask.Handler, Method: method, Scheme: "http", Proto: "HTTP/1.1",
		Host: r.Host, Path: "/", Remote: r.RemoteAddr, Headers: ask.Headers, Body: ask.Body,
	}
	invalid := func(format string, args ...any) (*abi.Event, error) {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf(format, args...))
	}
	if len(e.Body) > registry.DefaultBodyBytes {
		return nil, abi.WithCode(abi.TooLarge, fmt.Errorf("body of %d bytes: over the limit of %d bytes", len(e.Body), registry.DefaultBodyBytes))
	}
	if len(ask.Handler) > registry.MaxHandlerBytes {
		return invalid("handler: over %d bytes", registry.MaxHandlerBytes)
	}
	if ask.Method != "" {
		if e.Method = strings.ToUpper(ask.Method); !abi.ValidHeader(abi.Field{Name: e.Method}) || len(e.Method) > 32 {
			return invalid("method %.40q: not a method", ask.Method)
		}
	}
	if ask.Path != "" {
		if err := splitPath(ask.Path, e); err != nil {
			return nil, err
		}
	}
	for i, h := range ask.Headers {
		if !abi.ValidHeader(h) {
			return invalid("headers[%d] %.80q: not a header", i, h.Name)
		}
	}
	return e, nil
}

// splitPath reads a path with its query, as a request line has them.
func splitPath(text string, e *abi.Event) error {
	u, err := url.ParseRequestURI(text)
	if err != nil || !strings.HasPrefix(text, "/") || strings.ContainsAny(text, " #") {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("path %.80q: it starts with / and be percent-encoded", text))
	}
	if u.Path == "" {
		return abi.WithCode(abi.InvalidInput, errors.New("path: it starts with /"))
	}
	e.Path, e.Query, _ = strings.Cut(text, "?")
	return nil
}
