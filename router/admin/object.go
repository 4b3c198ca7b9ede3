package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// maxObjectTime is how long the bytes of an object may take to come: longer than they may take until they are kept.
const maxObjectTime = 6 * time.Hour

// maxDeleteJSONBytes is for op.MaxObjectDeletes keys, with all that text may have to escape.
const maxDeleteJSONBytes = 8 << 20

// objectRoutes are the buckets and objects of an app. A key stands in the query, as those of kv do.
func (a *Admin) objectRoutes() map[string]route {
	const app = "/v1/apps/{app}"
	const bucket = app + "/buckets/{bucket}"
	return a.needing(a.config.Objects != nil, "keeps no objects", map[string]route{
		"GET " + app + "/buckets":       {ofApp, a.listBuckets},
		"GET " + bucket:                 {ofApp, a.getBucket},
		"PUT " + bucket:                 {ofApp, a.putBucket},
		"DELETE " + bucket:              {ofApp, a.deleteBucket},
		"GET " + bucket + "/object":     {ofApp, a.getObject},
		"HEAD " + bucket + "/object":    {ofApp, a.getObject},
		"PUT " + bucket + "/object":     {ofApp, a.putObject},
		"DELETE " + bucket + "/object":  {ofApp, a.deleteObject},
		"GET " + bucket + "/objects":    {ofApp, a.listObjects},
		"POST " + bucket + "/copy":      {ofApp, a.copyObject},
		"POST " + bucket + "/delete":    {ofApp, a.deleteObjects},
		"GET " + app + "/objects/usage": {ofApp, a.objectUsage},
		"PUT " + app + "/objects/quota": {admins, a.setObjectQuota},
	})
}

func (a *Admin) listBuckets(w http.ResponseWriter, r *http.Request, _ caller) error {
	all, err := a.config.Objects.Buckets(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.BucketList{Buckets: append([]op.Bucket{}, all...)})
}

func (a *Admin) getBucket(w http.ResponseWriter, r *http.Request, _ caller) error {
	b, err := a.config.Objects.Bucket(r.Context(), r.PathValue("app"), r.PathValue("bucket"))
	if err != nil {
		return err
	}
	u, err := a.config.Objects.Usage(r.Context(), r.PathValue("app"), b.Name)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, client.BucketInfo{Name: b.Name, Created: b.Created, Events: b.Events, Usage: u})
}

// putBucket makes a bucket or changes one, and answers it.
func (a *Admin) putBucket(w http.ResponseWriter, r *http.Request, who caller) error {
	var ask client.BucketRequest
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	b := op.Bucket{Name: r.PathValue("bucket"), Events: ask.Events}
	err := a.config.Objects.CreateBucket(r.Context(), r.PathValue("app"), b)
	if errors.Is(err, op.ErrBucketExists) {
		err = a.config.Objects.ChangeBucket(r.Context(), r.PathValue("app"), b)
	}
	if err != nil {
		return err
	}
	return a.getBucket(w, r, who)
}

func (a *Admin) deleteBucket(w http.ResponseWriter, r *http.Request, _ caller) error {
	return done(w, a.config.Objects.DeleteBucket(r.Context(), r.PathValue("app"), r.PathValue("bucket")))
}

// objectName reads which object a request is about.
func (q *query) objectName(r *http.Request) op.ObjectName {
	n := op.ObjectName{App: r.PathValue("app"), Bucket: r.PathValue("bucket"), Key: q.text("key")}
	q.refuse(n.Validate())
	return n
}

// objectCondition reads what must hold of an object that is changed.
func objectCondition(r *http.Request) (op.ObjectCondition, error) {
	none, match := r.Header.Values("If-None-Match"), r.Header.Values("If-Match")
	c := op.ObjectCondition{Absent: len(none) > 0, ETag: strings.Trim(strings.Join(match, ","), `"`)}
	empty := len(match) > 0 && c.ETag == "" // would be no condition
	if c.Absent && strings.Join(none, ",") != "*" || empty || c.ETag == "*" || strings.Contains(c.ETag, ",") {
		return c, abi.WithCode(abi.InvalidInput, errors.New("a change takes If-None-Match: * or If-Match with one ETag"))
	}
	return c, nil
}

// unmet gives a condition that does not hold its status.
func unmet(err error) error {
	if errors.Is(err, op.ErrPrecondition) {
		return withStatus(http.StatusPreconditionFailed, abi.Conflict, err)
	}
	return err
}

// getObject answers an object's bytes, or a range of them. They are sent as bytes, whatever type the object has: a page
// that somebody put must not be one of this origin, where a browser may be an admin.
func (a *Admin) getObject(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "key", "about")
	if err != nil {
		return err
	}
	name, about := q.objectName(r), q.flag("about")
	if q.err != nil {
		return q.err
	}
	info, body, err := a.config.Objects.Open(r.Context(), name)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := client.ObjectText(info)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set(client.ObjectHeader, text)
	h.Set("ETag", `"`+info.ETag+`"`)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	if about {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // several at once: each would cost the hashing of a chunk
	}
	http.ServeContent(w, r, "", info.Modified, &paying{body, http.NewResponseController(w), a.limits.Stall})
	return nil
}

// paying is a body whose reader may pause for stall at most.
type paying struct {
	io.ReadSeeker
	control *http.ResponseController
	stall   time.Duration
}

func (p *paying) Read(b []byte) (int, error) {
	n, err := p.ReadSeeker.Read(b)
	setWriteDeadline(p.control, p.stall)
	return n, err
}

func (a *Admin) putObject(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "key")
	if err != nil {
		return err
	}
	put := op.ObjectPut{Name: q.objectName(r)}
	if q.err != nil {
		return q.err
	}
	if put.If, err = objectCondition(r); err != nil {
		return err
	}
	if put.About, err = readAbout(r); err != nil {
		return err
	}
	if err := a.uploads.enter("uploads"); err != nil {
		return err
	}
	defer a.uploads.leave()
	body := &paced{r: http.MaxBytesReader(w, r.Body, op.MaxObjectPutBytes), control: http.NewResponseController(w),
		stall: a.limits.Stall, end: time.Now().Add(maxObjectTime)}
	put.Body = op.ObjectBody{Reader: body, Size: r.ContentLength}
	info, err := a.config.Objects.Put(r.Context(), put)
	if body.failed != nil {
		return bodyError(body.failed) // the cause, however Put words it
	}
	if err != nil {
		return unmet(err)
	}
	w.Header().Set("ETag", `"`+info.ETag+`"`)
	return answer(w, http.StatusOK, info)
}

// readAbout reads what a request says of an object: its header, or else its content type.
func readAbout(r *http.Request) (about op.ObjectAbout, err error) {
	text := r.Header.Get(client.ObjectHeader)
	if text == "" {
		about.Headers.ContentType = r.Header.Get("Content-Type")
	} else if err = json.Unmarshal([]byte(text), &about); err != nil {
		return about, abi.WithCode(abi.InvalidInput, fmt.Errorf("header %s: %w", client.ObjectHeader, err))
	}
	return about, about.Validate()
}

func (a *Admin) deleteObject(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "key")
	if err != nil {
		return err
	}
	name := q.objectName(r)
	if q.err != nil {
		return q.err
	}
	c, err := objectCondition(r)
	if err != nil {
		return err
	}
	found, err := a.config.Objects.Delete(r.Context(), name, c)
	if err != nil {
		return unmet(err)
	}
	return answer(w, http.StatusOK, client.DeletedResponse{Found: found})
}

func (a *Admin) listObjects(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "prefix", "delimiter", "after", "cursor", "limit")
	if err != nil {
		return err
	}
	ask := op.ObjectQuery{Prefix: q.text("prefix"), Delimiter: q.text("delimiter"), After: q.text("after"), Token: q.text("cursor"),
		Limit: q.limit(0, op.MaxPageKeys)}
	q.refuse(ask.Validate())
	if q.err != nil {
		return q.err
	}
	page, err := a.config.Objects.List(r.Context(), r.PathValue("app"), r.PathValue("bucket"), ask)
	if err != nil {
		return err
	}
	page.Objects, page.Prefixes = append([]op.ObjectInfo{}, page.Objects...), append([]string{}, page.Prefixes...)
	return answer(w, http.StatusOK, page)
}

func (a *Admin) copyObject(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.CopyRequest
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	to := op.ObjectName{App: r.PathValue("app"), Bucket: r.PathValue("bucket"), Key: ask.Key}
	from := op.ObjectName{App: to.App, Bucket: ask.FromBucket, Key: ask.FromKey}
	if from.Bucket == "" {
		from.Bucket = to.Bucket
	}
	if err := errors.Join(to.Validate(), from.Validate()); err != nil {
		return err
	}
	info, err := a.config.Objects.Copy(r.Context(), op.ObjectCopy{Name: to, From: from})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, info)
}

func (a *Admin) deleteObjects(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.DeleteRequest
	if err := a.readJSON(w, r, maxDeleteJSONBytes, &ask); err != nil {
		return err
	}
	return done(w, a.config.Objects.DeleteMany(r.Context(), r.PathValue("app"), r.PathValue("bucket"), ask.Keys...))
}

func (a *Admin) objectUsage(w http.ResponseWriter, r *http.Request, _ caller) error {
	u, err := a.config.Objects.Usage(r.Context(), r.PathValue("app"), "")
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, u)
}

// setObjectQuota limits an app's objects from now on; what it has already stays.
func (a *Admin) setObjectQuota(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask op.ObjectQuota
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	err := ask.Validate()
	if err == nil {
		err = a.config.Objects.SetQuota(r.Context(), r.PathValue("app"), ask)
	}
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, ask)
}
