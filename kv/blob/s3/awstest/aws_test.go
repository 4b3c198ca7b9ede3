// Package awstest has AWS's own client use package s3. It is a module of its own, so that the client is no dependency
// of Sett.
package awstest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/blob/s3"
	"github.com/sett-run/sett/kv/op"
)

const (
	keyID  = "SETTKEY"
	secret = "secret"
	domain = "s3.localhost"
)

// serve answers a server's URL.
func serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(handler(t))
	t.Cleanup(server.Close)
	return server.URL
}

func handler(t *testing.T) http.Handler {
	t.Helper()
	o, err := blob.Open(blob.Config{Dir: t.TempDir(), Store: new(op.Memory)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return s3.New(s3.Config{Objects: o, Domain: domain, Key: func(_ context.Context, id string) (s3.Key, error) {
		if id == keyID {
			return s3.Key{App: "shop", Secret: secret}, nil
		}
		return s3.Key{}, s3.ErrNoKey
	}})
}

func client(url, id, secret string, options ...func(*awss3.Options)) *awss3.Client {
	return awss3.New(awss3.Options{
		BaseEndpoint: &url, Region: "eu-west-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
		Retryer:     aws.NopRetryer{},
	}, options...)
}

func text(s string) io.Reader { return strings.NewReader(s) }

// code is the code of an error that S3 answered.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}

func mustBucket(t *testing.T, c *awss3.Client) *string {
	t.Helper()
	name := aws.String("my-bucket")
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: name}); err != nil {
		t.Fatal(err)
	}
	return name
}

func get(t *testing.T, c *awss3.Client, in *awss3.GetObjectInput) (string, *awss3.GetObjectOutput, error) {
	t.Helper()
	out, err := c.GetObject(t.Context(), in)
	if err != nil {
		return "", nil, err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	return string(b), out, err
}

// TestObjects puts and gets with each way of signing a body and each checksum.
func TestObjects(t *testing.T) {
	c := client(serve(t), keyID, secret)
	bucket := mustBucket(t, c)
	ctx := t.Context()
	for n, in := range []awss3.PutObjectInput{
		{Body: text("seekable")},
		{Body: text("crc32c"), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c},
		{Body: text("crc64"), ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme},
		{Body: text("sha1"), ChecksumAlgorithm: types.ChecksumAlgorithmSha1},
		{Body: text("sha256"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256},
		{Body: text("")},
		{Body: text(strings.Repeat("0123456789abcdef", 1<<16))},
	} {
		b, _ := io.ReadAll(in.Body)
		in.Body = bytes.NewReader(b)
		in.Bucket, in.Key = bucket, aws.String(fmt.Sprintf("a b/ü+%%/%d", n))
		in.ContentType, in.Metadata = aws.String("text/x"), map[string]string{"By": "me"}
		put, err := c.PutObject(ctx, &in)
		if err != nil {
			t.Errorf("PutObject %d = %v", n, err)
			continue
		}
		got, out, err := get(t, c, &awss3.GetObjectInput{Bucket: bucket, Key: in.Key})
		if err != nil || got != string(b) || *out.ETag != *put.ETag || *out.ContentType != "text/x" || out.Metadata["by"] != "me" {
			t.Errorf("GetObject %d = %.20q, %+v, %v", n, got, out, err)
		}
		head, err := c.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: bucket, Key: in.Key})
		if err != nil || *head.ContentLength != int64(len(b)) || time.Since(*head.LastModified) > time.Minute {
			t.Errorf("HeadObject %d = %+v, %v", n, head, err)
		}
	}
}

// TestPipe puts what cannot be read twice, which the client signs only over TLS, chunk by chunk and with a trailer.
func TestPipe(t *testing.T) {
	server := httptest.NewTLSServer(handler(t))
	defer server.Close()
	c := client(server.URL, keyID, secret, func(o *awss3.Options) { o.HTTPClient = server.Client() })
	bucket := mustBucket(t, c)
	for _, algorithm := range []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha256} {
		const size = 9<<20 + 1
		in := &awss3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), Body: io.LimitReader(zeros{}, size), ContentLength: aws.Int64(size), ChecksumAlgorithm: algorithm}
		if _, err := c.PutObject(t.Context(), in); err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if got, _, err := get(t, c, &awss3.GetObjectInput{Bucket: bucket, Key: aws.String("k")}); len(got) != size || err != nil {
			t.Errorf("%s: GetObject = %d bytes, %v", algorithm, len(got), err)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestRanges(t *testing.T) {
	c := client(serve(t), keyID, secret)
	bucket := mustBucket(t, c)
	key := aws.String("k")
	if _, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: key, Body: text("0123456789")}); err != nil {
		t.Fatal(err)
	}
	for ask, want := range map[string]string{"bytes=0-3": "0123", "bytes=8-": "89", "bytes=-2": "89", "bytes=5-99": "56789"} {
		got, out, err := get(t, c, &awss3.GetObjectInput{Bucket: bucket, Key: key, Range: &ask})
		if err != nil || got != want || !strings.HasSuffix(*out.ContentRange, "/10") {
			t.Errorf("range %s = %q, %v, want %q", ask, got, err, want)
		}
	}
	_, _, err := get(t, c, &awss3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=10-")})
	if code(err) != "InvalidRange" {
		t.Errorf("range behind the end = %v", err)
	}
}

func TestConditional(t *testing.T) {
	c := client(serve(t), keyID, secret)
	bucket, key, ctx := mustBucket(t, c), aws.String("k"), t.Context()
	put := func(in awss3.PutObjectInput) (*awss3.PutObjectOutput, error) {
		in.Bucket, in.Key, in.Body = bucket, key, text("x")
		return c.PutObject(ctx, &in)
	}
	out, err := put(awss3.PutObjectInput{IfNoneMatch: aws.String("*")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := put(awss3.PutObjectInput{IfNoneMatch: aws.String("*")}); code(err) != "PreconditionFailed" {
		t.Errorf("If-None-Match: * = %v", err)
	}
	if _, err := put(awss3.PutObjectInput{IfMatch: aws.String(`"other"`)}); code(err) != "PreconditionFailed" {
		t.Errorf("If-Match of another = %v", err)
	}
	if _, err := put(awss3.PutObjectInput{IfMatch: out.ETag}); err != nil {
		t.Errorf("If-Match = %v", err)
	}
	if _, _, err := get(t, c, &awss3.GetObjectInput{Bucket: bucket, Key: key, IfNoneMatch: out.ETag}); code(err) != "NotModified" && !strings.Contains(fmt.Sprint(err), "304") {
		t.Errorf("GetObject with If-None-Match = %v", err)
	}
	if _, _, err := get(t, c, &awss3.GetObjectInput{Bucket: bucket, Key: key, IfMatch: aws.String(`"other"`)}); code(err) != "PreconditionFailed" {
		t.Errorf("GetObject with If-Match = %v", err)
	}
	if _, err := c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: bucket, Key: key, IfMatch: aws.String(`"other"`)}); code(err) != "PreconditionFailed" {
		t.Errorf("DeleteObject with If-Match = %v", err)
	}
}

func TestUpload(t *testing.T) {
	c := client(serve(t), keyID, secret)
	bucket, key, ctx := mustBucket(t, c), aws.String("big"), t.Context()
	up, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ContentType: aws.String("x/y")})
	if err != nil {
		t.Fatal(err)
	}
	whole := make([]byte, 12<<20)
	rand.Read(whole)
	parts := make([]types.CompletedPart, 3)
	var all sync.WaitGroup
	for n, part := range slices.Collect(slices.Chunk(whole, 5<<20)) {
		all.Go(func() {
			number := aws.Int32(int32(n + 1))
			out, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: bucket, Key: key, UploadId: up.UploadId, PartNumber: number, Body: bytes.NewReader(part)})
			if err != nil {
				t.Error(err)
				return
			}
			parts[n] = types.CompletedPart{PartNumber: number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32}
		})
	}
	all.Wait()
	list, err := c.ListParts(ctx, &awss3.ListPartsInput{Bucket: bucket, Key: key, UploadId: up.UploadId})
	if err != nil || len(list.Parts) != 3 || *list.Parts[1].ETag != *parts[1].ETag {
		t.Errorf("ListParts = %+v, %v", list, err)
	}
	uploads, err := c.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: bucket})
	if err != nil || len(uploads.Uploads) != 1 || *uploads.Uploads[0].UploadId != *up.UploadId {
		t.Errorf("ListMultipartUploads = %+v, %v", uploads, err)
	}
	done, err := c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	if err != nil || !strings.HasSuffix(*done.ETag, `-3"`) {
		t.Fatalf("CompleteMultipartUpload = %+v, %v", done, err)
	}
	got, out, err := get(t, c, &awss3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil || got != string(whole) || *out.ContentType != "x/y" {
		t.Errorf("GetObject = %d bytes, %v", len(got), err)
	}
	for n, want := range slices.Collect(slices.Chunk(whole, 5<<20)) {
		got, out, err := get(t, c, &awss3.GetObjectInput{Bucket: bucket, Key: key, PartNumber: aws.Int32(int32(n + 1))})
		if err != nil || got != string(want) || *out.PartsCount != 3 {
			t.Errorf("part %d = %d bytes, %v", n+1, len(got), err)
		}
	}
	if _, err := c.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: bucket, Key: key, PartNumber: aws.Int32(4)}); err == nil {
		t.Error("HeadObject of a part that is not there: no error")
	}
	again, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	copied, err := c.UploadPartCopy(ctx, &awss3.UploadPartCopyInput{Bucket: bucket, Key: key, UploadId: again.UploadId, PartNumber: aws.Int32(1),
		CopySource: aws.String("my-bucket/big"), CopySourceRange: aws.String("bytes=100-199")})
	if err != nil || copied.CopyPartResult.ETag == nil {
		t.Errorf("UploadPartCopy = %+v, %v", copied, err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: again.UploadId}); err != nil {
		t.Error(err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: again.UploadId}); code(err) != "NoSuchUpload" {
		t.Errorf("AbortMultipartUpload again = %v", err)
	}
}

func TestListAndDelete(t *testing.T) {
	c := client(serve(t), keyID, secret)
	bucket, ctx := mustBucket(t, c), t.Context()
	for n := range 25 {
		key := aws.String(fmt.Sprintf("d%d/é %d", n%3, n))
		if _, err := c.PutObject(ctx, &awss3.PutObjectInput{Bucket: bucket, Key: key, Body: text("x")}); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	pages := awss3.NewListObjectsV2Paginator(c, &awss3.ListObjectsV2Input{Bucket: bucket, MaxKeys: aws.Int32(10)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	if len(keys) != 25 || !slices.IsSorted(keys) {
		t.Errorf("ListObjectsV2 = %q", keys)
	}
	one, err := c.ListObjects(ctx, &awss3.ListObjectsInput{Bucket: bucket, Delimiter: aws.String("/"), MaxKeys: aws.Int32(2), EncodingType: types.EncodingTypeUrl})
	if err != nil || len(one.CommonPrefixes) != 2 || !*one.IsTruncated || *one.NextMarker != "d1/" {
		t.Fatalf("ListObjects = %+v, %v", one, err)
	}
	one, err = c.ListObjects(ctx, &awss3.ListObjectsInput{Bucket: bucket, Delimiter: aws.String("/"), Marker: one.NextMarker})
	if err != nil || len(one.CommonPrefixes) != 1 || *one.IsTruncated {
		t.Errorf("the next page = %+v, %v", one, err)
	}
	if _, err := c.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: bucket}); code(err) != "BucketNotEmpty" {
		t.Errorf("DeleteBucket = %v", err)
	}
	if _, err := c.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String("my-bucket/d0/%C3%A9%200")}); err != nil {
		t.Error(err)
	}
	ask := &types.Delete{}
	for _, k := range append(keys, "copy", "none") {
		ask.Objects = append(ask.Objects, types.ObjectIdentifier{Key: &k})
	}
	out, err := c.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: bucket, Delete: ask})
	if err != nil || len(out.Deleted) != 27 || len(out.Errors) != 0 {
		t.Errorf("DeleteObjects = %+v, %v", out, err)
	}
	if _, err := c.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
	if all, err := c.ListBuckets(ctx, &awss3.ListBucketsInput{}); err != nil || len(all.Buckets) != 0 {
		t.Errorf("ListBuckets = %+v, %v", all, err)
	}
}

func TestPresigned(t *testing.T) {
	c := client(serve(t), keyID, secret)
	bucket, key, ctx := mustBucket(t, c), aws.String("a b+c"), t.Context()
	p := awss3.NewPresignClient(c)
	up, err := p.PresignPutObject(ctx, &awss3.PutObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	status := func(method, url, body string) int {
		r, _ := http.NewRequestWithContext(ctx, method, url, text(body))
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		return a.StatusCode
	}
	if got := status("PUT", up.URL, "hello"); got != 200 {
		t.Errorf("PUT = %d", got)
	}
	down, err := p.PresignGetObject(ctx, &awss3.GetObjectInput{Bucket: bucket, Key: key, ResponseContentType: aws.String("text/y")}, awss3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	a, err := http.Get(down.URL)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(a.Body)
	a.Body.Close()
	if string(b) != "hello" || a.Header.Get("Content-Type") != "text/y" {
		t.Errorf("GET = %q, %v", b, a.Header)
	}
	for _, url := range []string{strings.Replace(down.URL, "text%2Fy", "text%2Fz", 1), strings.Replace(down.URL, "Expires=60", "Expires=61", 1)} {
		if got := status("GET", url, ""); got != 403 {
			t.Errorf("GET of a URL that was changed = %d", got)
		}
	}
	if got := status("DELETE", down.URL, ""); got != 403 {
		t.Errorf("DELETE with a URL for GET = %d", got)
	}
}

func TestStrangers(t *testing.T) {
	url := serve(t)
	bucket := mustBucket(t, client(url, keyID, secret))
	for want, c := range map[string]*awss3.Client{"InvalidAccessKeyId": client(url, "NOBODY", secret), "SignatureDoesNotMatch": client(url, keyID, "wrong")} {
		if _, err := c.ListBuckets(t.Context(), &awss3.ListBucketsInput{}); code(err) != want {
			t.Errorf("ListBuckets = %v, want %s", err, want)
		}
	}
	if _, _, err := get(t, client(url, keyID, secret), &awss3.GetObjectInput{Bucket: aws.String("none"), Key: aws.String("k")}); code(err) != "NoSuchBucket" {
		t.Errorf("GetObject of no bucket = %v", err)
	}
	if _, _, err := get(t, client(url, keyID, secret), &awss3.GetObjectInput{Bucket: bucket, Key: aws.String("k")}); code(err) != "NoSuchKey" {
		t.Errorf("GetObject of no key = %v", err)
	}
	a, err := http.Get(url + "/my-bucket/k")
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if a.StatusCode != 403 {
		t.Errorf("GET without a signature = %d", a.StatusCode)
	}
}

// TestVirtualHost has the bucket in the name of the host.
func TestVirtualHost(t *testing.T) {
	url := serve(t)
	mustBucket(t, client(url, keyID, secret))
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	c := client("http://"+domain+":"+port, keyID, secret, func(o *awss3.Options) {
		o.UsePathStyle = false
		o.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		}}}
	})
	bucket, key := aws.String("my-bucket"), aws.String("dir/k")
	if _, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: key, Body: text("x")}); err != nil {
		t.Fatal(err)
	}
	if got, _, err := get(t, client(url, keyID, secret), &awss3.GetObjectInput{Bucket: bucket, Key: key}); got != "x" || err != nil {
		t.Errorf("GetObject = %q, %v", got, err)
	}
}

// tool answers a program's path. Without SETT_TEST_ALL the test is skipped when it is missing.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("SETT_TEST_ALL") != "" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()} // not what the machine has set for AWS
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(name), args, err, out)
	}
	return string(out)
}

// TestS3cmd has Debian's s3cmd put, list, get and delete, also in parts.
func TestS3cmd(t *testing.T) {
	s3cmd := tool(t, "s3cmd")
	host := strings.TrimPrefix(serve(t), "http://")
	dir := t.TempDir()
	data := make([]byte, 17<<20)
	rand.Read(data)
	big, back := filepath.Join(dir, "big"), filepath.Join(dir, "back")
	os.WriteFile(big, data, 0o600)
	do := func(args ...string) string {
		return run(t, s3cmd, append([]string{"--config=/dev/null", "--access_key=" + keyID, "--secret_key=" + secret, "--no-ssl", "--host=" + host,
			"--host-bucket=" + host, "--no-progress", "--multipart-chunk-size-mb=5"}, args...)...)
	}
	do("mb", "s3://cmd")
	do("put", big, "s3://cmd/a dir/big")
	if out := do("ls", "-r", "s3://cmd"); !strings.Contains(out, "s3://cmd/a dir/big") {
		t.Errorf("ls = %s", out)
	}
	do("info", "s3://cmd/a dir/big")
	do("cp", "s3://cmd/a dir/big", "s3://cmd/copy")
	do("get", "s3://cmd/copy", back)
	if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
		t.Errorf("get = %d bytes, %v", len(got), err)
	}
	do("del", "-r", "-f", "s3://cmd")
	do("rb", "s3://cmd")
}

// TestRclone has Debian's rclone copy a folder there and check it.
func TestRclone(t *testing.T) {
	rclone := tool(t, "rclone")
	url := serve(t)
	dir := t.TempDir()
	for n, size := range []int{0, 100, 12 << 20} {
		data := make([]byte, size)
		rand.Read(data)
		os.MkdirAll(filepath.Join(dir, fmt.Sprint(n)), 0o700)
		os.WriteFile(filepath.Join(dir, fmt.Sprint(n), "ö file"), data, 0o600)
	}
	do := func(args ...string) string {
		return run(t, rclone, append([]string{"--config=", "--s3-provider=Other", "--s3-access-key-id=" + keyID, "--s3-secret-access-key=" + secret,
			"--s3-endpoint=" + url, "--s3-upload-cutoff=6M", "--s3-chunk-size=5M"}, args...)...)
	}
	do("mkdir", ":s3:rclone")
	do("sync", dir, ":s3:rclone/sub")
	do("check", "--download", dir, ":s3:rclone/sub")
	if out := do("lsf", "-R", "--files-only", ":s3:rclone"); strings.Count(out, "ö file") != 3 {
		t.Errorf("lsf = %s", out)
	}
	do("purge", ":s3:rclone")
}
