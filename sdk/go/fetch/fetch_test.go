package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/fetch"
	"github.com/sett-run/sett/sdk/go/settest"
)

func init() {
	sett.HTTP("GET /rates", func(w sett.ResponseWriter, r *sett.Request) {
		response, err := fetch.Get(r.Context(), "https://api.example.com/rates")
		if err != nil {
			w.WriteHeader(502)
			w.WriteString(err.Error())
			return
		}
		w.WriteString(response.Header("etag") + response.Header("none") + string(response.Body))
	})
}

func TestFetch(t *testing.T) {
	if r := settest.Get(t, "/rates"); r.Status != 502 || string(r.Body) != "fetch: this node does not offer it to functions" {
		t.Errorf("without a network: %d %s", r.Status, r.Body)
	}
	settest.Fetches(t, func(_ context.Context, r fetch.Request) (*fetch.Response, error) {
		return &fetch.Response{Status: 200, Headers: []fetch.Header{{Name: "Etag", Value: "7 "}, {Name: "Etag", Value: "8"}}, Body: []byte(r.URL)}, nil
	})
	if r := settest.Get(t, "/rates"); string(r.Body) != "7 https://api.example.com/rates" {
		t.Errorf("with one: %d %s", r.Status, r.Body)
	}
	t.Run("inner", func(t *testing.T) {
		if r := settest.Get(t, "/rates"); r.Status != 502 {
			t.Errorf("another test has this one's network: %d %s", r.Status, r.Body)
		}
	})
	settest.Fetches(t, func(context.Context, fetch.Request) (*fetch.Response, error) {
		return nil, fmt.Errorf("fetch: %w: refused", fetch.ErrConnect)
	})
	_, err := fetch.Post(settest.Context(t), "https://api.example.com", "text/plain", nil)
	if !errors.Is(err, fetch.ErrConnect) || err.Error() != "fetch: the host cannot be reached: refused" {
		t.Errorf("err = %v", err)
	}
	ended, cancel := context.WithCancel(settest.Context(t))
	cancel()
	if _, err := fetch.Get(ended, "https://api.example.com"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
