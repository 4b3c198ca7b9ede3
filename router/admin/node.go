package admin

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// maxScrapes is how many readers of /metrics are served at once; each takes a snapshot of every figure.
const maxScrapes = 4

// maxGenerationWait is how long a caller may wait for a node to serve a change.
const maxGenerationWait = time.Second

//go:embed openapi.json
var openAPIDocument []byte

func (a *Admin) openAPI(w http.ResponseWriter, _ *http.Request, _ caller) error {
	w.Header().Set("Content-Type", "application/json")
	w.Write(openAPIDocument) // the client may have left
	return nil
}

func (a *Admin) nodeInfo(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "generation")
	if err != nil {
		return err
	}
	if text := q.text("generation"); text != "" {
		generation, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("generation %.40q: not a number", text))
		}
		ctx, cancel := context.WithTimeout(r.Context(), maxGenerationWait)
		defer cancel()
		a.config.Node.Serving(ctx, generation)
	}
	n := a.config.Node.Info()
	n.UptimeSeconds = int64(time.Since(n.Started) / time.Second)
	return answer(w, http.StatusOK, n)
}

// healthz says that the process lives: whoever asks may stop a node that does not answer.
func (a *Admin) healthz(w http.ResponseWriter, _ *http.Request, _ caller) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n")
	return nil
}

// readyz says whether requests should be sent here.
func (a *Admin) readyz(w http.ResponseWriter, _ *http.Request, _ caller) error {
	if err := a.ready(); err != nil {
		return abi.WithCode(abi.Unavailable, err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ready\n")
	return nil
}

// serveMetrics answers Prometheus in the format it asks for; native histograms travel in protobuf only.
func (a *Admin) serveMetrics() func(http.ResponseWriter, *http.Request, caller) error {
	h := promhttp.HandlerFor(a.config.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes})
	return func(w http.ResponseWriter, r *http.Request, _ caller) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

func (a *Admin) listTokens(w http.ResponseWriter, r *http.Request, _ caller) error {
	list, err := a.tokens.list(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.TokenList{Tokens: list})
}

func (a *Admin) createToken(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.TokenRequest
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	t, err := a.tokens.create(r.Context(), ask)
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, t)
}

func (a *Admin) revokeToken(w http.ResponseWriter, r *http.Request, _ caller) error {
	return done(w, a.tokens.revoke(r.Context(), r.PathValue("id")))
}
