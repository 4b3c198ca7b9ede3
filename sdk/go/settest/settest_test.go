package settest_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/settest"
)

func init() {
	sett.HTTP("/echo/{id}", func(w sett.ResponseWriter, r *sett.Request) {
		w.Header().Set("X-Host", r.Host)
		left := time.Until(sett.Invocation(r.Context()).Deadline)
		fmt.Fprintf(w, "%s %s %s %s %s %v", r.Method, r.PathValue("id"), r.RawQuery, r.Header("X-A"), r.Body, left > time.Minute)
	})
	sett.HTTP("/bad/{what}", func(w sett.ResponseWriter, r *sett.Request) {
		w.Header().Set("X", "a\nb")
	})
	sett.HTTP("/count", func(w sett.ResponseWriter, r *sett.Request) {
		n, err := kv.Incr(r.Context(), "n", 1)
		if err != nil {
			panic(err)
		}
		fmt.Fprint(w, n)
	})
	sett.Handle("double", func(_ context.Context, n int) (int, error) {
		if n < 0 {
			return 0, errors.New("negative")
		}
		return 2 * n, nil
	})
}

// TestStore: a test's invocations share a store, and no other test sees it.
func TestStore(t *testing.T) {
	count := func(t *testing.T, want string) {
		t.Helper()
		if r := settest.Get(t, "/count"); string(r.Body) != want {
			t.Errorf("count = %q, want %s", r.Body, want)
		}
	}
	if err := kv.Set(settest.Context(t), "n", []byte("41")); err != nil {
		t.Fatal(err)
	}
	count(t, "42")
	t.Run("another", func(t *testing.T) { count(t, "1") })
	count(t, "43")
	if v, err := kv.Get(settest.Context(t), "n"); err != nil || string(v) != "43" {
		t.Errorf("n = %q, %v, want 43", v, err)
	}
}

func TestDo(t *testing.T) {
	r := settest.Do(t, settest.Request{Method: "POST", Target: "/echo/7?q=1", Host: "h", Body: "body", Timeout: time.Hour,
		Headers: []settest.Header{{Name: "x-a", Value: "1"}}})
	if r.Status != 200 || string(r.Body) != "POST 7 q=1 1 body true" || r.Header("x-host") != "h" {
		t.Errorf("Do = %d %q %v", r.Status, r.Body, r.Headers)
	}
	if r := settest.Get(t, "/echo/7"); string(r.Body) != "GET 7    false" || r.Header("X-Host") != "localhost" {
		t.Errorf("Get = %d %q %v", r.Status, r.Body, r.Headers)
	}
	if r := settest.Get(t, "/none"); r.Status != 404 || r.Header("none") != "" {
		t.Errorf("Get of no pattern = %d", r.Status)
	}
}

func TestInvoke(t *testing.T) {
	var out int
	if err := settest.Invoke(t, "double", 21, &out); err != nil || out != 42 {
		t.Errorf("double(21) = %d, %v, want 42", out, err)
	}
	if err := settest.Invoke(t, "double", 1, nil); err != nil {
		t.Errorf("Invoke without out: %v", err)
	}
	var text string
	for want, err := range map[string]error{
		"negative":                settest.Invoke(t, "double", -1, &out),
		"status 400":              settest.Invoke(t, "double", "x", &out),
		"no Handle none":          settest.Invoke(t, "none", 1, &out),
		"decode result of double": settest.Invoke(t, "double", 1, &text),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Invoke: %v, want %q", err, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	want := abi.Description{ABI: abi.Version, SDK: "go/" + sett.Version, Handles: []string{"double"}, Patterns: []string{"/count", "/echo/{id}", "/bad/{what}"}}
	if got := settest.Describe(t); !reflect.DeepEqual(got, want) {
		t.Errorf("Describe = %+v, want %+v", got, want)
	}
}

// recorder notes how a test would end.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestDoFails(t *testing.T) {
	for want, request := range map[string]settest.Request{
		`header "X"`:               {Target: "/bad/header"},
		"a path starts with /":     {Target: "x"},
		"more than 64 path params": {Params: make([]settest.Header, 65)},
	} {
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			settest.Do(r, request)
		}()
		<-done
		if !strings.Contains(strings.ReplaceAll(r.fatal, "parameters", "params"), want) {
			t.Errorf("Do(%+v) ends the test with %q, want %q", request, r.fatal, want)
		}
	}
}
