package client

import (
	"context"
	"net/http"
	"time"
)

// Token is what a node remembers of a token; the secret is not among it.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	App     string    `json:"app"` // the app it is limited to; empty: an admin's token
	Created time.Time `json:"created"`
	Last4   string    `json:"last4"`        // last four characters of the secret, to tell tokens apart
	S3      bool      `json:"s3,omitempty"` // an access key for S3 clients, whose id is ID; it is no bearer token
}

// TokenRequest asks for a new token. An empty App makes an admin's token, which may do everything.
type TokenRequest struct {
	Name string `json:"name"`
	App  string `json:"app,omitempty"`
	S3   bool   `json:"s3,omitempty"` // an access key for S3 clients, of the app's objects alone; it needs an App
}

// TokenResponse is a new token with its secret, which is shown this once.
type TokenResponse struct {
	Token
	Secret string `json:"secret"`
}

// TokenList is the response that lists tokens, oldest first.
type TokenList struct {
	Tokens []Token `json:"tokens"`
}

// CreateToken makes a token. Only an admin may.
func (c *Client) CreateToken(ctx context.Context, r TokenRequest) (TokenResponse, error) {
	var out TokenResponse
	err := c.do(ctx, request{method: http.MethodPost, path: path("tokens"), in: r, out: &out})
	return out, err
}

// Tokens lists tokens, oldest first.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var out TokenList
	err := c.do(ctx, request{method: http.MethodGet, path: path("tokens"), out: &out})
	return out.Tokens, err
}

// RevokeToken ends a token, by its id. Requests that carry it are refused from then on.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: path("tokens", id)})
}
