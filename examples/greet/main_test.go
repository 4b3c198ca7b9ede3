package main

import (
	"testing"

	"github.com/sett-run/sett/sdk/go/settest"
)

func TestGreet(t *testing.T) {
	var out greeting
	if err := settest.Invoke(t, "greet", person{"Ada"}, &out); err != nil || out.Text != "Hello, Ada!" {
		t.Errorf("greet(Ada) = %q, %v", out.Text, err)
	}
	if err := settest.Invoke(t, "greet", person{}, &out); err == nil || err.Error() != "nobody to greet" {
		t.Errorf("greet(nobody) = %v, want an error", err)
	}
}

func TestGreetLogs(t *testing.T) {
	r := settest.Do(t, settest.Request{Method: "POST", Body: `{"name":"Ada"}`})
	if len(r.Logs) != 1 || r.Logs[0].Message != "greeted" || r.Logs[0].Attrs["name"] != "Ada" {
		t.Errorf("logs = %+v, want who was greeted", r.Logs)
	}
}
