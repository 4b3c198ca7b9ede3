package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"mime"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// objects works on an app's objects.
func (c *cli) objects() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "object",
		Short: "Put, get, list, copy and delete objects: files of any size, in buckets",
		Example: "  sett object put cat.png pics/cats/cat.png\n" +
			"  sett object get pics/cats/cat.png cat.png\n" +
			"  sett object list pics/cats/\n" +
			"  tar c photos | sett object put - pics/photos.tar",
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.AddCommand(c.objectPut(), c.objectGet(), c.objectList(), c.objectHead(), c.objectCopy(), c.objectDelete())
	return cmd
}

// objectName reads BUCKET/KEY.
func (c *cli) objectName(cmd *cobra.Command, text string) (op.ObjectName, error) {
	bucket, key, _ := strings.Cut(text, "/")
	n := op.ObjectName{App: c.app, Bucket: bucket, Key: key}
	if err := n.Validate(); err != nil {
		return n, usageError{fmt.Errorf("%s: %q is not BUCKET/KEY: %w", verb(cmd), text, err)}
	}
	return n, nil
}

// objectError names the object and what to do.
func (c *cli) objectError(cmd *cobra.Command, node client.Objects, n op.ObjectName, err error) error {
	if errors.Is(err, op.ErrNoObject) && !errors.Is(err, op.ErrPrecondition) {
		err = abi.WithCode(abi.NotFound, fmt.Errorf("%w in app %s", op.ErrNoObject, c.app))
	}
	if err = c.noBucket(cmd.Context(), node, n.Bucket, err); err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb(cmd), printable(n.Bucket+"/"+n.Key), err)
}

// onObject makes a verb's run of what it does with its object.
func (c *cli) onObject(do func(cmd *cobra.Command, node client.Objects, n op.ObjectName, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		n, err := c.objectName(cmd, args[0])
		if err != nil {
			return err
		}
		node, err := c.client()
		if err != nil {
			return err
		}
		err = do(cmd, node.Objects(), n, args[1:])
		var wrong usageError
		if err == nil || errors.As(err, &wrong) {
			return err
		}
		return c.objectError(cmd, node.Objects(), n, err)
	}
}

func (c *cli) objectHead() *cobra.Command {
	return &cobra.Command{
		Use:   "head BUCKET/KEY",
		Short: "Show what is known of an object: size, ETag, type, metadata",
		Args:  arguments(1, 1),
		RunE: c.onObject(func(cmd *cobra.Command, node client.Objects, n op.ObjectName, _ []string) error {
			i, err := node.Head(cmd.Context(), n)
			if err != nil {
				return err
			}
			if c.format == formatJSON {
				return c.json(i)
			}
			facts := [][2]string{{"object", n.Bucket + "/" + n.Key}, {"size", fmt.Sprintf("%d (%s)", i.Size, sizeText(i.Size))}, {"etag", i.ETag}, {"modified", timeText(i.Modified)}}
			h := i.About.Headers
			for _, f := range [][2]string{{"type", h.ContentType}, {"cache-control", h.CacheControl}, {"encoding", h.ContentEncoding},
				{"disposition", h.ContentDisposition}, {"language", h.ContentLanguage}, {"expires", h.Expires}} {
				if f[1] != "" {
					facts = append(facts, f)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(i.About.Metadata)) {
				facts = append(facts, [2]string{"meta " + name, i.About.Metadata[name]})
			}
			return c.facts(facts)
		}),
	}
}

func (c *cli) objectCopy() *cobra.Command {
	return &cobra.Command{
		Use:   "copy BUCKET/KEY BUCKET/KEY",
		Short: "Copy an object to another key of the app; no bytes are copied",
		Args:  arguments(2, 2),
		RunE: c.onObject(func(cmd *cobra.Command, node client.Objects, from op.ObjectName, args []string) error {
			to, err := c.objectName(cmd, withBase(args[0], from.Key))
			if err != nil {
				return err
			}
			i, err := node.Copy(cmd.Context(), to, from)
			if err != nil {
				return err
			}
			return c.objectDone(i, "copied to")
		}),
	}
}

// withBase adds a file's name to a target that is a bucket or ends with a slash.
func withBase(target, file string) string {
	if !strings.Contains(target, "/") {
		target += "/"
	}
	if strings.HasSuffix(target, "/") {
		target += path.Base(file)
	}
	return target
}

func (c *cli) objectDone(i op.ObjectInfo, did string) error {
	if c.format == formatJSON {
		return c.json(i)
	}
	_, err := fmt.Fprintf(c.out, "%s %s/%s (%s)\n", did, i.Bucket, printable(i.Key), sizeText(i.Size))
	return err
}

func (c *cli) objectList() *cobra.Command {
	var recursive bool
	var limit int
	cmd := &cobra.Command{
		Use:   "list BUCKET[/PREFIX]",
		Short: "List objects, down to the next slash of their keys unless --recursive",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bucket, prefix, _ := strings.Cut(args[0], "/")
			q := op.ObjectQuery{Prefix: prefix, Delimiter: "/"}
			if recursive {
				q.Delimiter = ""
			}
			if limit < 0 {
				return usage("object list: --limit %d: it is a number from 0", limit)
			}
			if err := errors.Join(op.ValidateBucket(bucket), q.Validate()); err != nil {
				return usageError{fmt.Errorf("object list: %w", err)}
			}
			node, err := c.client()
			if err != nil {
				return err
			}
			page, err := c.listAll(cmd.Context(), node.Objects(), listing{bucket, q, limit})
			if err != nil {
				return fmt.Errorf("object list %s: %w", args[0], c.noBucket(cmd.Context(), node.Objects(), bucket, err))
			}
			return c.showObjects(page)
		},
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "all objects whose keys start so")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most `N` objects (default all)")
	return cmd
}

// listing says which objects of a bucket are listed.
type listing struct {
	bucket string
	query  op.ObjectQuery
	limit  int // 0: all
}

// listAll answers all pages as one.
func (c *cli) listAll(ctx context.Context, node client.Objects, l listing) (all op.ObjectPage, err error) {
	for {
		n := len(all.Objects) + len(all.Prefixes)
		if l.limit > 0 {
			l.query.Limit = min(l.limit-n, op.MaxObjectPage)
		}
		page, err := node.List(ctx, c.app, l.bucket, l.query)
		if err != nil {
			return all, err
		}
		all.Objects, all.Prefixes = append(all.Objects, page.Objects...), append(all.Prefixes, page.Prefixes...)
		all.Token = page.Token
		if l.query.Token = page.Token; page.Token == "" || l.limit > 0 && len(all.Objects)+len(all.Prefixes) >= l.limit {
			return all, nil
		}
	}
}

func (c *cli) showObjects(page op.ObjectPage) error {
	if c.format == formatJSON {
		page.Objects, page.Prefixes = notNil(page.Objects), notNil(page.Prefixes)
		return c.json(page)
	}
	var rows [][]string
	for _, p := range page.Prefixes {
		rows = append(rows, []string{p, "", ""})
	}
	for _, i := range page.Objects {
		rows = append(rows, []string{i.Key, sizeText(i.Size), timeText(i.Modified)})
	}
	if page.Token != "" {
		fmt.Fprintln(c.err, "sett: note: there are more")
	}
	return c.table([]string{"KEY", "SIZE", "MODIFIED"}, rows, "SIZE")
}

func (c *cli) objectDelete() *cobra.Command {
	var recursive bool
	cmd := &cobra.Command{
		Use:   "delete BUCKET/KEY...",
		Short: "Delete objects, or with --recursive all whose keys start so",
		Args:  arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			deleted := 0
			for _, a := range args {
				n, err := c.deleteAt(cmd, node.Objects(), a, recursive)
				if deleted += n; err != nil {
					return err
				}
			}
			if c.format == formatJSON {
				return c.json(map[string]int{"deleted": deleted})
			}
			_, err = fmt.Fprintf(c.out, "%s deleted\n", count(deleted, "object"))
			return err
		},
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "all objects whose keys start so")
	return cmd
}

// deleteAt deletes an object, or all whose keys start so, and answers how many.
func (c *cli) deleteAt(cmd *cobra.Command, node client.Objects, text string, recursive bool) (deleted int, err error) {
	if !recursive {
		n, err := c.objectName(cmd, text)
		if err != nil {
			return 0, err
		}
		found, err := node.Delete(cmd.Context(), n, op.ObjectCondition{})
		if found {
			deleted = 1
		}
		return deleted, c.objectError(cmd, node, n, err)
	}
	bucket, prefix, ok := strings.Cut(text, "/")
	if err := op.ValidateBucket(bucket); err != nil || !ok {
		return 0, usage("object delete: %q is not BUCKET/PREFIX; all objects are BUCKET/", text)
	}
	name := op.ObjectName{Bucket: bucket, Key: prefix}
	for {
		page, err := node.List(cmd.Context(), c.app, bucket, op.ObjectQuery{Prefix: prefix})
		if err != nil || len(page.Objects) == 0 {
			return deleted, c.objectError(cmd, node, name, err)
		}
		var keys []string
		for _, i := range page.Objects {
			keys = append(keys, i.Key)
		}
		if err := node.DeleteMany(cmd.Context(), c.app, bucket, keys...); err != nil {
			return deleted, c.objectError(cmd, node, name, err)
		}
		deleted += len(keys)
	}
}

// typeOf guesses a content type by a file's name.
func typeOf(file string) string {
	if t := mime.TypeByExtension(path.Ext(file)); t != "" {
		return t
	}
	return "application/octet-stream"
}
