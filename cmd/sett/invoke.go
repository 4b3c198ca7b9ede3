package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// maxInvokeBytes bounds the body read from a file or stdin; a node refuses more than 6 MiB by default.
const maxInvokeBytes = 64 << 20

// invocation is what the flags of invoke say.
type invocation struct {
	data, file, method, path string
	headers                  []string
	async                    bool
}

// invoke runs a function once and prints its reply's body as it is.
func (c *cli) invoke() *cobra.Command {
	var flags invocation
	cmd := &cobra.Command{
		Use:   "invoke NAME[:ALIAS|:VERSION]",
		Short: "Invoke a function once; the body of its reply goes to stdout",
		Example: "  sett invoke hello\n" +
			"  sett invoke users --method POST --path /users --data '{\"name\":\"Ada\"}'\n" +
			"  sett invoke resize --async --file picture.png\n" +
			"  sett invoke resize:v3 --file picture.png > small.png",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			request, err := c.invokeRequest(cmd, flags)
			if err != nil {
				return fmt.Errorf("invoke %s: %w", args[0], err)
			}
			name, qualifier, _ := strings.Cut(args[0], ":")
			target := client.InvokeTarget{App: c.app, Function: name, Qualifier: qualifier}
			if request.Path == "" {
				request.Path = defaultInvokePath(cmd, node, target)
			}
			if flags.async {
				id, err := node.InvokeAsync(cmd.Context(), target, request)
				if err != nil {
					return fmt.Errorf("invoke %s: %w", args[0], err)
				}
				return c.showInvocation(id)
			}
			reply, err := node.Invoke(cmd.Context(), target, request)
			if err != nil {
				return fmt.Errorf("invoke %s: %w%s", args[0], err, seeLog(name, err))
			}
			return c.showReply(args[0], reply)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.data, "data", "d", "", "`BODY` body of the request")
	f.StringVarP(&flags.file, "file", "f", "", fileUsage)
	f.StringVarP(&flags.method, "method", "X", "", "`METHOD` method of the request (default GET, POST with a body)")
	f.StringVar(&flags.path, "path", "", pathUsage)
	f.StringArrayVarP(&flags.headers, "header", "H", nil, "`'NAME: VALUE'` header of the request (repeatable)")
	f.BoolVar(&flags.async, "async", false, "invoke it later, again when it fails, and print the invocation's id")
	return cmd
}

// invokeRequest makes the request the function is to see.
func (c *cli) invokeRequest(cmd *cobra.Command, flags invocation) (client.InvokeRequest, error) {
	r := client.InvokeRequest{Method: strings.ToUpper(flags.method), Path: flags.path, Body: []byte(flags.data)}
	hasBody := cmd.Flags().Changed("data") || cmd.Flags().Changed("file")
	if cmd.Flags().Changed("data") && cmd.Flags().Changed("file") {
		return r, usage("--data and --file are both the body: give one")
	}
	if flags.file != "" {
		var err error
		if r.Body, err = c.readBody(flags.file); err != nil {
			return r, err
		}
	}
	if r.Method == "" {
		r.Method = http.MethodGet
		if hasBody {
			r.Method = http.MethodPost
		}
	}
	if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
		return r, usage("--path %q: it starts with /", r.Path)
	}
	for _, h := range flags.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return r, usage("--header %q: it is 'NAME: VALUE'", h)
		}
		r.Headers = append(r.Headers, abi.Field{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
	}
	return r, nil
}

func (c *cli) readBody(name string) ([]byte, error) {
	from := c.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, notThere(name, err)
		}
		defer f.Close()
		from = f
	}
	body, err := io.ReadAll(io.LimitReader(from, maxInvokeBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(body) > maxInvokeBytes {
		return nil, abi.WithCode(abi.TooLarge, fmt.Errorf("read body: %s is larger than %d MiB", name, maxInvokeBytes>>20))
	}
	return body, nil
}

// defaultInvokePath is where the function answers, so that a plain invoke meets a route; / when that is not known.
func defaultInvokePath(cmd *cobra.Command, node *client.Client, t client.InvokeTarget) string {
	f, err := node.Function(cmd.Context(), t.App, t.Function)
	if err != nil {
		return "/" // invoking says what is wrong
	}
	if u, err := url.Parse(f.URL); err == nil && strings.HasPrefix(u.EscapedPath(), "/") {
		return u.EscapedPath()
	}
	return "/"
}

// seeLog tells where the reason of a failed invocation stands.
func seeLog(name string, err error) string {
	var refused *client.Error
	if errors.As(err, &refused) && refused.Invocation != "" {
		return fmt.Sprintf("; see: sett logs %s --invocation %s", name, refused.Invocation)
	}
	return ""
}

// showReply prints the body alone. A handler's error is ours too; a status like 404 is an answer, noted on stderr.
func (c *cli) showReply(what string, reply client.InvokeResponse) error {
	if c.format == formatJSON {
		if err := c.json(reply); err != nil {
			return err
		}
	} else if _, err := c.out.Write(reply.Body); err != nil {
		return fmt.Errorf("invoke %s: write body: %w", what, err)
	}
	if reply.Error != "" {
		return abi.WithCode(abi.FunctionFailed, fmt.Errorf("invoke %s: %s", what, printable(reply.Error)))
	}
	if c.format != formatJSON && reply.Status >= 400 {
		fmt.Fprintf(c.err, "sett: invoke %s: the function answered status %d\n", what, reply.Status)
	}
	return nil
}
