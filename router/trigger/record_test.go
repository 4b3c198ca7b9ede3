package trigger

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// TestLimits: where as many are as are allowed no more may come, but one that is there can be changed.
func TestLimits(t *testing.T) {
	store := new(op.Memory)
	keep := func(most int, key func(name string) string, value func(name string) any) {
		for i := range most {
			name := fmt.Sprint("n", i)
			if err := put(t.Context(), store, "", key(name), value(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(what string, put func(name string) error) {
		if err := put("more"); abi.CodeOf(err) != abi.TooLarge {
			t.Errorf("one %s more: %v", what, err)
		}
		if err := put("n0"); err != nil {
			t.Errorf("the %s that is there, changed: %v", what, err)
		}
	}
	subscription := func(name string) registry.Subscription {
		return registry.Subscription{Topic: "orders", Name: name, To: "queue:q"}
	}
	keep(registry.MaxSubscriptions, func(name string) string { return subscriptionKey("shop", "orders", name) },
		func(name string) any { return subscription(name) })
	check("subscription", func(name string) error { return PutSubscription(t.Context(), store, "shop", subscription(name)) })

	archive := func(name string) registry.Archive {
		return registry.Archive{Name: name, Pattern: json.RawMessage(`{"source":["shop"]}`)}
	}
	keep(registry.MaxArchives, func(name string) string { return archiveKey("shop", name) },
		func(name string) any { return archive(name) })
	check("archive", func(name string) error { return PutArchive(t.Context(), store, "shop", archive(name)) })
}
