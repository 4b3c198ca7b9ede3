package kv

import (
	"context"
	"path/filepath"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
)

// startSystems starts all stores; what it answers is to be stopped also when there is an error.
func startSystems(ctx context.Context, p plan, out *record.Output) (systems []system, err error) {
	add := func(s system, err error) error {
		if err == nil {
			systems = append(systems, s)
		}
		return err
	}
	one, err := startSett(ctx, p.dir, 1)
	if err := add(one, err); err != nil {
		return systems, err
	}
	three, err := startSett(ctx, p.dir, 3)
	if err := add(three, err); err != nil {
		return systems, err
	}
	for _, other := range []struct {
		program string
		start   func() error
	}{
		{p.etcd, func() error {
			g, err := startEtcd(ctx, p.etcd, p.dir)
			if err := add(g, err); err != nil {
				return err
			}
			return add(&etcdShared{etcdGroup: g}, nil)
		}},
		{p.redis, func() error {
			r, err := subject.StartRedis(ctx, p.redis, filepath.Join(p.dir, "redis"))
			return add(&redisServer{r}, err)
		}},
	} {
		here, err := out.Version(ctx, other.program, "apt-get install -y --no-install-recommends etcd-server redis-server")
		if err != nil {
			return systems, err
		}
		if !here {
			continue
		}
		if err := other.start(); err != nil {
			return systems, err
		}
	}
	return systems, nil
}
