package kv

import (
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if plan := os.Getenv(childPlan); plan != "" {
		childMain(plan, os.Getenv(childDir), os.Getenv(childID))
		return
	}
	goleak.VerifyTestMain(m)
}

// sized answers how much of something a test does: what the environment says under name, else few.
func sized(t *testing.T, name string, few int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
