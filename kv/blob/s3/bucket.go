package s3

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/op"
)

// namespace is that of S3's documents.
const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// stamp is a time as documents have it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type owner struct {
	ID          string
	DisplayName string
}

type bucketsDocument struct {
	XMLName xml.Name `xml:"ListAllMyBucketsResult"`
	Space   string   `xml:"xmlns,attr"`
	Owner   owner
	Buckets []bucketEntry `xml:"Buckets>Bucket"`
}

type bucketEntry struct {
	Name         string
	CreationDate string
}

func (s *Server) listBuckets(w http.ResponseWriter, r *request) error {
	all, err := s.config.Objects.Buckets(r.Context(), r.app)
	if err != nil {
		return err
	}
	d := bucketsDocument{Space: namespace, Owner: owner{r.app, r.app}, Buckets: []bucketEntry{}}
	for _, b := range all {
		d.Buckets = append(d.Buckets, bucketEntry{b.Name, stamp(b.Created)})
	}
	answer(w, http.StatusOK, d)
	return nil
}

// private refuses access control lists that would let others in.
func private(r *request) error {
	switch acl := r.Header.Get("X-Amz-Acl"); acl {
	case "", "private", "bucket-owner-full-control", "bucket-owner-read":
		return nil
	default:
		return problem{http.StatusBadRequest, "AccessControlListNotSupported", "Buckets and objects are private; " + acl + " is not known."}
	}
}

func (s *Server) createBucket(w http.ResponseWriter, r *request) error {
	if err := private(r); err != nil {
		return err
	}
	if err := op.ValidateBucket(r.bucket); err != nil {
		return problem{http.StatusBadRequest, "InvalidBucketName", err.Error()}
	}
	if err := s.config.Objects.CreateBucket(r.Context(), r.app, blob.Bucket{Name: r.bucket}); err != nil {
		return err
	}
	w.Header().Set("Location", "/"+r.bucket)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) deleteBucket(w http.ResponseWriter, r *request) error {
	if err := s.config.Objects.DeleteBucket(r.Context(), r.app, r.bucket); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) headBucket(w http.ResponseWriter, r *request) error {
	if _, err := s.config.Objects.Bucket(r.Context(), r.app, r.bucket); err != nil {
		return err
	}
	w.Header().Set("X-Amz-Bucket-Region", region)
	w.WriteHeader(http.StatusOK)
	return nil
}

// region is where buckets say they are. Clients may sign for any.
const region = "us-east-1"

// location answers the empty constraint, which is how us-east-1 is written.
func (s *Server) location(w http.ResponseWriter, r *request) error {
	if _, err := s.config.Objects.Bucket(r.Context(), r.app, r.bucket); err != nil {
		return err
	}
	answer(w, http.StatusOK, struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		Space   string   `xml:"xmlns,attr"`
	}{Space: namespace})
	return nil
}

// versioning answers that there is none.
func (s *Server) versioning(w http.ResponseWriter, r *request) error {
	if _, err := s.config.Objects.Bucket(r.Context(), r.app, r.bucket); err != nil {
		return err
	}
	answer(w, http.StatusOK, struct {
		XMLName xml.Name `xml:"VersioningConfiguration"`
		Space   string   `xml:"xmlns,attr"`
	}{Space: namespace})
	return nil
}

// listDocument is that of both versions of the listing.
type listDocument struct {
	XMLName        xml.Name `xml:"ListBucketResult"`
	Space          string   `xml:"xmlns,attr"`
	Name           string
	Prefix         string
	Delimiter      string  `xml:",omitempty"`
	EncodingType   string  `xml:",omitempty"`
	Marker         *string // of version 1
	NextMarker     string  `xml:",omitempty"`
	StartAfter     string  `xml:",omitempty"` // of version 2
	Token          string  `xml:"ContinuationToken,omitempty"`
	NextToken      string  `xml:"NextContinuationToken,omitempty"`
	KeyCount       *int
	MaxKeys        int
	IsTruncated    bool
	Contents       []objectEntry
	CommonPrefixes []prefixEntry
}

type objectEntry struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
	Owner        *owner
}

type prefixEntry struct{ Prefix string }

func (s *Server) listObjects(w http.ResponseWriter, r *request) error {
	get := r.query.Get
	most, err := count(r, "max-keys")
	if err != nil {
		return err
	}
	second := get("list-type") == "2"
	q := blob.Query{Prefix: get("prefix"), Delimiter: get("delimiter"), After: get("marker"), Limit: most}
	if second {
		q.After, q.Token = get("start-after"), get("continuation-token")
	}
	var page blob.Page
	if most == 0 {
		_, err = s.config.Objects.Bucket(r.Context(), r.app, r.bucket)
	} else {
		page, err = s.config.Objects.List(r.Context(), r.app, r.bucket, q)
	}
	if err != nil {
		return err
	}
	code := coding(get("encoding-type"))
	d := listDocument{Space: namespace, Name: r.bucket, Prefix: code(q.Prefix), Delimiter: code(q.Delimiter), EncodingType: get("encoding-type"),
		MaxKeys: most, IsTruncated: page.Token != ""}
	if second {
		n := len(page.Objects) + len(page.Prefixes)
		d.KeyCount, d.Token, d.NextToken, d.StartAfter = &n, q.Token, page.Token, code(q.After)
	} else {
		marker := code(q.After)
		if d.Marker = &marker; d.IsTruncated {
			d.NextMarker = code(page.Last)
		}
	}
	for _, i := range page.Objects {
		e := objectEntry{Key: code(i.Key), LastModified: stamp(i.Modified), ETag: quote(i.ETag), Size: i.Size, StorageClass: "STANDARD"}
		if !second || get("fetch-owner") == "true" {
			e.Owner = &owner{r.app, r.app}
		}
		d.Contents = append(d.Contents, e)
	}
	for _, p := range page.Prefixes {
		d.CommonPrefixes = append(d.CommonPrefixes, prefixEntry{code(p)})
	}
	answer(w, http.StatusOK, d)
	return nil
}

// count reads a page's size, from 0 to op.MaxObjectPage, which it also is when it is not given.
func count(r *request, name string) (int, error) {
	text := r.query.Get(name)
	if text == "" {
		return op.MaxObjectPage, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, problem{http.StatusBadRequest, "InvalidArgument", name + " is not a number from 0 to 2147483647."}
	}
	return int(min(n, op.MaxObjectPage)), nil
}

// coding answers how keys are written: as they are, or percent-encoded.
func coding(kind string) func(string) string {
	if kind != "url" {
		return func(s string) string { return s }
	}
	return func(s string) string { return strings.ReplaceAll(escape(s, "/ "), " ", "+") }
}

func quote(etag string) string { return `"` + etag + `"` }

type deleteDocument struct {
	Quiet   bool
	Objects []struct {
		Key       string
		VersionID string `xml:"VersionId"`
		ETag      string
	} `xml:"Object"`
}

type deletedDocument struct {
	XMLName xml.Name `xml:"DeleteResult"`
	Space   string   `xml:"xmlns,attr"`
	Deleted []deletedEntry
	Errors  []deleteError `xml:"Error"`
}

type deletedEntry struct{ Key string }

type deleteError struct {
	Key     string
	Code    string
	Message string
}

// deleteMany deletes up to op.MaxObjectDeletes objects. Those with an ETag go one by one, for each has its condition.
func (s *Server) deleteMany(w http.ResponseWriter, r *request) error {
	var ask deleteDocument
	if err := readDocument(r, &ask); err != nil {
		return err
	}
	if len(ask.Objects) == 0 || len(ask.Objects) > op.MaxObjectDeletes {
		return problem{http.StatusBadRequest, "MalformedXML", "The document does not name 1 to 1000 keys."}
	}
	var plain []string
	d := deletedDocument{Space: namespace}
	told := func(key string, err error) {
		switch {
		case err != nil:
			p := problemOf(err)
			d.Errors = append(d.Errors, deleteError{key, p.code, p.message})
		case !ask.Quiet:
			d.Deleted = append(d.Deleted, deletedEntry{key})
		}
	}
	for _, o := range ask.Objects {
		switch {
		case o.VersionID != "" && o.VersionID != "null":
			told(o.Key, problem{http.StatusNotImplemented, "NotImplemented", "There are no versions."})
		case o.ETag != "":
			_, err := s.config.Objects.Delete(r.Context(), r.name(o.Key), blob.Condition{ETag: strings.Trim(o.ETag, `"`)})
			told(o.Key, err)
		case op.ValidateObjectKey(o.Key) != nil:
			told(o.Key, op.ValidateObjectKey(o.Key))
		default:
			plain = append(plain, o.Key)
		}
	}
	err := s.config.Objects.DeleteMany(r.Context(), r.app, r.bucket, plain...)
	for _, k := range plain {
		told(k, err)
	}
	answer(w, http.StatusOK, d)
	return nil
}
