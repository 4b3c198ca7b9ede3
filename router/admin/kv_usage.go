package admin

import (
	"net/http"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/client"
)

func (a *Admin) getUsage(w http.ResponseWriter, r *http.Request, _ caller) error {
	u, err := a.config.KV.Usage(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.KVUsageOf(u))
}

func (a *Admin) getQuota(w http.ResponseWriter, r *http.Request, _ caller) error {
	u, err := a.config.KV.Usage(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.KVQuota(u.Quota))
}

// setQuota limits an app from now on; what it has already stays.
func (a *Admin) setQuota(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.KVQuota
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	q := op.Quota(ask)
	err := q.Validate()
	if err == nil {
		err = a.config.KV.SetQuota(r.Context(), r.PathValue("app"), q)
	}
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, ask)
}
