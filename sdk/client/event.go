package client

import (
	"context"
	"net/http"

	"github.com/sett-run/sett/runtime/registry"
)

// PutEventsRequest puts events on an app's bus.
type PutEventsRequest struct {
	Events []registry.BusEvent `json:"events"`
}

// PutEventsResponse names the events that were put, in the order asked.
type PutEventsResponse struct {
	IDs []string `json:"ids"`
}

// ArchiveList is the response that lists the archives of an app's bus by name.
type ArchiveList struct {
	Archives []registry.ArchiveInfo `json:"archives"`
}

// Events are the event buses of a node's apps, and their archives.
type Events struct{ client *Client }

// Events answers the event buses of the node's apps.
func (c *Client) Events() Events { return Events{c} }

// Put puts events on an app's bus, all or none, and answers their ids. Once it returns they are durable.
func (e Events) Put(ctx context.Context, app string, events ...registry.BusEvent) (ids []string, err error) {
	var out PutEventsResponse
	if err := e.client.do(ctx, request{method: http.MethodPost, path: path("apps", app, "events"), in: PutEventsRequest{events}, out: &out}); err != nil {
		return nil, err
	}
	if len(out.IDs) != len(events) {
		return nil, e.client.unknown(errCount)
	}
	return out.IDs, nil
}

// PutArchive makes an archive, which keeps what is put from then on, or changes one that is there.
func (e Events) PutArchive(ctx context.Context, app string, a registry.Archive) error {
	return e.client.do(ctx, request{method: http.MethodPut, path: path("apps", app, "archives", a.Name), in: a})
}

// Archives answers an app's archives by name.
func (e Events) Archives(ctx context.Context, app string) ([]registry.ArchiveInfo, error) {
	var out ArchiveList
	err := e.client.do(ctx, request{method: http.MethodGet, path: path("apps", app, "archives"), out: &out})
	return out.Archives, err
}

// RemoveArchive removes an archive with all it keeps.
func (e Events) RemoveArchive(ctx context.Context, app, archive string) error {
	return e.client.do(ctx, request{method: http.MethodDelete, path: path("apps", app, "archives", archive)})
}

// Replay puts a page of an archive's events on the bus again: those that r.From and r.To leave, from r.After on. It is
// called again with what it answers as Next, until that is 0. After an error some of the page may have been put.
func (e Events) Replay(ctx context.Context, app, archive string, r registry.Replay) (done registry.Replayed, err error) {
	err = e.client.do(ctx, request{method: http.MethodPost, path: path("apps", app, "archives", archive, "replay"), in: r, out: &done})
	return done, err
}
