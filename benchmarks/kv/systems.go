package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// startSystems starts all stores; what it answers is to be stopped also when there is an error.
func startSystems(ctx context.Context, p plan, out io.Writer) (systems []system, err error) {
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
			r, err := startRedis(ctx, p.redis, p.dir)
			return add(r, err)
		}},
	} {
		version, err := exec.CommandContext(ctx, other.program, "--version").Output()
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintf(out, "%s is left out: apt-get install -y --no-install-recommends etcd-server redis-server\n", other.program)
			continue
		}
		if err != nil {
			return systems, fmt.Errorf("%s --version: %w", other.program, err)
		}
		fmt.Fprintf(out, "%s\n", strings.SplitN(string(version), "\n", 2)[0])
		if err := other.start(); err != nil {
			return systems, err
		}
	}
	return systems, nil
}
