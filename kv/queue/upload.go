package queue

import "strings"

// UploadPrefix begins the names of the queues of what becomes of objects.
const UploadPrefix = "upload/"

// UploadQueue is the name of the queue of what a function is told of a bucket's objects. It is FIFO, so that what becomes
// of one key is told in its order.
func UploadQueue(function, bucket string) string {
	return UploadPrefix + bucket + "/" + function + ".fifo"
}

// IsUpload says whether a queue is one that UploadQueue names.
func IsUpload(queue string) bool { return strings.HasPrefix(queue, UploadPrefix) }
