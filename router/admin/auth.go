package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// caller is who asks. The zero value may do nothing.
type caller struct {
	admin bool
	app   string // the one app a caller who is no admin may reach
	token string // id of the token, "" without one
}

// may refuses a caller who does not reach the app.
func (c caller) may(app string) error {
	if c.admin || app != "" && c.app == app {
		return nil
	}
	if c.app == "" || app == "" {
		return abi.WithCode(abi.Forbidden, errors.New("this needs an admin's token"))
	}
	return abi.WithCode(abi.Forbidden, fmt.Errorf("the token is limited to app %s and does not reach app %.80s", c.app, app))
}

// reach answers the app whose things are shown to who asks for an app's; "" is every app, which only an admin sees.
func (c caller) reach(app string) (string, error) {
	if app == "" {
		return c.app, nil
	}
	return app, c.may(app)
}

// Authorize says whether a token reaches an app, for those who ask over other protocols. Errors are coded
// abi.Unauthorized for an unknown token and abi.Forbidden for another app's.
func (a *Admin) Authorize(ctx context.Context, app, token string) error {
	t, err := a.tokens.check(ctx, token)
	if err != nil {
		return err
	}
	return caller{admin: t.App == "", app: t.App, token: t.ID}.may(app)
}

// nodeKey marks the context of a request that another node makes.
type nodeKey struct{}

// ForNodes answers the same requests for other nodes of the cluster: whoever reaches it is an admin. It must only be
// served on connections that have proved to come from a node.
func (a *Admin) ForNodes() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nodeKey{}, true)))
	})
}

// identify says who asks. A token that is sent counts, on loopback too: with it a person sees what its holder may.
func (a *Admin) identify(r *http.Request) (caller, error) {
	if r.Context().Value(nodeKey{}) != nil {
		return caller{admin: true}, nil
	}
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return caller{}, abi.WithCode(abi.Unauthorized, errors.New("more than one Authorization header"))
	}
	if len(values) == 0 {
		if a.config.Loopback && !forwarded(r.Header) {
			return caller{admin: true}, nil
		}
		return caller{}, abi.WithCode(abi.Unauthorized, errors.New("this node needs a token: give one with --token or SETT_TOKEN"))
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return caller{}, abi.WithCode(abi.Unauthorized, errors.New("the Authorization header is not a bearer token"))
	}
	t, err := a.tokens.check(r.Context(), strings.TrimSpace(secret))
	if err != nil {
		return caller{}, err
	}
	return caller{admin: t.App == "", app: t.App, token: t.ID}, nil
}
