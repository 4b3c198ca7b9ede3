package admin

import (
	"fmt"
	"maps"
	"net/http"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// topicRoutes are the topics of an app, and who gets what is published to them.
func (a *Admin) topicRoutes() map[string]route {
	const topics = "/v1/apps/{app}/topics"
	const topic = topics + "/{topic}"
	const subscription = topic + "/subscriptions/{subscription}"
	routes := a.needing(a.config.Queues != nil, "keeps no topics", map[string]route{
		"GET " + topics:              {ofApp, a.listTopics},
		"PUT " + topic:               {ofApp, a.putTopic},
		"DELETE " + topic:            {ofApp, a.removeTopic},
		"POST " + topic + "/publish": {ofApp, a.publish},
	})
	maps.Copy(routes, a.needing(a.config.Subscriptions != nil, "keeps no subscriptions", map[string]route{
		"GET " + topic + "/subscriptions": {ofApp, a.listSubscriptions},
		"PUT " + subscription:             {ofApp, a.subscribe},
		"DELETE " + subscription:          {ofApp, a.unsubscribe},
	}))
	return routes
}

func (a *Admin) listTopics(w http.ResponseWriter, r *http.Request, _ caller) error {
	topics, err := a.config.Queues.Topics(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.TopicList{Topics: orEmpty(topics)})
}

func (a *Admin) putTopic(w http.ResponseWriter, r *http.Request, _ caller) error {
	var topic registry.Topic
	if err := a.readJSON(w, r, a.limits.JSONBytes, &topic); err != nil {
		return err
	}
	if err := takeName(&topic.Name, r.PathValue("topic")); err != nil {
		return err
	}
	if err := a.config.Queues.PutTopic(r.Context(), r.PathValue("app"), topic); err != nil {
		return err
	}
	return answer(w, http.StatusOK, topic)
}

func (a *Admin) removeTopic(w http.ResponseWriter, r *http.Request, _ caller) error {
	return done(w, a.config.Queues.RemoveTopic(r.Context(), r.PathValue("app"), r.PathValue("topic")))
}

func (a *Admin) publish(w http.ResponseWriter, r *http.Request, _ caller) error {
	messages, err := a.readMessages(w, r)
	if err != nil {
		return err
	}
	sent, err := a.config.Queues.Publish(r.Context(), r.PathValue("app"), r.PathValue("topic"), messages...)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.SendResponseOf(sent))
}

func (a *Admin) listSubscriptions(w http.ResponseWriter, r *http.Request, _ caller) error {
	list, err := a.config.Subscriptions.Subscriptions(r.Context(), r.PathValue("app"), r.PathValue("topic"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.SubscriptionList{Subscriptions: orEmpty(list)})
}

// subscribe makes a subscription or changes one, and answers it.
func (a *Admin) subscribe(w http.ResponseWriter, r *http.Request, _ caller) error {
	var s registry.Subscription
	if err := a.readJSON(w, r, a.limits.JSONBytes, &s); err != nil {
		return err
	}
	if err := takeName(&s.Topic, r.PathValue("topic")); err != nil {
		return fmt.Errorf("topic: %w", err)
	}
	if err := takeName(&s.Name, r.PathValue("subscription")); err != nil {
		return err
	}
	if err := s.Validate(); err != nil {
		return err
	}
	if err := a.config.Subscriptions.Subscribe(r.Context(), r.PathValue("app"), s); err != nil {
		return err
	}
	return answer(w, http.StatusOK, s)
}

func (a *Admin) unsubscribe(w http.ResponseWriter, r *http.Request, _ caller) error {
	return done(w, a.config.Subscriptions.Unsubscribe(r.Context(), r.PathValue("app"), r.PathValue("topic"), r.PathValue("subscription")))
}
