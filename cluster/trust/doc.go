// Package trust says who may come into the cluster. An Authority issues certificates that name a node of one cluster;
// an Identity is a node's key and certificate, on disk; a Port is the one TLS listener of a node, on which both sides of
// every stream have proved who they are; a Token and Join bring a new node in; Records are what the store holds of all
// this, and an Admission answers those who join.
//
// Guarantee: what Stream.Accept and Stream.Dial answer is a connection to a node that holds a certificate of this
// cluster which has neither expired nor been removed. No key leaves its node; no secret is sent before the other end
// has proved that it belongs to the cluster the token names.
package trust
