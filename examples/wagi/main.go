// Command wagi is a plain Go program that knows nothing of Sett: it reads CGI's variables and standard input, and
// writes headers, an empty line and a body.
package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

func main() {
	if err := run(os.Getenv, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err) // the function's log
		os.Exit(1)                   // 502
	}
}

func run(getenv func(string) string, in io.Reader, out io.Writer) error {
	body, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	query, err := url.ParseQuery(getenv("QUERY_STRING"))
	if err != nil {
		_, err = fmt.Fprintf(out, "Status: 400 Bad Request\nContent-Type: text/plain\n\n%v\n", err)
		return err
	}
	text := strings.TrimRight(string(body), "\n")
	if query.Has("shout") {
		text = strings.ToUpper(text)
	}
	_, err = fmt.Fprintf(out, "Content-Type: text/plain; charset=utf-8\n\n%s %s, %d bytes: %s\n",
		getenv("REQUEST_METHOD"), getenv("PATH_INFO"), len(body), text)
	return err
}
