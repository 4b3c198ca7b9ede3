package trigger

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// posts is the door of a subscription to a URL: an invocation is a post.
type posts struct {
	to           Poster
	subscription registry.Subscription
}

// Dispatch is for Dispatcher. Whatever goes wrong is an attempt that failed.
func (p *posts) Dispatch(ctx context.Context, c router.Call) (*abi.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, URLTimeout)
	defer cancel()
	header := []abi.Field{
		{Name: "Content-Type", Value: "application/json"},
		{Name: "Sett-Topic", Value: p.subscription.Topic},
		{Name: "Sett-Subscription", Value: p.subscription.Name},
		{Name: "Sett-Invocation-Id", Value: c.Event.Invocation},
		{Name: "Sett-Attempt", Value: strconv.Itoa(c.Event.Attempt)},
		{Name: "X-Amz-Sns-Message-Type", Value: "Notification"},
	}
	status, err := p.to.Post(ctx, c.App, p.subscription.To, header, c.Event.Body)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		err = abi.WithCode(abi.FunctionFailed, fmt.Errorf("post to %s: %w", p.subscription.To, err))
	}
	return &abi.Result{Reply: abi.Reply{Status: status}}, err
}
