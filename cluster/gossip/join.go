package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

const (
	maxJoin     = 64                     // addresses in one Join
	rejoinEvery = 10 * time.Second       // how often members that are not alive are looked for
	rejoinTries = 3                      // how many of them at a time
	saveEvery   = time.Hour              // how often the peers file is written when nothing happens, for its times
	saveDelay   = 100 * time.Millisecond // news are collected for so long
)

// Join exchanges what is known with the nodes at some addresses, HOST:PORT, all at once. It answers nil when one of them
// answered, else what each said: nothing, no keys in common, or that it is this node. It takes at most 10 s.
func (g *Gossip) Join(ctx context.Context, addresses []string) error {
	if len(addresses) == 0 || len(addresses) > maxJoin {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("join: %d addresses, want 1 to %d", len(addresses), maxJoin))
	}
	answers := make(chan error, len(addresses))
	for _, a := range addresses {
		if !g.tasks.start(func() { answers <- g.ask(ctx, a) }) {
			return abi.WithCode(abi.Unavailable, errClosed)
		}
	}
	var faults []error
	answered := false
	for range addresses {
		select {
		case err := <-answers:
			if err != nil {
				faults = append(faults, err)
			}
			answered = answered || err == nil
		case <-ctx.Done():
			return errors.Join(append(faults, fmt.Errorf("join: %w", context.Cause(ctx)))...)
		}
	}
	if answered {
		return nil
	}
	return abi.WithCode(abi.Unavailable, errors.Join(faults...))
}

// ask exchanges what is known with the node at one address.
func (g *Gossip) ask(ctx context.Context, address string) error {
	to, err := resolve(ctx, g.resolver, address)
	if err != nil {
		return fmt.Errorf("join %s: %w", address, err)
	}
	if to == g.transport.advertise {
		return fmt.Errorf("join %s: it is this node", address)
	}
	if _, err := g.list.Join([]string{to.String()}); err != nil {
		return fmt.Errorf("join %s: %w", address, plain(err, to.String()))
	}
	return nil
}

// plain takes one error out of memberlist's list of one, and what is said of the address again.
func plain(err error, address string) error {
	var list interface{ WrappedErrors() []error }
	if errors.As(err, &list) && len(list.WrappedErrors()) == 1 {
		err = list.WrappedErrors()[0]
	}
	return errors.New(strings.TrimPrefix(err.Error(), "failed to join "+address+": "))
}

// rejoin looks for members that are not alive, until Close: memberlist itself forgets them after a while, and after a
// full partition nobody would find anybody.
func (g *Gossip) rejoin() {
	ticker := time.NewTicker(rejoinEvery)
	defer ticker.Stop()
	for {
		g.table.refresh()
		if !g.left.Load() {
			g.seek()
		}
		select {
		case <-g.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// seek tries some members that are not alive, drawn by lot.
func (g *Gossip) seek() {
	missing := g.table.missing()
	rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })
	missing = missing[:min(len(missing), rejoinTries)]
	if len(missing) == 0 {
		return
	}
	g.metrics.rejoins.Add(float64(len(missing)))
	_ = g.Join(g.ctx, missing) // that they do not answer is known
}

// noteNews has the peers file written soon. It never waits.
func (g *Gossip) noteNews() {
	select {
	case g.news <- struct{}{}:
	default:
	}
}

// keepPeers writes the peers file until Close.
func (g *Gossip) keepPeers() {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-g.news:
			select {
			case <-g.ctx.Done():
				return
			case <-time.After(saveDelay):
			}
		case <-ticker.C:
		}
		if err := g.save(); err != nil {
			g.config.Log.Warn("remember peers", "err", err)
		}
	}
}

// save writes the peers file, if there is to be one.
func (g *Gossip) save() error {
	if g.config.PeersFile == "" {
		return nil
	}
	return peersFile{Boot: g.boot, Peers: g.table.peers()}.write(g.config.PeersFile)
}
