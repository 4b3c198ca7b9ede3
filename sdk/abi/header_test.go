package abi

import "testing"

func TestValidHeader(t *testing.T) {
	tests := []struct {
		name, value string
		want        bool
	}{
		{"Content-Type", "text/plain", true}, {"x!#$%&'*+-.^_`|~9", "", true}, {"A", "tab\tand caf\xe9", true},
		{"", "x", false}, {"A B", "x", false}, {"A:", "x", false}, {"A\n", "x", false}, {"caf\xe9", "x", false},
		{"@", "x", false}, {"[", "x", false}, {"{", "x", false}, {"\x00", "x", false},
		{"A", "x\r\nB: y", false}, {"A", "x\ny", false}, {"A", "\x00", false}, {"A", "\x7f", false},
	}
	for _, tt := range tests {
		if got := ValidHeader(Field{tt.name, tt.value}); got != tt.want {
			t.Errorf("ValidHeader(%q: %q) = %v, want %v", tt.name, tt.value, got, tt.want)
		}
	}
}
