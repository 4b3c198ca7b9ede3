package awstest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// numbers is a body that is made as it is read: each eight bytes are the number of those before.
type numbers struct{ at, size int64 }

func (n *numbers) Read(b []byte) (int, error) {
	if n.at >= n.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), n.size-n.at)]
	var word [8]byte
	for i := 0; i < len(b); {
		binary.BigEndian.PutUint64(word[:], uint64(n.at/8))
		k := copy(b[i:], word[n.at%8:])
		i, n.at = i+k, n.at+int64(k)
	}
	return len(b), nil
}

func (n *numbers) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += n.at
	case io.SeekEnd:
		offset += n.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	n.at = offset
	return offset, nil
}

func sum(t *testing.T, r io.Reader) [32]byte {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}

// peak watches how large the heap of the process gets, in bytes, until stop is called.
func peak() (stop func() uint64) {
	var most atomic.Uint64
	done, watching := make(chan struct{}), sync.WaitGroup{}
	watching.Go(func() {
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapInuse))
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return func() uint64 { close(done); watching.Wait(); return most.Load() }
}

// TestFlatMemory streams 1 GiB in and out. Client and server, which are one process here, take less than 64 MiB for it.
func TestFlatMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes and reads 1 GiB")
	}
	const size, most = 1 << 30, 64 << 20
	c := client(serve(t), keyID, secret)
	bucket := mustBucket(t, c)
	runtime.GC()
	stop := peak()
	if _, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: aws.String("large"), Body: &numbers{size: size}}); err != nil {
		t.Fatal(err)
	}
	out, err := c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: aws.String("large")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if got, want := sum(t, out.Body), sum(t, &numbers{size: size}); got != want {
		t.Errorf("read back %x, want %x", got, want)
	}
	used := stop()
	t.Logf("peak of the heap: %d MiB", used>>20)
	if used > most {
		t.Errorf("the heap grew to %d bytes, want %d at most", used, most)
	}
}

// TestLargeMultipart uploads 200 MB in parts, four at a time and in any order, and reads a range across two of them.
func TestLargeMultipart(t *testing.T) {
	if testing.Short() {
		t.Skip("writes and reads 200 MB")
	}
	const size, partSize, atOnce = 200_000_000, 8 << 20, 4
	ctx := t.Context()
	c := client(serve(t), keyID, secret)
	bucket, key := mustBucket(t, c), aws.String("large")
	upload, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	parts := make([]types.CompletedPart, (size+partSize-1)/partSize)
	next, uploading := make(chan int), sync.WaitGroup{}
	for range atOnce {
		uploading.Go(func() {
			for i := range next {
				from := int64(i) * partSize
				body := io.NewSectionReader(numbersAt{size}, from, min(partSize, size-from))
				out, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: bucket, Key: key, UploadId: upload.UploadId,
					PartNumber: aws.Int32(int32(i + 1)), Body: body})
				if err != nil {
					t.Errorf("UploadPart %d = %v", i+1, err)
					continue
				}
				parts[i] = types.CompletedPart{ETag: out.ETag, PartNumber: aws.Int32(int32(i + 1))}
			}
		})
	}
	for i := range parts {
		next <- len(parts) - 1 - i
	}
	close(next)
	uploading.Wait()
	if t.Failed() {
		return
	}
	if _, err := c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}); err != nil {
		t.Fatal(err)
	}
	out, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if got, want := sum(t, out.Body), sum(t, &numbers{size: size}); got != want || *out.ContentLength != size {
		t.Errorf("read back %d bytes, %x, want %x", *out.ContentLength, got, want)
	}
	const from = partSize - 5
	got, _, err := get(t, c, &awss3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", from, from+9))})
	want, _ := io.ReadAll(io.NewSectionReader(numbersAt{size}, from, 10))
	if err != nil || got != string(want) {
		t.Errorf("range across two parts = %q, %v, want %q", got, err, want)
	}
}

// numbersAt is numbers that several read at once.
type numbersAt struct{ size int64 }

func (n numbersAt) ReadAt(b []byte, at int64) (int, error) {
	return io.ReadFull(&numbers{at: at, size: n.size}, b)
}
