package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

func (a *Admin) listAllFunctions(w http.ResponseWriter, r *http.Request, who caller) error {
	return a.answerFunctions(w, r, who.app) // "" for an admin: every app
}

func (a *Admin) listFunctions(w http.ResponseWriter, r *http.Request, _ caller) error {
	return a.answerFunctions(w, r, r.PathValue("app"))
}

func (a *Admin) answerFunctions(w http.ResponseWriter, r *http.Request, app string) error {
	functions := a.functions(app)
	list := client.FunctionList{Functions: make([]client.Function, 0, len(functions))}
	base := a.urlBase(r)
	for _, f := range functions {
		list.Functions = append(list.Functions, describe(f, base))
	}
	return answer(w, http.StatusOK, list)
}

func (a *Admin) getFunction(w http.ResponseWriter, r *http.Request, _ caller) error {
	f, err := a.function(r)
	if err != nil {
		return err
	}
	return a.answerFunction(w, r, f)
}

// answerFunction answers a function with its ETag, or 304 when the reader has it.
func (a *Admin) answerFunction(w http.ResponseWriter, r *http.Request, f *registry.Function) error {
	out := describe(f, a.urlBase(r))
	w.Header().Set("ETag", out.ETag)
	if r.Method == http.MethodGet && hasETag(r.Header.Values("If-None-Match"), out.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return answer(w, http.StatusOK, out)
}

func (a *Admin) listVersions(w http.ResponseWriter, r *http.Request, _ caller) error {
	f, err := a.function(r)
	if err != nil {
		return err
	}
	list := client.VersionList{Versions: make([]client.Version, 0, len(f.Versions))}
	for i := range slices.Backward(f.Versions) {
		v := &f.Versions[i]
		list.Versions = append(list.Versions, client.Version{
			App: f.App, Function: f.Name, Number: v.Number, Created: v.Created,
			Digest: v.Module.Digest, SizeBytes: v.Module.SizeBytes, Kind: v.Module.Kind, Description: v.Module.Description,
			Interfaces: v.Module.Interfaces,
			Isolation:  isolationOf(v), IsolationReason: v.Module.IsolationReason,
			Routes: patternsOf(v), Aliases: aliasesOf(f, v.Number), Settings: v.Settings,
		})
	}
	w.Header().Set("ETag", etagOf(f))
	return answer(w, http.StatusOK, list)
}

func (a *Admin) rollback(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.RollbackRequest
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	if ask.Version < 0 {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("version: must be a version's number, not %d", ask.Version))
	}
	return a.change(w, r, func(ctx context.Context, app, name string) (registry.Function, error) {
		return a.config.Changes.Rollback(ctx, app, name, ask.Version)
	})
}

func (a *Admin) setAlias(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.AliasRequest
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	if len(ask.Weights) == 0 {
		return abi.WithCode(abi.InvalidInput, errors.New("weights: must name at least one version"))
	}
	return a.change(w, r, func(ctx context.Context, app, name string) (registry.Function, error) {
		return a.config.Changes.SetAlias(ctx, app, name, r.PathValue("alias"), ask.Weights)
	})
}

// change makes a change to a function and answers the function after it.
func (a *Admin) change(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, app, name string) (registry.Function, error)) error {
	return a.matching(r, func(app, name string) error {
		f, err := do(r.Context(), app, name)
		if err != nil {
			return err
		}
		return a.answerFunction(w, r, &f)
	})
}

// matching calls do for the function in the path, if it is as If-Match says, while no other request changes functions.
func (a *Admin) matching(r *http.Request, do func(app, name string) error) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	if err := a.checkMatch(r); err != nil {
		return err
	}
	return do(r.PathValue("app"), r.PathValue("function"))
}

func (a *Admin) removeAlias(w http.ResponseWriter, r *http.Request, _ caller) error {
	return a.matching(r, func(app, name string) error {
		_, err := a.config.Changes.RemoveAlias(r.Context(), app, name, r.PathValue("alias"))
		return done(w, err)
	})
}

func (a *Admin) removeFunction(w http.ResponseWriter, r *http.Request, _ caller) error {
	return a.matching(r, func(app, name string) error {
		return done(w, a.config.Changes.Remove(r.Context(), app, []string{name}))
	})
}

// removeFunctions removes an app's functions. None to remove is no error: the second time finds nothing.
func (a *Admin) removeFunctions(w http.ResponseWriter, r *http.Request, _ caller) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	app := r.PathValue("app")
	out := client.RemoveResponse{Functions: []string{}}
	for _, f := range a.functions(app) {
		out.Functions = append(out.Functions, f.Name)
	}
	if len(out.Functions) > 0 {
		if err := a.config.Changes.Remove(r.Context(), app, nil); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, out)
}

// checkMatch refuses a change that is meant for an earlier state of the function. The caller holds changing.
// Source: RFC 9110 section 13.1.1.
func (a *Admin) checkMatch(r *http.Request) error {
	want := r.Header.Values("If-Match")
	if len(want) == 0 {
		return nil
	}
	f, err := a.function(r)
	if err != nil {
		return err
	}
	if !hasETag(want, etagOf(f)) {
		return withStatus(http.StatusPreconditionFailed, abi.Conflict,
			fmt.Errorf("function %s: changed since it was read: read it again", f.Name))
	}
	return nil
}

// hasETag reports whether a list of ETags holds one, or is "*". A weak one never matches.
func hasETag(lists []string, etag string) bool {
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			if item = strings.TrimSpace(item); item == "*" || item == etag {
				return true
			}
		}
	}
	return false
}
