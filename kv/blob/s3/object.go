package s3

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/sett-run/sett/kv/blob"
)

func (r *request) name(key string) blob.Name {
	return blob.Name{App: r.app, Bucket: r.bucket, Key: key}
}

// condition reads what must hold of the object that is written.
func (r *request) condition() (c blob.Condition, err error) {
	none, match := r.Header.Values("If-None-Match"), r.Header.Values("If-Match")
	c = blob.Condition{Absent: len(none) > 0, ETag: strings.Trim(strings.Join(match, ","), `"`)}
	if c.Absent && strings.Join(none, ",") != "*" || c.ETag == "*" || len(match) > 0 && c.ETag == "" { // an empty one would be none
		return c, problem{http.StatusNotImplemented, "NotImplemented", "A write takes If-None-Match: * or If-Match with one ETag."}
	}
	return c, nil
}

const metaPrefix = "X-Amz-Meta-"

// about reads what a request says of the object it writes.
func (r *request) about() blob.About {
	h := r.Header
	a := blob.About{Headers: blob.Headers{ContentType: h.Get("Content-Type"), CacheControl: h.Get("Cache-Control"),
		ContentDisposition: h.Get("Content-Disposition"), ContentLanguage: h.Get("Content-Language"), Expires: h.Get("Expires")}}
	var codings []string
	for c := range strings.SplitSeq(h.Get("Content-Encoding"), ",") {
		if c = strings.TrimSpace(c); c != "" && c != "aws-chunked" {
			codings = append(codings, c)
		}
	}
	a.Headers.ContentEncoding = strings.Join(codings, ", ")
	for name, values := range h {
		if name, ok := strings.CutPrefix(textproto.CanonicalMIMEHeaderKey(name), metaPrefix); ok {
			if a.Metadata == nil {
				a.Metadata = make(map[string]string)
			}
			a.Metadata[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	return a
}

// plain refuses what would not be done as it is asked for.
func (r *request) plain() error {
	for _, name := range []string{"X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Object-Lock-Mode", "X-Amz-Website-Redirect-Location",
		"X-Amz-Tagging", "X-Amz-Write-Offset-Bytes"} {
		if r.Header.Get(name) != "" {
			return problem{http.StatusNotImplemented, "NotImplemented", "This server does not know " + name + "."}
		}
	}
	return private(r)
}

func (s *Server) putObject(w http.ResponseWriter, r *request) error {
	if err := r.plain(); err != nil {
		return err
	}
	c, err := r.condition()
	if err != nil {
		return err
	}
	if r.Header.Get("X-Amz-Copy-Source") != "" {
		return s.copyObject(w, r, c)
	}
	body, err := r.body()
	if err != nil {
		return err
	}
	info, err := s.config.Objects.Put(r.Context(), blob.Put{Name: r.name(r.key), Body: body, About: r.about(), If: c})
	if err != nil {
		return err
	}
	w.Header().Set("ETag", quote(info.ETag))
	w.WriteHeader(http.StatusOK)
	return nil
}

// source reads what a copy is of.
func (r *request) source() (blob.Name, error) {
	path, query, _ := strings.Cut(r.Header.Get("X-Amz-Copy-Source"), "?")
	path, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	bucket, key, ok := strings.Cut(path, "/")
	if err != nil || !ok || query != "" && query != "versionId=null" {
		return blob.Name{}, problem{http.StatusBadRequest, "InvalidArgument", "X-Amz-Copy-Source is not BUCKET/KEY."}
	}
	return blob.Name{App: r.app, Bucket: bucket, Key: key}, nil
}

// sourceTag checks a copy's conditions against its source, and answers the ETag that it must still have.
func (r *request) sourceTag(i blob.Info) (string, error) {
	match, none := r.Header.Get("X-Amz-Copy-Source-If-Match"), r.Header.Get("X-Amz-Copy-Source-If-None-Match")
	failed := match != "" && !listsTag(match, i.ETag) || none != "" && listsTag(none, i.ETag)
	if t, err := http.ParseTime(r.Header.Get("X-Amz-Copy-Source-If-Modified-Since")); err == nil && none == "" {
		failed = failed || !i.Modified.After(t)
	}
	if t, err := http.ParseTime(r.Header.Get("X-Amz-Copy-Source-If-Unmodified-Since")); err == nil && match == "" {
		failed = failed || i.Modified.After(t)
	}
	if failed {
		return "", problem{http.StatusPreconditionFailed, "PreconditionFailed", "The source is not as the condition asks."}
	}
	return i.ETag, nil
}

// listsTag says whether a header names an ETag.
func listsTag(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.Trim(t, `"`) == tag {
			return true
		}
	}
	return false
}

type copyDocument struct {
	XMLName      xml.Name
	LastModified string
	ETag         string
}

func (s *Server) copyObject(w http.ResponseWriter, r *request, c blob.Condition) error {
	from, err := r.source()
	if err != nil {
		return err
	}
	info, err := s.config.Objects.Head(r.Context(), from)
	if err != nil {
		return err
	}
	tag, err := r.sourceTag(info)
	if err != nil {
		return err
	}
	ask := blob.Copy{Name: r.name(r.key), From: from, FromTag: tag, If: c}
	switch directive := r.Header.Get("X-Amz-Metadata-Directive"); directive {
	case "REPLACE":
		about := r.about()
		ask.About = &about
	case "", "COPY":
		if ask.Name == from {
			return problem{http.StatusBadRequest, "InvalidRequest", "A copy to itself changes nothing unless it replaces the metadata."}
		}
	default:
		return problem{http.StatusBadRequest, "InvalidArgument", "X-Amz-Metadata-Directive is neither COPY nor REPLACE."}
	}
	if info, err = s.config.Objects.Copy(r.Context(), ask); err != nil {
		return err
	}
	answer(w, http.StatusOK, copyDocument{XMLName: xml.Name{Local: "CopyObjectResult"}, LastModified: stamp(info.Modified), ETag: quote(info.ETag)})
	return nil
}

// getObject answers an object, a range of it, or only what is known of it. Conditions and ranges are net/http's.
func (s *Server) getObject(w http.ResponseWriter, r *request) error {
	if v := r.query.Get("versionId"); v != "" && v != "null" {
		return problem{http.StatusNotFound, "NoSuchVersion", "There are no versions."}
	}
	info, o, err := s.config.Objects.Open(r.Context(), r.name(r.key))
	if err != nil {
		return err
	}
	defer o.Close()
	h := w.Header()
	describe(h, info)
	for query, header := range map[string]string{"response-content-type": "Content-Type", "response-content-language": "Content-Language",
		"response-expires": "Expires", "response-cache-control": "Cache-Control", "response-content-disposition": "Content-Disposition",
		"response-content-encoding": "Content-Encoding"} {
		if v := r.query.Get(query); v != "" {
			h.Set(header, v)
		}
	}
	if err := r.narrow(o); err != nil {
		return err
	}
	http.ServeContent(&ranged{ResponseWriter: w, server: s, request: r.Request}, r.Request, "", info.Modified, o)
	return nil
}

// narrow has a part's number be the range that the part is. Several ranges at once are none, as S3 has it: each would
// cost the hashing of a chunk.
func (r *request) narrow(o io.ReadSeekCloser) error {
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range")
	}
	if !r.query.Has("partNumber") {
		return nil
	}
	number, err := strconv.Atoi(r.query.Get("partNumber"))
	parts, ok := o.(interface {
		Part(number int) (first, size int64, ok bool)
	})
	if err != nil || !ok || r.Header.Get("Range") != "" {
		return problem{http.StatusBadRequest, "InvalidArgument", "partNumber is not a number, or there is a range, too."}
	}
	first, size, ok := parts.Part(number)
	if !ok {
		return problem{http.StatusRequestedRangeNotSatisfiable, "InvalidPartNumber", "The object has no such part."}
	}
	if size > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first, first+size-1))
	}
	return nil
}

// describe sets the headers that an object has.
func describe(h http.Header, i blob.Info) {
	kept := i.About.Headers
	if kept.ContentType == "" {
		kept.ContentType = "binary/octet-stream"
	}
	for name, v := range map[string]string{"Content-Type": kept.ContentType, "Cache-Control": kept.CacheControl, "Expires": kept.Expires,
		"Content-Disposition": kept.ContentDisposition, "Content-Encoding": kept.ContentEncoding, "Content-Language": kept.ContentLanguage} {
		if v != "" {
			h.Set(name, v)
		}
	}
	for name, v := range i.About.Metadata {
		h.Set(metaPrefix+name, v)
	}
	h.Set("ETag", quote(i.ETag))
	if i.Parts > 0 {
		h.Set("X-Amz-Mp-Parts-Count", fmt.Sprint(i.Parts))
	}
}

func (s *Server) deleteObject(w http.ResponseWriter, r *request) error {
	c, err := r.condition()
	if err != nil {
		return err
	}
	if _, err := s.config.Objects.Delete(r.Context(), r.name(r.key), c); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// ranged answers a range that is not there as S3 does.
type ranged struct {
	http.ResponseWriter
	server  *Server
	request *http.Request
	refused bool
}

func (w *ranged) WriteHeader(status int) {
	if status != http.StatusRequestedRangeNotSatisfiable {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.refused = true
	w.Header().Del("Content-Length")
	w.server.refuse(w.ResponseWriter, w.request, w.Header().Get("X-Amz-Request-Id"), problem{status, "InvalidRange", "The range is not in the object."})
}

func (w *ranged) Write(b []byte) (int, error) {
	if w.refused {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}
