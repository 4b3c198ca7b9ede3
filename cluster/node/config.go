package node

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/sett-run/sett/cluster"
	"github.com/sett-run/sett/runtime/registry"
)

// Default addresses.
const (
	DefaultHTTP    = "127.0.0.1:8080"
	DefaultAdmin   = "127.0.0.1:8081"
	DefaultCluster = "127.0.0.1:7946"
)

// Config says how a node runs. The zero value with Data works.
type Config struct {
	Data    string // data directory; created when absent
	HTTP    string // data plane's address, DefaultHTTP when empty; port 0 picks a free one
	Admin   string // admin plane's address, DefaultAdmin when empty; beyond loopback it needs a token
	Cluster string // gossip's address, TCP and UDP, DefaultCluster when empty; node to node TLS listens on the next port
	S3      string // the address of S3's API, whose requests are signed with access keys; off when empty
	// S3Domain is what follows a bucket's name in the names of S3's virtual hosts; empty: buckets stand in the path only.
	S3Domain string
	Redis    string // the Redis protocol's address; off when empty; beyond loopback it needs a token
	Name     string // the node's name, a DNS label; the host's name when empty
	Region   string // where it stands; free text of a DNS label's form, or empty
	Version  string // the binary's version, told by the admin plane
	// Join is a token of the cluster to join. A directory that belongs to a cluster already stays with it.
	Join string
	// Advertise is where other nodes reach this one: HOST:PORT of gossip, or a host alone, whose port is Cluster's.
	// Empty: where Cluster listens.
	Advertise string
	// FirstToken makes an admin token when there is none yet; see Node.FirstToken.
	FirstToken bool
	// CompileWorkers is how many processors compile one module; 0: one. More make deployments sooner and invocations slower
	// meanwhile.
	CompileWorkers int
	FuelHeader     bool         // replies tell in Sett-Fuel what they took; see router.Config
	Log            *slog.Logger // discards when nil

	// Network is where the node listens and dials; nil: the machine's.
	Network cluster.Network
	// InMemory is for tests: the store has nothing on disk, so that the node runs in virtual time.
	InMemory bool

	grace time.Duration // see orphanGrace
}

func (c Config) complete() Config {
	c.HTTP, c.Admin, c.Cluster = cmp.Or(c.HTTP, DefaultHTTP), cmp.Or(c.Admin, DefaultAdmin), cmp.Or(c.Cluster, DefaultCluster)
	c.Version, c.grace = cmp.Or(c.Version, "devel"), cmp.Or(c.grace, orphanGrace)
	if c.Name == "" {
		c.Name = hostName()
	}
	if c.Network == nil {
		c.Network = cluster.Internet{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate names every fault of the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.Data == "" {
		errs = append(errs, errors.New("data: no directory given"))
	}
	for _, a := range []struct{ name, value string }{{"http", c.HTTP}, {"admin", c.Admin}, {"cluster", c.Cluster}, {"redis", c.Redis}, {"s3", c.S3}} {
		if _, _, err := net.SplitHostPort(a.value); a.value != "" && err != nil {
			errs = append(errs, fmt.Errorf("%s: address %q: want HOST:PORT like 127.0.0.1:8080", a.name, a.value))
		}
	}
	for _, l := range []struct{ kind, value string }{{"node", c.Name}, {"region", c.Region}} {
		if l.value != "" {
			errs = append(errs, registry.CheckName(l.kind, l.value))
		}
	}
	return errors.Join(errs...)
}

// hostName answers the first label of the host's name in the form of a DNS label, or "node".
func hostName() string {
	host, _ := os.Hostname()
	label, _, _ := strings.Cut(strings.ToLower(host), ".")
	if registry.CheckName("name", label) != nil {
		return "node"
	}
	return label
}

// loopback says whether an address is reachable from this machine only. A name counts as loopback only when it
// is "localhost".
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
