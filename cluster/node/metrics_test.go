package node

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestDocumentedMetrics: docs/OPERATIONS.md names every metric that a node with everything on has, and no other page names
// one that it has not.
func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	n := startWith(t, Config{Data: t.TempDir(), Redis: "127.0.0.1:0", S3: "127.0.0.1:0"})
	metrics := metricNames(n.metrics)
	if len(metrics) < 50 {
		t.Fatalf("a node has %d metrics: %v", len(metrics), metrics)
	}
	for _, page := range []string{"OPERATIONS", "STORE", "REDIS", "CLUSTER", "FETCH", "STREAMS", "UPLOADS", "QUEUES", "ENGINE"} {
		text, err := os.ReadFile("../../docs/" + page + ".md")
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{}
		for _, name := range regexp.MustCompile(`sett_(?:runtime|router|kv|cluster|admin)_[a-z0-9_]+`).FindAllString(string(text), -1) {
			named[name] = true
			if !slices.Contains(metrics, name) {
				t.Errorf("docs/%s.md names the metric %s, which no node has", page, name)
			}
		}
		for _, name := range metrics {
			if page == "OPERATIONS" && !named[name] {
				t.Errorf("docs/OPERATIONS.md does not name the metric %s", name)
			}
		}
	}
}

// metricNames lists Sett's own metrics, those that have no value yet too.
func metricNames(r *prometheus.Registry) []string {
	described := make(chan *prometheus.Desc)
	go func() { r.Describe(described); close(described) }()
	names := map[string]bool{}
	for d := range described {
		_, name, _ := strings.Cut(d.String(), `fqName: "`)
		if name, _, _ = strings.Cut(name, `"`); strings.HasPrefix(name, "sett_") {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
