package host

import (
	"context"
	"unsafe"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

//go:wasmimport sett queue_send
func queueSend(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett queue_receive
func queueReceive(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett queue_settle
func queueSettle(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett queue_stats
func queueStats(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett topic_publish
func topicPublish(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

//go:wasmimport sett event_put
func eventPut(ptr unsafe.Pointer, n uint32, to unsafe.Pointer, room, timeout uint32) int32

// QueueSend sends messages to a queue.
func QueueSend(ctx context.Context, s *abi.QueueSend) ([]op.Sent, error) {
	answer, err := ask(ctx, abi.QueueError, abi.AppendQueueSend(nil, s), queueSend)
	if err != nil {
		return nil, unknown(err)
	}
	return abi.DecodeQueueSent(answer)
}

// QueueReceive takes messages from a queue.
func QueueReceive(ctx context.Context, r *abi.QueueReceive) ([]op.Message, error) {
	answer, err := ask(ctx, abi.QueueError, abi.AppendQueueReceive(nil, r), queueReceive)
	if err != nil {
		return nil, err
	}
	return abi.DecodeQueueMessages(answer)
}

// QueueSettle deletes and releases messages that were received.
func QueueSettle(ctx context.Context, s *abi.QueueSettle) (op.Settled, error) {
	answer, err := ask(ctx, abi.QueueError, abi.AppendQueueSettle(nil, s), queueSettle)
	if err != nil {
		return op.Settled{}, unknown(err)
	}
	return abi.DecodeQueueSettled(answer)
}

// QueueStats counts what a queue holds.
func QueueStats(ctx context.Context, queue string) (op.QueueStats, error) {
	answer, err := ask(ctx, abi.QueueError, abi.AppendQueueName(nil, queue), queueStats)
	if err != nil {
		return op.QueueStats{}, err
	}
	return abi.DecodeQueueStats(answer)
}

// TopicPublish publishes messages to a topic.
func TopicPublish(ctx context.Context, s *abi.QueueSend) ([]op.Sent, error) {
	answer, err := ask(ctx, abi.QueueError, abi.AppendQueueSend(nil, s), topicPublish)
	if err != nil {
		return nil, unknown(err)
	}
	return abi.DecodeQueueSent(answer)
}

// EventPut puts events on the bus.
func EventPut(ctx context.Context, s *abi.QueueSend) ([]op.Sent, error) {
	answer, err := ask(ctx, abi.QueueError, abi.AppendQueueSend(nil, s), eventPut)
	if err != nil {
		return nil, unknown(err)
	}
	return abi.DecodeQueueSent(answer)
}
