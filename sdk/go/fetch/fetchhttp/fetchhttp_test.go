package fetchhttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/go/fetch"
	"github.com/sett-run/sett/sdk/go/fetch/fetchhttp"
	"github.com/sett-run/sett/sdk/go/settest"
)

func TestTransport(t *testing.T) {
	var sent []fetch.Request
	settest.Fetches(t, func(_ context.Context, r fetch.Request) (*fetch.Response, error) {
		sent = append(sent, r)
		switch {
		case strings.HasSuffix(r.URL, "/away"):
			return &fetch.Response{Status: 307, Headers: []fetch.Header{{Name: "Location", Value: "https://other.example.com/"}}}, nil
		case strings.HasSuffix(r.URL, "/denied"):
			return nil, fetch.ErrDenied
		}
		return &fetch.Response{Status: 201, Headers: []fetch.Header{{Name: "Content-Length", Value: "7"}, {Name: "X", Value: "1"}, {Name: "X", Value: "2"}},
			Body: []byte("created")}, nil
	})
	client := &http.Client{Transport: fetchhttp.Transport{}}
	request, _ := http.NewRequestWithContext(settest.Context(t), "PUT", "https://me:word@api.example.com/away?q=1#part", strings.NewReader("body"))
	request.URL.Path = "/away"
	request.URL.RawQuery = ""
	request.Header.Set("Content-Length", "4")
	request.Header.Set("B", "b")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 201 || response.Status != "201 Created" || string(body) != "created" ||
		response.ContentLength != 7 || strings.Join(response.Header["X"], ",") != "1,2" || response.Request.URL.Host != "other.example.com" {
		t.Errorf("response = %+v, %q, %v", response, body, err)
	}
	if len(sent) != 2 || sent[0].URL != "https://api.example.com/away" || sent[1].URL != "https://other.example.com/" ||
		sent[0].Method != "PUT" || string(sent[1].Body) != "body" {
		t.Fatalf("sent %+v", sent)
	}
	if h := sent[0].Headers; len(h) != 2 || h[0].Name != "Authorization" || h[1] != (fetch.Header{Name: "B", Value: "b"}) {
		t.Errorf("headers = %q, want Authorization and B", h)
	}
	for _, h := range sent[1].Headers {
		if h.Name == "Authorization" {
			t.Error("another host is sent the user's name")
		}
	}
	request, _ = http.NewRequestWithContext(settest.Context(t), "GET", "https://api.example.com/denied", nil)
	if _, err := client.Do(request); !errors.Is(err, fetch.ErrDenied) {
		t.Errorf("err = %v, want %v", err, fetch.ErrDenied)
	}
}

// closer tells that it was closed.
type closer struct {
	io.Reader
	err    error
	closed bool
}

func (c *closer) Close() error { c.closed = true; return c.err }

func TestTransportRefuses(t *testing.T) {
	sent := 0
	settest.Fetches(t, func(_ context.Context, r fetch.Request) (*fetch.Response, error) {
		if sent++; len(r.Body) > fetch.MaxRequestBytes {
			return nil, fetch.ErrTooLarge
		}
		return &fetch.Response{Status: 200}, nil
	})
	broken := errors.New("broken")
	endless := io.MultiReader(bytes.NewReader(make([]byte, fetch.MaxRequestBytes+1)), broke{broken})
	for name, tt := range map[string]struct {
		body *closer
		host string
		want error
	}{
		"another host":    {&closer{Reader: strings.NewReader("")}, "evil.example.com", fetch.ErrInvalid},
		"a broken body":   {&closer{Reader: broke{broken}}, "", broken},
		"a broken close":  {&closer{Reader: strings.NewReader(""), err: broken}, "", broken},
		"an endless body": {&closer{Reader: endless}, "", fetch.ErrTooLarge},
	} {
		request, _ := http.NewRequestWithContext(settest.Context(t), "POST", "https://api.example.com/", tt.body)
		request.Host = tt.host
		_, err := fetchhttp.Transport{}.RoundTrip(request)
		if !errors.Is(err, tt.want) || !tt.body.closed {
			t.Errorf("%s: %v, want %v and the body closed: %v", name, err, tt.want, tt.body.closed)
		}
	}
	if sent != 1 {
		t.Errorf("%d requests were sent, want that with the long body alone", sent)
	}
}

// broke is a reader that fails.
type broke struct{ err error }

func (b broke) Read([]byte) (int, error) { return 0, b.err }

func TestHead(t *testing.T) {
	settest.Fetches(t, func(context.Context, fetch.Request) (*fetch.Response, error) {
		return &fetch.Response{Status: 200, Headers: []fetch.Header{{Name: "Content-Length", Value: "1000"}}}, nil
	})
	request, _ := http.NewRequestWithContext(settest.Context(t), "HEAD", "https://api.example.com/", nil)
	response, err := fetchhttp.Transport{}.RoundTrip(request)
	if err != nil || response.ContentLength != 1000 {
		t.Errorf("HEAD = %+v, %v, want a length of 1000", response, err)
	}
}
