package trust

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reason is why a connection was refused: the metric's label.
type reason string

const (
	reasonBacklog     reason = "backlog"     // the protocol's owner does not keep up
	reasonBusy        reason = "busy"        // too many strangers
	reasonCertificate reason = "certificate" // none, an expired one, or that of another cluster
	reasonHandshake   reason = "handshake"   // what came is not TLS 1.3, or the other end gave up
	reasonProtocol    reason = "protocol"    // none that is offered
	reasonRate        reason = "rate"        // too many ask to join, or one too often with a wrong token
	reasonRemoved     reason = "removed"     // the node was removed from the cluster
	reasonRequest     reason = "request"     // one to join that cannot be read or answered
	reasonTimeout     reason = "timeout"     // the handshake took too long
	reasonToken       reason = "token"       // one to join with a token that is unknown, used or expired
	reasonUnready     reason = "unready"     // this node has no certificate yet
)

// refusal is an error with a reason.
type refusal struct {
	reason reason
	err    error
}

func refused(r reason, err error) *refusal { return &refusal{r, err} }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// Limits of the log: a host's refusals are one line in an interval, however many they are.
const (
	refusalInterval = time.Minute
	maxRefusedHosts = 1024 // remembered; those beyond share one line
)

// refusals counts and logs refused connections.
type refusals struct {
	log      *slog.Logger
	registry prometheus.Registerer
	total    *prometheus.CounterVec

	mu    sync.Mutex // guards hosts
	hosts map[string]*refusedHost
}

type refusedHost struct {
	logged time.Time
	count  int // since then
}

func newRefusals(log *slog.Logger, registry prometheus.Registerer) (*refusals, error) {
	r := &refusals{log: log, registry: registry, hosts: map[string]*refusedHost{},
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sett_cluster_connections_refused_total",
			Help: "Connections to the cluster's TLS port that were refused, by reason."}, []string{"reason"})}
	if registry == nil {
		return r, nil
	}
	if err := registry.Register(r.total); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return r, nil
}

func (r *refusals) unregister() {
	if r.registry != nil {
		r.registry.Unregister(r.total)
	}
}

// note counts a refused connection and logs it, unless one of the same host was logged less than an interval ago: the
// next line says how many there were.
func (r *refusals) note(host string, err error) {
	why := reasonHandshake
	if known, ok := err.(*refusal); ok { //nolint:errorlint // it is made by refused or classify, and not wrapped
		why = known.reason
	}
	r.total.WithLabelValues(string(why)).Inc()
	if host, count := r.due(host); count > 0 {
		r.log.Warn("connection refused", "from", host, "reason", string(why), "count", count, "err", err)
	}
}

// due answers how many refusals a line about a host is to tell of; 0: none is due.
func (r *refusals) due(host string) (name string, count int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	h := r.hosts[host]
	if h == nil && len(r.hosts) >= maxRefusedHosts {
		for name, old := range r.hosts {
			if now.Sub(old.logged) >= refusalInterval {
				delete(r.hosts, name)
			}
		}
		if len(r.hosts) >= maxRefusedHosts {
			host = "others"
			h = r.hosts[host]
		}
	}
	if h == nil {
		h = &refusedHost{}
		r.hosts[host] = h
	}
	h.count++
	if now.Sub(h.logged) < refusalInterval {
		return host, 0
	}
	count, h.count, h.logged = h.count, 0, now
	return host, count
}
