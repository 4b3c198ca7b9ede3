package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/sdk/client"
)

const (
	nodes     = 3
	readyTime = time.Minute // until something that should be so is so
)

// den is the nodes of one cluster.
type den struct{ members []*member }

// member is a node: a process that can be killed and started again.
type member struct {
	*subject.Process // nil: it does not run
	dir, join        string
	id               string
	client           *client.Client
}

// startDen starts the nodes in folders of dir and waits until all of them vote.
func startDen(ctx context.Context, dir string) (d *den, err error) {
	d = new(den)
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop())
		}
	}()
	for i := range nodes {
		m := &member{dir: filepath.Join(dir, "node"+strconv.Itoa(i+1))}
		if i > 0 {
			invite, err := d.members[0].client.Invite(ctx, client.InviteRequest{})
			if err != nil {
				return d, err
			}
			m.join = invite.Token
		}
		if err := m.start(ctx); err != nil {
			return d, err
		}
		d.members = append(d.members, m)
	}
	return d, until(ctx, "all nodes vote", func() (bool, error) {
		s, err := d.members[0].client.Cluster(ctx)
		return s.Voters == nodes && s.Alive == nodes && s.Leader != "", err
	})
}

// start returns when the node is ready.
func (m *member) start(ctx context.Context) (err error) {
	if m.Process, err = subject.StartNode(ctx, m.dir, m.join); err != nil {
		return err
	}
	if m.client, err = client.New("http://"+m.Admin, ""); err != nil {
		return err
	}
	s, err := m.client.Cluster(ctx)
	m.id = s.Node
	return err
}

func (m *member) kill() error {
	p := m.Process
	m.Process = nil
	m.client.Close()
	return p.Kill()
}

// stop ends the nodes that run.
func (d *den) stop() (err error) {
	for _, m := range d.members {
		if m.Process != nil {
			m.client.Close()
			err = errors.Join(err, m.Stop())
		}
	}
	return err
}

// leader answers the node that leads.
func (d *den) leader(ctx context.Context) (leader *member, err error) {
	err = until(ctx, "there is a leader", func() (bool, error) {
		s, err := d.members[0].client.Cluster(ctx)
		for _, m := range d.members {
			if m.id == s.Leader {
				leader = m
			}
		}
		return leader != nil, err
	})
	return leader, err
}

// others are all nodes but one.
func (d *den) others(than *member) (others []*member) {
	for _, m := range d.members {
		if m != than {
			others = append(others, m)
		}
	}
	return others
}

// until asks again and again until something is so.
func until(ctx context.Context, what string, is func() (bool, error)) error {
	var err error
	for end := time.Now().Add(readyTime); time.Now().Before(end); {
		var so bool
		if so, err = is(); so && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return errors.Join(fmt.Errorf("wait until %s: not after %s", what, readyTime), err)
}
