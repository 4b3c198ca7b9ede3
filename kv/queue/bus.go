package queue

import "strings"

// An app's event bus is a topic of its own kind: see topic.go. Its rules and archives are its subscriptions.

// BusQueue is the name of the queue of what is put on an app's event bus.
const BusQueue = "bus/default"

// RuleQueue is the name of the queue of a function's rule on the bus.
func RuleQueue(function, rule string) string { return BusQueue + "/function/" + function + "/" + rule }

// ArchiveQueue is the name of the queue that is an archive of the bus.
func ArchiveQueue(archive string) string { return BusQueue + "/archive/" + archive }

// IsOfBus says whether a queue is that of a rule or an archive.
func IsOfBus(queue string) bool { return strings.HasPrefix(queue, BusQueue+"/") }
