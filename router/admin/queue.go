package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// Limits of JSON bodies: what a queue takes at once, with all that text may have to escape.
const (
	maxSendJSONBytes   = 16 << 20 // messages
	maxSettleJSONBytes = 4 << 20  // receipts
)

// queueRoutes are the queues of an app.
func (a *Admin) queueRoutes() map[string]route {
	const queues = "/v1/apps/{app}/queues"
	const queue = queues + "/{queue}"
	return a.needing(a.config.Queues != nil, "keeps no queues", map[string]route{
		"GET " + queues:               {ofApp, a.listQueues},
		"GET " + queue:                {ofApp, a.getQueue},
		"PUT " + queue:                {ofApp, a.putQueue},
		"DELETE " + queue:             {ofApp, a.removeQueue},
		"POST " + queue + "/messages": {ofApp, a.sendMessages},
		"POST " + queue + "/receive":  {ofApp, a.receiveMessages},
		"POST " + queue + "/settle":   {ofApp, a.settleMessages},
		"POST " + queue + "/purge":    {ofApp, a.purgeQueue},
		"POST " + queue + "/redrive":  {ofApp, a.redriveQueue},
	})
}

// needing answers routes that say abi.Unsupported unless the node has what they need.
func (a *Admin) needing(there bool, lack string, routes map[string]route) map[string]route {
	if there {
		return routes
	}
	for pattern, to := range routes {
		to.handle = func(http.ResponseWriter, *http.Request, caller) error {
			return abi.WithCode(abi.Unsupported, errors.New("this node "+lack))
		}
		routes[pattern] = to
	}
	return routes
}

func (a *Admin) listQueues(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "prefix", "cursor", "limit")
	if err != nil {
		return err
	}
	ask := op.QueueQuery{Prefix: q.text("prefix"), After: q.text("cursor"), Limit: q.limit(0, op.MaxPageKeys)}
	for _, name := range []string{ask.Prefix, ask.After} {
		if name != "" {
			q.refuse(op.ValidateInnerName(name))
		}
	}
	if q.err != nil {
		return q.err
	}
	list, after, err := a.config.Queues.List(r.Context(), r.PathValue("app"), ask)
	if err != nil {
		return err
	}
	out := client.QueuePage{Queues: make([]client.QueueInfo, 0, len(list)), Cursor: after}
	for _, i := range list {
		out.Queues = append(out.Queues, client.QueueInfoOf(i))
	}
	return answer(w, http.StatusOK, out)
}

func (a *Admin) getQueue(w http.ResponseWriter, r *http.Request, _ caller) error {
	info, err := a.config.Queues.Get(r.Context(), r.PathValue("app"), r.PathValue("queue"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.QueueInfoOf(info))
}

// putQueue makes a queue or changes one, and answers it.
func (a *Admin) putQueue(w http.ResponseWriter, r *http.Request, who caller) error {
	var ask registry.Queue
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	if err := takeName(&ask.Name, r.PathValue("queue")); err != nil {
		return err
	}
	if err := ask.Validate(); err != nil {
		return err
	}
	if err := a.config.Queues.Put(r.Context(), r.PathValue("app"), ask); err != nil {
		return err
	}
	return a.getQueue(w, r, who)
}

// takeName fills a name of the path into a body that has none, and refuses one that has another.
func takeName(name *string, of string) error {
	if *name != "" && *name != of {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("name %.80q: the path says %q", *name, of))
	}
	*name = of
	return nil
}

func (a *Admin) removeQueue(w http.ResponseWriter, r *http.Request, _ caller) error {
	return done(w, a.config.Queues.Remove(r.Context(), r.PathValue("app"), r.PathValue("queue")))
}

func (a *Admin) sendMessages(w http.ResponseWriter, r *http.Request, _ caller) error {
	messages, err := a.readMessages(w, r)
	if err != nil {
		return err
	}
	sent, err := a.config.Queues.Send(r.Context(), r.PathValue("app"), r.PathValue("queue"), messages...)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.SendResponseOf(sent))
}

func (a *Admin) readMessages(w http.ResponseWriter, r *http.Request) ([]op.Outgoing, error) {
	var ask client.SendRequest
	if err := a.readJSON(w, r, maxSendJSONBytes, &ask); err != nil {
		return nil, err
	}
	return ask.Outgoing()
}

// receiveMessages answers messages, and waits for a first one until the node drains. Waiting ones have a limit, as they
// hold a connection each.
func (a *Admin) receiveMessages(w http.ResponseWriter, r *http.Request, _ caller) error {
	var wire client.ReceiveRequest
	if err := a.readJSON(w, r, a.limits.JSONBytes, &wire); err != nil {
		return err
	}
	ask, err := wire.Receive()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), op.MaxWait+a.limits.Time)
	defer cancel()
	if ask.Wait != op.NoWait {
		if err := a.followers.enter("followed logs, watches and waiting receives"); err != nil {
			return err
		}
		defer a.followers.leave()
		var stop func()
		ctx, stop = a.untilDrained(ctx)
		defer stop()
	}
	messages, err := a.config.Queues.Receive(ctx, r.PathValue("app"), r.PathValue("queue"), ask)
	if err != nil {
		return err
	}
	out := client.ReceiveResponse{Messages: make([]client.ReceivedMessage, 0, len(messages))}
	for _, m := range messages {
		out.Messages = append(out.Messages, client.ReceivedMessageOf(m))
	}
	return answer(w, http.StatusOK, out)
}

// settleMessages deletes and releases messages. A receipt that does not hold any more is no error, but told.
func (a *Admin) settleMessages(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.SettleRequest
	if err := a.readJSON(w, r, maxSettleJSONBytes, &ask); err != nil {
		return err
	}
	settlement, err := ask.Settlement()
	if err != nil {
		return err
	}
	done, err := a.config.Queues.Settle(r.Context(), r.PathValue("app"), r.PathValue("queue"), settlement)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.SettleResponse{Delete: orEmpty(done.Delete), Release: orEmpty(done.Release)})
}

func (a *Admin) purgeQueue(w http.ResponseWriter, r *http.Request, _ caller) error {
	messages, err := a.config.Queues.Purge(r.Context(), r.PathValue("app"), r.PathValue("queue"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.PurgeResponse{Messages: messages})
}

func (a *Admin) redriveQueue(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.RedriveRequest
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	if ask.To != "" {
		if err := registry.CheckQueueName(ask.To); err != nil {
			return fmt.Errorf("to: %w", err)
		}
	}
	if ask.Max < 0 {
		return abi.WithCode(abi.InvalidInput, errors.New("max "+strconv.Itoa(ask.Max)+": it is a number from 0"))
	}
	moved, err := a.config.Queues.Redrive(r.Context(), r.PathValue("app"), r.PathValue("queue"), op.Redrive(ask))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.RedriveResponse{Moved: moved})
}

// orEmpty makes an empty list show as [], not null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
