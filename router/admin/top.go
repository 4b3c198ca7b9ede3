package admin

import (
	"context"
	"net/http"

	"github.com/sett-run/sett/sdk/client"
)

// Activity says what nodes did lately. A node that does not answer is named.
type Activity interface {
	Invocations(ctx context.Context, q client.InvocationQuery) client.InvocationList
	// Waiting answers the invocations that are kept and have not ended, of an app's function; empty: of all.
	Waiting(ctx context.Context, app, function string) ([]client.WaitingInvocation, error)
	Top(ctx context.Context, local client.LocalOnly) []client.NodeTotals
}

func (a *Admin) activityRoutes() map[string]route {
	return a.needing(a.config.Activity != nil, "does not tell what it did", map[string]route{
		"GET /v1/invocations": {anyone, a.listInvocations},
		"GET /v1/top":         {admins, a.top},
	})
}

func (a *Admin) top(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "local")
	if err != nil {
		return err
	}
	local := client.LocalOnly(q.flag("local"))
	if q.err != nil {
		return q.err
	}
	return answer(w, http.StatusOK, client.Top{Nodes: a.config.Activity.Top(r.Context(), local)})
}

func (a *Admin) listInvocations(w http.ResponseWriter, r *http.Request, who caller) error {
	q, err := parseQuery(r, "app", "function", "failed", "limit", "local", "waiting")
	if err != nil {
		return err
	}
	ask := client.InvocationQuery{App: q.name("app"), Function: q.name("function"), Limit: q.limit(client.DefaultInvocations, client.MaxInvocations),
		Failed: q.flag("failed"), Waiting: q.flag("waiting"), Local: client.LocalOnly(q.flag("local"))}
	if q.err != nil {
		return q.err
	}
	if ask.App, err = who.reach(ask.App); err != nil {
		return err
	}
	var list client.InvocationList
	if ask.Waiting {
		if list.Waiting, err = a.config.Activity.Waiting(r.Context(), ask.App, ask.Function); err != nil {
			return err
		}
	} else {
		list = a.config.Activity.Invocations(r.Context(), ask)
	}
	list.Invocations = orEmpty(list.Invocations)
	return answer(w, http.StatusOK, list)
}
