package op

import (
	"errors"
	"strings"
	"testing"
)

func TestObjectNames(t *testing.T) {
	key := strings.Repeat("k", MaxObjectKeyBytes)
	for _, tt := range []struct {
		name ObjectName
		want error
	}{
		{ObjectName{"shop", "pics", key}, nil},
		{ObjectName{"shop", "pics", key + "k"}, ErrTooLarge},
		{ObjectName{"shop", "pics", ""}, ErrInvalid},
		{ObjectName{"shop", "pics", "a\x00"}, ErrInvalid},
		{ObjectName{"shop", "pics", "\xff"}, ErrInvalid},
		{ObjectName{"shop", "p", "k"}, ErrInvalid},
		{ObjectName{ObjectsOf("shop"), "pics", "k"}, ErrInvalid},
		{ObjectName{System, "pics", "k"}, ErrInvalid},
	} {
		if err := tt.name.Validate(); !errors.Is(err, tt.want) {
			t.Errorf("%.60q: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestNamespaces holds apps away from what is not theirs.
func TestNamespaces(t *testing.T) {
	long := strings.Repeat("a", MaxNamespaceBytes)
	for namespace, ok := range map[string]bool{"shop": true, System: true, ObjectsOf("shop"): true, ObjectsOf(long): true, ObjectsOf(long + "a"): false,
		ObjectsOf(""): false, ObjectsOf(System): false, ObjectsOf(ObjectsOf("shop")): false, "a$b": false} {
		if err := ValidateNamespace(namespace); (err == nil) != ok {
			t.Errorf("ValidateNamespace(%q) = %v", namespace, err)
		}
		if app := ok && namespace == "shop"; (ValidateApp(namespace) == nil) != app {
			t.Errorf("ValidateApp(%q) = %v", namespace, ValidateApp(namespace))
		}
	}
}
