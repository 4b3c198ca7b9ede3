package s3

import (
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/op"
)

func (r *request) upload() blob.Upload {
	return blob.Upload{Name: r.name(r.key), ID: r.query.Get("uploadId")}
}

func (s *Server) createUpload(w http.ResponseWriter, r *request) error {
	if err := r.plain(); err != nil {
		return err
	}
	u, err := s.config.Objects.Create(r.Context(), r.name(r.key), r.about())
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Space    string   `xml:"xmlns,attr"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{Space: namespace, Bucket: r.bucket, Key: r.key, UploadID: u.ID})
	return nil
}

func (s *Server) putPart(w http.ResponseWriter, r *request) error {
	number, err := strconv.Atoi(r.query.Get("partNumber"))
	if err != nil {
		return problem{http.StatusBadRequest, "InvalidArgument", "partNumber is not a number."}
	}
	if r.Header.Get("X-Amz-Copy-Source") != "" {
		return s.copyPart(w, r, number)
	}
	body, err := r.body()
	if err != nil {
		return err
	}
	p, err := s.config.Objects.PutPart(r.Context(), r.upload(), number, body)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", quote(p.ETag))
	w.WriteHeader(http.StatusOK)
	return nil
}

// copyPart makes a part of a range of an object. Its bytes are read and kept again, for ranges do not begin where
// chunks do.
func (s *Server) copyPart(w http.ResponseWriter, r *request, number int) error {
	from, err := r.source()
	if err != nil {
		return err
	}
	info, o, err := s.config.Objects.Open(r.Context(), from)
	if err != nil {
		return err
	}
	defer o.Close()
	if _, err := r.sourceTag(info); err != nil {
		return err
	}
	first, size, err := copyRange(r.Header.Get("X-Amz-Copy-Source-Range"), info.Size)
	if err != nil {
		return err
	}
	if _, err := o.Seek(first, io.SeekStart); err != nil {
		return err
	}
	p, err := s.config.Objects.PutPart(r.Context(), r.upload(), number, blob.Body{Reader: io.LimitReader(o, size), Size: size})
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, copyDocument{XMLName: xml.Name{Local: "CopyPartResult"}, LastModified: stamp(p.Modified), ETag: quote(p.ETag)})
	return nil
}

// copyRange reads bytes=FIRST-LAST; nothing is all.
func copyRange(text string, whole int64) (first, size int64, err error) {
	if text == "" {
		return 0, whole, nil
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	first, firstErr := strconv.ParseInt(from, 10, 64)
	last, lastErr := strconv.ParseInt(to, 10, 64)
	if !ok || !strings.HasPrefix(text, "bytes=") || firstErr != nil || lastErr != nil || first < 0 || first > last || last >= whole {
		return 0, 0, problem{http.StatusBadRequest, "InvalidArgument", "X-Amz-Copy-Source-Range is not bytes=FIRST-LAST of the source."}
	}
	return first, last - first + 1, nil
}

func (s *Server) completeUpload(w http.ResponseWriter, r *request) error {
	c, err := r.condition()
	if err != nil {
		return err
	}
	var ask struct {
		Parts []struct {
			PartNumber int
			ETag       string
		} `xml:"Part"`
	}
	if err := readDocument(r, &ask); err != nil {
		return err
	}
	var parts []blob.Part
	for i, p := range ask.Parts {
		if i > 0 && p.PartNumber <= parts[i-1].Number {
			return problem{http.StatusBadRequest, "InvalidPartOrder", "The parts are not in ascending order."}
		}
		parts = append(parts, blob.Part{Number: p.PartNumber, ETag: strings.Trim(p.ETag, `"`)})
	}
	info, err := s.config.Objects.Complete(r.Context(), r.upload(), parts, c)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, struct {
		XMLName  xml.Name `xml:"CompleteMultipartUploadResult"`
		Space    string   `xml:"xmlns,attr"`
		Location string
		Bucket   string
		Key      string
		ETag     string
	}{Space: namespace, Location: "http://" + r.Host + escape(r.URL.Path, "/"), Bucket: r.bucket, Key: r.key, ETag: quote(info.ETag)})
	return nil
}

func (s *Server) abortUpload(w http.ResponseWriter, r *request) error {
	if err := s.config.Objects.Abort(r.Context(), r.upload()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type partEntry struct {
	PartNumber   int
	LastModified string
	ETag         string
	Size         int64
}

func (s *Server) listParts(w http.ResponseWriter, r *request) error {
	most, err := count(r, "max-parts")
	if err != nil {
		return err
	}
	after, _ := strconv.Atoi(r.query.Get("part-number-marker")) // what is none is the beginning
	u := r.upload()
	parts, more, err := s.config.Objects.Parts(r.Context(), u, max(0, after), max(1, most))
	if err != nil {
		return err
	}
	d := struct {
		XMLName     xml.Name `xml:"ListPartsResult"`
		Space       string   `xml:"xmlns,attr"`
		Bucket      string
		Key         string
		UploadID    string `xml:"UploadId"`
		Marker      int    `xml:"PartNumberMarker"`
		NextMarker  int    `xml:"NextPartNumberMarker,omitempty"`
		MaxParts    int
		IsTruncated bool
		Initiator   owner
		Owner       owner
		Parts       []partEntry `xml:"Part"`
	}{Space: namespace, Bucket: r.bucket, Key: r.key, UploadID: u.ID, Marker: after, MaxParts: most, IsTruncated: more,
		Initiator: owner{r.app, r.app}, Owner: owner{r.app, r.app}}
	for _, p := range parts {
		d.Parts = append(d.Parts, partEntry{p.Number, stamp(p.Modified), quote(p.ETag), p.Size})
		d.NextMarker = p.Number
	}
	answer(w, http.StatusOK, d)
	return nil
}

type uploadEntry struct {
	Key          string
	UploadID     string `xml:"UploadId"`
	Initiator    owner
	Owner        owner
	StorageClass string
	Initiated    string
}

// listUploads answers whole pages of op.MaxObjectPage, without common prefixes.
func (s *Server) listUploads(w http.ResponseWriter, r *request) error {
	get := r.query.Get
	if get("delimiter") != "" {
		return problem{http.StatusNotImplemented, "NotImplemented", "Uploads are listed without a delimiter."}
	}
	after := blob.Upload{Name: r.name(get("key-marker")), ID: get("upload-id-marker")}
	all, more, err := s.config.Objects.Uploads(r.Context(), r.app, r.bucket, get("prefix"), after)
	if err != nil {
		return err
	}
	code := coding(get("encoding-type"))
	d := struct {
		XMLName       xml.Name `xml:"ListMultipartUploadsResult"`
		Space         string   `xml:"xmlns,attr"`
		Bucket        string
		KeyMarker     string
		UploadMarker  string `xml:"UploadIdMarker"`
		NextKeyMarker string `xml:",omitempty"`
		NextUpload    string `xml:"NextUploadIdMarker,omitempty"`
		EncodingType  string `xml:",omitempty"`
		Prefix        string
		MaxUploads    int
		IsTruncated   bool
		Uploads       []uploadEntry `xml:"Upload"`
	}{Space: namespace, Bucket: r.bucket, KeyMarker: code(after.Key), UploadMarker: after.ID, EncodingType: get("encoding-type"),
		Prefix: code(get("prefix")), MaxUploads: op.MaxObjectPage, IsTruncated: more}
	for _, u := range all {
		d.Uploads = append(d.Uploads, uploadEntry{code(u.Key), u.ID, owner{r.app, r.app}, owner{r.app, r.app}, "STANDARD", stamp(u.Started())})
		d.NextKeyMarker, d.NextUpload = code(u.Key), u.ID
	}
	if !more {
		d.NextKeyMarker, d.NextUpload = "", ""
	}
	answer(w, http.StatusOK, d)
	return nil
}
