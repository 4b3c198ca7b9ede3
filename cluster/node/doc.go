// Package node assembles a node.
package node
