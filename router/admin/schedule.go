package admin

import (
	"context"
	"net/http"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// scheduleRoutes are the schedules of functions.
func (a *Admin) scheduleRoutes() map[string]route {
	const schedule = "/v1/apps/{app}/functions/{function}/schedules/{schedule}"
	return a.needing(a.config.Schedules != nil, "keeps no schedules", map[string]route{
		"GET /v1/schedules":            {anyone, a.listAllSchedules},
		"GET /v1/apps/{app}/schedules": {ofApp, a.listSchedules},
		"POST " + schedule + "/fire":   {ofApp, a.fireSchedule},
		"POST " + schedule + "/enable": {ofApp, func(w http.ResponseWriter, r *http.Request, _ caller) error {
			return turnSchedule(w, r, a.config.Schedules.Enable)
		}},
		"POST " + schedule + "/disable": {ofApp, func(w http.ResponseWriter, r *http.Request, _ caller) error {
			return turnSchedule(w, r, a.config.Schedules.Disable)
		}},
	})
}

// listAllSchedules answers the schedules of every app that the caller may see.
func (a *Admin) listAllSchedules(w http.ResponseWriter, r *http.Request, who caller) error {
	apps := []string{who.app}
	if who.app == "" {
		apps = nil
		for _, f := range a.functions("") { // by app
			if len(apps) == 0 || apps[len(apps)-1] != f.App {
				apps = append(apps, f.App)
			}
		}
	}
	return a.answerSchedules(w, r, apps...)
}

func (a *Admin) listSchedules(w http.ResponseWriter, r *http.Request, _ caller) error {
	return a.answerSchedules(w, r, r.PathValue("app"))
}

func (a *Admin) answerSchedules(w http.ResponseWriter, r *http.Request, apps ...string) error {
	out := client.ScheduleList{Schedules: []client.Schedule{}}
	for _, app := range apps {
		list, err := a.config.Schedules.Schedules(r.Context(), app)
		if err != nil {
			return err
		}
		for _, s := range list {
			out.Schedules = append(out.Schedules, client.ScheduleOf(s))
		}
	}
	return answer(w, http.StatusOK, out)
}

// fireSchedule answers once the invocation is kept, not when it has run.
func (a *Admin) fireSchedule(w http.ResponseWriter, r *http.Request, _ caller) error {
	invocation, err := a.config.Schedules.Fire(r.Context(), scheduleID(r))
	if err != nil {
		return err
	}
	w.Header().Set(invocationHeader, invocation)
	return answer(w, http.StatusAccepted, client.FireResponse{Invocation: invocation})
}

func turnSchedule(w http.ResponseWriter, r *http.Request, turn func(context.Context, registry.ScheduleID) error) error {
	return done(w, turn(r.Context(), scheduleID(r)))
}

func scheduleID(r *http.Request) registry.ScheduleID {
	return registry.ScheduleID{App: r.PathValue("app"), Function: r.PathValue("function"), Name: r.PathValue("schedule")}
}
