package main

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// putFlags are what is said of an object.
type putFlags struct {
	about    op.ObjectAbout
	metadata []string
	ifAbsent bool
	ifMatch  string
}

func (f *putFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.about.Headers.ContentType, "type", "", "`TYPE` content type (default by the file's name)")
	flags.StringVar(&f.about.Headers.CacheControl, "cache-control", "", "`VALUE` value of the header Cache-Control")
	flags.StringArrayVar(&f.metadata, "meta", nil, "`NAME=VALUE` metadata (repeatable)")
	flags.BoolVar(&f.ifAbsent, "if-absent", false, "only if the key is absent")
	flags.StringVar(&f.ifMatch, "if-match", "", "`ETAG` only if the object has this ETag")
}

// put is what the flags say of an object made of a file.
func (f *putFlags) put(file string) (p op.ObjectPut, err error) {
	p.About, p.If = f.about, op.ObjectCondition{Absent: f.ifAbsent, ETag: strings.Trim(f.ifMatch, `"`)}
	if p.About.Headers.ContentType == "" {
		p.About.Headers.ContentType = typeOf(file)
	}
	for _, word := range f.metadata {
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return p, usage("object put: --meta %q: it is NAME=VALUE", word)
		}
		if p.About.Metadata == nil {
			p.About.Metadata = make(map[string]string)
		}
		p.About.Metadata[strings.ToLower(name)] = value
	}
	if err := p.About.Validate(); err != nil {
		return p, usageError{fmt.Errorf("object put: %w", err)}
	}
	return p, nil
}

func (c *cli) objectPut() *cobra.Command {
	var flags putFlags
	cmd := &cobra.Command{
		Use:   "put FILE BUCKET[/KEY]",
		Short: "Put a file; - is stdin, and a key that ends with a slash gets the file's name",
		Example: "  sett object put cat.png pics/cats/\n" +
			"  sett object put report.html site/report.html --cache-control max-age=60 --meta by=ada",
		Args: arguments(2, 2),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if args[0] == "-" && (strings.HasSuffix(args[1], "/") || !strings.Contains(args[1], "/")) {
			return usage("object put: stdin has no name: give BUCKET/KEY")
		}
		p, err := flags.put(args[0])
		if err != nil {
			return err
		}
		switch given := cmd.Flags().Changed("if-match"); {
		case given && flags.ifAbsent:
			return usage("object put: --if-match and --if-absent exclude each other")
		case given && p.If.ETag == "":
			return usage("object put: --if-match %q: it is an ETag as sett object head shows it", flags.ifMatch)
		}
		if p.Name, err = c.objectName(cmd, withBase(args[1], filepath.ToSlash(args[0]))); err != nil {
			return err
		}
		node, err := c.client()
		if err != nil {
			return err
		}
		info, err := c.putFile(cmd, node.Objects(), p, args[0])
		if err != nil {
			return c.objectError(cmd, node.Objects(), p.Name, err)
		}
		return c.objectDone(info, "put")
	}
	flags.add(cmd)
	return cmd
}

// putFile puts a file, and holds the node's ETag to the bytes that were read.
func (c *cli) putFile(cmd *cobra.Command, node client.Objects, p op.ObjectPut, file string) (op.ObjectInfo, error) {
	p.Body = op.ObjectBody{Reader: c.in, Size: op.Unsized}
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return op.ObjectInfo{}, notThere(file, err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = abi.WithCode(abi.InvalidInput, fmt.Errorf("%s is a directory", file))
		}
		if err != nil {
			return op.ObjectInfo{}, err
		}
		p.Body.Reader = f
		if info.Mode().IsRegular() {
			p.Body.Size = info.Size()
		}
	}
	if p.Body.Size > op.MaxObjectPutBytes {
		return op.ObjectInfo{}, abi.WithCode(abi.TooLarge, errors.New("more than 5 GiB are put in parts, by an S3 client"))
	}
	line := c.progress("put %s", printable(p.Name.Key))
	defer line.done()
	sum := md5.New()
	p.Body.Reader = io.TeeReader(p.Body.Reader, io.MultiWriter(sum, &moved{line: line, what: "put " + printable(p.Name.Key), of: p.Body.Size}))
	info, err := node.Put(cmd.Context(), p)
	if err == nil && info.ETag != hex.EncodeToString(sum.Sum(nil)) {
		err = abi.WithCode(abi.Internal, errors.New("the node's ETag is not that of the bytes that were sent: put it again"))
	}
	return info, err
}

// moved tells a line of progress how many bytes were written to it.
type moved struct {
	line *progress
	what string
	of   int64 // below 0: nobody knows
	n    int64
}

func (m *moved) Write(b []byte) (int, error) {
	m.n += int64(len(b))
	if m.line == nil {
		return len(b), nil
	}
	if m.of > 0 {
		m.line.set("%s  %s of %s, %d %%", m.what, sizeText(m.n), sizeText(m.of), 100*m.n/m.of)
	} else {
		m.line.set("%s  %s", m.what, sizeText(m.n))
	}
	return len(b), nil
}

func (c *cli) objectGet() *cobra.Command {
	var part string
	cmd := &cobra.Command{
		Use:     "get BUCKET/KEY [FILE]",
		Short:   "Get an object into a file, or to stdout",
		Example: "  sett object get pics/cats/cat.png cat.png\n  sett object get logs/today --range 0-99",
		Args:    arguments(1, 2),
	}
	cmd.RunE = c.onObject(func(cmd *cobra.Command, node client.Objects, n op.ObjectName, args []string) error {
		r, err := parseRange(part)
		if err != nil {
			return err
		}
		info, body, err := node.Get(cmd.Context(), n, r)
		var refused *client.Error
		if errors.As(err, &refused) && refused.Status == http.StatusRequestedRangeNotSatisfiable {
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("--range %s: the object has no such bytes", part))
		}
		if err != nil {
			return err
		}
		defer body.Close()
		g := got{info: info, body: body, whole: r == nil}
		if len(args) == 0 || args[0] == "-" {
			return g.to(c.out, nil)
		}
		if file := args[0]; isDirectory(file) {
			args[0] = filepath.Join(file, filepath.Base(filepath.FromSlash(n.Key)))
		}
		line := c.progress("get %s", printable(n.Key))
		tell := &moved{line: line, what: "get " + printable(n.Key), of: info.Size}
		if !g.whole {
			tell.of = op.Unsized
		}
		err = g.into(args[0], tell)
		line.done()
		if err != nil {
			return err
		}
		if c.format == formatJSON {
			return c.json(info)
		}
		_, err = fmt.Fprintf(c.out, "got %s (%s)\n", printable(args[0]), sizeText(tell.n))
		return err
	})
	cmd.Flags().StringVar(&part, "range", "", "`FIRST-[LAST]` only these bytes, counted from 0")
	return cmd
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func parseRange(text string) (*client.Range, error) {
	if text == "" {
		return nil, nil
	}
	from, to, ok := strings.Cut(text, "-")
	r := &client.Range{Last: -1}
	first, err := strconv.ParseUint(from, 10, 63)
	r.First = int64(first)
	if to != "" && err == nil {
		var last uint64
		last, err = strconv.ParseUint(to, 10, 63)
		r.Last = int64(last)
	}
	if err != nil || !ok || r.Last >= 0 && r.Last < r.First {
		return nil, usage("object get: --range %q: it is FIRST-LAST or FIRST-", text)
	}
	return r, nil
}

// got is an object on its way here.
type got struct {
	info  op.ObjectInfo
	body  io.Reader
	whole bool // and not a range
}

// to copies the object, and holds it to its ETag when that is its MD5.
func (g got) to(w io.Writer, tell io.Writer) error {
	sum := md5.New()
	all := io.MultiWriter(w, sum)
	if tell != nil {
		all = io.MultiWriter(w, sum, tell)
	}
	if _, err := io.Copy(all, g.body); err != nil {
		return abi.WithCode(abi.Unavailable, fmt.Errorf("read object: %w", err))
	}
	if g.whole && g.info.Parts == 0 && hex.EncodeToString(sum.Sum(nil)) != g.info.ETag {
		return abi.WithCode(abi.Internal, errors.New("the bytes that came do not have the object's ETag: get it again"))
	}
	return nil
}

// into puts the object into a file, which is there whole or not at all and keeps the rights it had. What is no file, such
// as /dev/null, is written to.
func (g got) into(file string, tell io.Writer) error {
	old, err := os.Stat(file)
	there := err == nil
	if there && !old.Mode().IsRegular() {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return abi.WithCode(abi.InvalidInput, err)
		}
		return errors.Join(g.to(f, tell), f.Close())
	}
	dir := filepath.Dir(file)
	f, err := os.OpenFile(filepath.Join(dir, ".sett-"+rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return abi.WithCode(abi.InvalidInput, notThere(dir, err))
	}
	defer os.Remove(f.Name()) // nothing, once it has its name
	if there {
		err = f.Chmod(old.Mode().Perm())
	}
	if err := errors.Join(err, g.to(f, tell), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
