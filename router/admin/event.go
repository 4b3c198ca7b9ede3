package admin

import (
	"net/http"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// eventRoutes are an app's event bus and its archives.
func (a *Admin) eventRoutes() map[string]route {
	const archives = "/v1/apps/{app}/archives"
	const archive = archives + "/{archive}"
	return a.needing(a.config.Events != nil, "keeps no events", map[string]route{
		"POST /v1/apps/{app}/events":  {ofApp, a.putEvents},
		"GET " + archives:             {ofApp, a.listArchives},
		"PUT " + archive:              {ofApp, a.putArchive},
		"DELETE " + archive:           {ofApp, a.removeArchive},
		"POST " + archive + "/replay": {ofApp, a.replay},
	})
}

func (a *Admin) putEvents(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.PutEventsRequest
	if err := a.readJSON(w, r, maxSendJSONBytes, &ask); err != nil {
		return err
	}
	if err := registry.CheckPut(ask.Events); err != nil {
		return err
	}
	ids, err := a.config.Events.PutEvents(r.Context(), r.PathValue("app"), ask.Events...)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.PutEventsResponse{IDs: ids})
}

func (a *Admin) listArchives(w http.ResponseWriter, r *http.Request, _ caller) error {
	list, err := a.config.Events.Archives(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.ArchiveList{Archives: orEmpty(list)})
}

// putArchive makes an archive or changes one, and answers it.
func (a *Admin) putArchive(w http.ResponseWriter, r *http.Request, _ caller) error {
	var archive registry.Archive
	if err := a.readJSON(w, r, a.limits.JSONBytes, &archive); err != nil {
		return err
	}
	if err := takeName(&archive.Name, r.PathValue("archive")); err != nil {
		return err
	}
	if err := archive.Validate(); err != nil {
		return err
	}
	if err := a.config.Events.PutArchive(r.Context(), r.PathValue("app"), archive); err != nil {
		return err
	}
	return answer(w, http.StatusOK, archive.Complete())
}

func (a *Admin) removeArchive(w http.ResponseWriter, r *http.Request, _ caller) error {
	return done(w, a.config.Events.RemoveArchive(r.Context(), r.PathValue("app"), r.PathValue("archive")))
}

// replay puts a page of an archive's events on the bus again, and says where the next begins.
func (a *Admin) replay(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask registry.Replay
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	if err := ask.Validate(); err != nil {
		return err
	}
	done, err := a.config.Events.Replay(r.Context(), r.PathValue("app"), r.PathValue("archive"), ask)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, done)
}
