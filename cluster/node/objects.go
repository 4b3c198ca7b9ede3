package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sett-run/sett/cluster/peer"
	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/blob/s3"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/sdk/abi"
)

// objectsDir is where this node's chunks of objects are, below the data directory.
const objectsDir = "objects"

func (n *Node) openObjects(context.Context) (err error) {
	n.objects, err = blob.Open(blob.Config{Dir: n.dir.join(objectsDir), Store: n.store, Peers: chunkPeers{n}, Heard: n.heard,
		Admit: n.store.CheckSpace, Log: n.log, Metrics: n.metrics})
	if err != nil {
		return err
	}
	n.push("objects", func(context.Context) error { n.objects.Close(); return nil })
	return nil
}

// keepObjects collects and scrubs chunks, until Close.
func (n *Node) keepObjects() {
	n.objects.Maintain(n.ctx, func() bool { return n.store.Replica().Leading() != 0 })
}

// chunkPeers are the other nodes, as those that have chunks of objects.
type chunkPeers struct{ *Node }

// Spread is for blob.Peers: the nearest node that takes the chunk has it.
func (n chunkPeers) Spread(ctx context.Context, c blob.Chunk) (err error) {
	others := n.others()
	for _, other := range others {
		within, cancel := context.WithTimeout(ctx, spreadTimeout)
		err = n.den.client.HoldThis(within, other, peer.FetchRequest{Kind: peer.KindChunk, Digest: c.Digest, SizeBytes: c.SizeBytes,
			Holders: []peer.Node{n.self()}})
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		n.log.Warn("spread chunk", "chunk", c.Digest, "node", other.ID, "err", err)
	}
	if len(others) == 0 {
		return nil
	}
	return abi.WithCode(abi.Unavailable, fmt.Errorf("no other node could take the chunk: %w", err))
}

// Fetch is for blob.Peers.
func (n chunkPeers) Fetch(ctx context.Context, c blob.Chunk, into blob.Sink) error {
	return n.den.client.Fetch(ctx, peer.FetchRequest{Kind: peer.KindChunk, Digest: c.Digest, SizeBytes: c.SizeBytes, Holders: n.others()}, into)
}

// guestObjects are the objects as functions reach them.
type guestObjects struct{ *blob.Objects }

// By is for host.Objects.
func (g guestObjects) By(origin op.ObjectOrigin, records host.Store) host.ObjectCalls {
	objects := g.Objects.By(origin)
	if records != nil {
		objects = objects.Over(records)
	}
	return objects
}

// serveS3 answers S3's API, if it has an address.
func (n *Node) serveS3() {
	if n.s3Listener == nil {
		return
	}
	server := s3.New(s3.Config{Objects: n.objects, Key: n.s3Key, Domain: n.config.S3Domain, Log: n.log}).HTTP()
	n.group.Go(func() {
		if err := server.Serve(lingering{n.s3Listener}); !errors.Is(err, http.ErrServerClosed) {
			n.report("s3", err)
		}
	})
	n.push("s3", func(ctx context.Context) error {
		if err := server.Shutdown(ctx); err != nil {
			return errors.Join(err, server.Close())
		}
		return nil
	})
}

// s3Key answers what an access key stands for.
func (n *Node) s3Key(ctx context.Context, id string) (s3.Key, error) {
	app, secret, ok, err := n.admin.S3Key(ctx, id)
	if err == nil && !ok {
		err = s3.ErrNoKey
	}
	return s3.Key{App: app, Secret: secret}, err
}
