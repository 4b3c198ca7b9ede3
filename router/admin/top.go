package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// Limits of listing invocations.
const (
	defaultInvocations = 100
	maxInvocations     = 1000 // more than a node keeps would only look like more
)

// Activity says what nodes did lately. A node that does not answer is named.
type Activity interface {
	Invocations(ctx context.Context, q client.InvocationQuery) client.InvocationList
	// Waiting answers the invocations that are kept and have not ended, of an app's function; empty: of all.
	Waiting(ctx context.Context, app, function string) ([]client.WaitingInvocation, error)
	Top(ctx context.Context, local client.LocalOnly) []client.NodeTotals
}

// activity answers the Activity, or why there is none.
func (a *Admin) activity() (Activity, error) {
	if a.config.Activity == nil {
		return nil, abi.WithCode(abi.Unsupported, fmt.Errorf("this node does not tell what it did"))
	}
	return a.config.Activity, nil
}

func (a *Admin) top(w http.ResponseWriter, r *http.Request, _ caller) error {
	activity, err := a.activity()
	if err != nil {
		return err
	}
	if err := checkKeys(r.URL.Query(), "local"); err != nil {
		return err
	}
	local, err := flag(r.URL.Query(), "local")
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.Top{Nodes: activity.Top(r.Context(), client.LocalOnly(local))})
}

func (a *Admin) listInvocations(w http.ResponseWriter, r *http.Request, who caller) error {
	activity, err := a.activity()
	if err != nil {
		return err
	}
	q, err := invocationQuery(r.URL.Query())
	if err != nil {
		return err
	}
	if q.App == "" {
		q.App = who.app // all apps for an admin, whose app is ""
	}
	if q.App != "" {
		if err := who.may(q.App); err != nil {
			return err
		}
	}
	var list client.InvocationList
	if q.Waiting {
		if list.Waiting, err = activity.Waiting(r.Context(), q.App, q.Function); err != nil {
			return err
		}
	} else {
		list = activity.Invocations(r.Context(), q)
	}
	if list.Invocations == nil {
		list.Invocations = []client.Invocation{}
	}
	return answer(w, http.StatusOK, list)
}

func invocationQuery(v url.Values) (q client.InvocationQuery, err error) {
	if err := checkKeys(v, "app", "function", "failed", "limit", "local", "waiting"); err != nil {
		return q, err
	}
	q = client.InvocationQuery{App: v.Get("app"), Function: v.Get("function"), Limit: defaultInvocations}
	for kind, name := range map[string]string{"app": q.App, "function": q.Function} {
		if name != "" {
			if err := registry.CheckName(kind, name); err != nil {
				return q, err
			}
		}
	}
	if s := v.Get("limit"); s != "" {
		if q.Limit, err = strconv.Atoi(s); err != nil || q.Limit < 1 || q.Limit > maxInvocations {
			return q, abi.WithCode(abi.InvalidInput, fmt.Errorf("limit %.40q: it is between 1 and %d", s, maxInvocations))
		}
	}
	if q.Failed, err = flag(v, "failed"); err != nil {
		return q, err
	}
	if q.Waiting, err = flag(v, "waiting"); err != nil {
		return q, err
	}
	local, err := flag(v, "local")
	q.Local = client.LocalOnly(local)
	return q, err
}

// flag reads true or false; absent is false.
func flag(v url.Values, key string) (bool, error) {
	switch v.Get(key) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, abi.WithCode(abi.InvalidInput, fmt.Errorf("%s %.40q: it is true or false", key, v.Get(key)))
}
