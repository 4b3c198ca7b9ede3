package replica

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// countMachine costs nothing, so that what is measured is the replica.
type countMachine struct {
	*toy
	applied atomic.Uint64
}

func (m *countMachine) Apply(index uint64, entry []byte) ([][]byte, error) {
	m.applied.Store(index)
	return make([][]byte, len(entry)/benchCommandBytes), nil
}

func (m *countMachine) Applied() uint64 { return m.applied.Load() }
func (m *countMachine) Durable() uint64 { return m.applied.Load() }

const benchCommandBytes = 160

func benchPack(commands [][]byte) []byte {
	b := make([]byte, 0, len(commands)*benchCommandBytes)
	for _, c := range commands {
		b = append(b, c...)
	}
	return b
}

// benchGroup starts voters on disk, over TCP, and answers them with the leader first.
func benchGroup(b *testing.B, voters int) []*Replica {
	dir := b.TempDir()
	var transports []Transport
	var servers []Server
	for i := range voters {
		t, err := ListenTCP(b.Context(), "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		transports = append(transports, t)
		servers = append(servers, Server{ID: fmt.Sprint(i), Address: t.Addr().String(), Voter: true})
	}
	var replicas []*Replica
	for i, t := range transports {
		r, err := Open(Config{ID: servers[i].ID, Dir: filepath.Join(dir, servers[i].ID),
			Machine: &countMachine{toy: newToy()}, Pack: benchPack, Transport: t, Bootstrap: servers})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { r.Close() })
		replicas = append(replicas, r)
	}
	for {
		for i, r := range replicas {
			if r.Leading() != 0 {
				replicas[0], replicas[i] = replicas[i], replicas[0]
				return replicas
			}
		}
		if _, err := replicas[0].ReadIndex(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// share has clients do what is to be done b.N times.
func share(b *testing.B, clients int, do func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var work sync.WaitGroup
	b.ResetTimer()
	for range clients {
		work.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

// BenchmarkPropose commits commands of 160 bytes, flushed on a majority. Voters share one disk and the processor.
func BenchmarkPropose(b *testing.B) {
	for _, voters := range []int{1, 3} {
		replicas := benchGroup(b, voters)
		for _, from := range []string{"leader", "follower"} {
			r := replicas[0]
			if from == "follower" {
				if voters == 1 {
					continue
				}
				r = replicas[1]
			}
			for _, clients := range []int{1, 128} {
				b.Run(fmt.Sprintf("voters=%d/%s/clients=%d", voters, from, clients), func(b *testing.B) {
					command := make([]byte, benchCommandBytes)
					share(b, clients, func() error {
						_, _, err := r.Propose(b.Context(), command)
						return err
					})
				})
			}
		}
	}
}

// BenchmarkReadIndex asks for indices through the leader and a follower of three.
func BenchmarkReadIndex(b *testing.B) {
	replicas := benchGroup(b, 3)
	for i, from := range []string{"leader", "follower"} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/clients=%d", from, clients), func(b *testing.B) {
				share(b, clients, func() error {
					index, err := replicas[i].ReadIndex(b.Context())
					if err != nil {
						return err
					}
					return replicas[i].Wait(b.Context(), index)
				})
			})
		}
	}
}
