package kv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sett-run/sett/benchmarks/subject"
)

// etcdGroup is three nodes of etcd, with its defaults.
type etcdGroup struct {
	nodes     []*subject.Program
	addresses []string // for clients
}

// etcdShared is the same nodes, with one connection for all clients of this process, as those of one program that
// share a client of etcd's library.
type etcdShared struct {
	*etcdGroup
	conn *grpcConn // to the leader; nil: none yet
}

func (g *etcdShared) name() string { return "etcd x3 1c" }

func (g *etcdShared) connect(ctx context.Context, o operation) (connection, error) {
	if g.conn == nil {
		c, err := g.dial(ctx)
		if err != nil {
			return nil, err
		}
		g.conn = c
	}
	return newEtcdClient(g.conn, o, func() error { return nil }), nil
}

func (g *etcdShared) stop() error {
	if g.conn == nil {
		return nil
	}
	return g.conn.close()
}

func startEtcd(ctx context.Context, program, dir string) (*etcdGroup, error) {
	const count = 3
	ports, err := subject.FreePorts(ctx, 2*count)
	if err != nil {
		return nil, err
	}
	peer := func(i int) string { return "http://127.0.0.1:" + ports[2*i] }
	var members []string
	for i := range count {
		members = append(members, fmt.Sprintf("node-%d=%s", i, peer(i)))
	}
	g := &etcdGroup{}
	for i := range count {
		name := fmt.Sprintf("node-%d", i)
		data := filepath.Join(dir, "etcd", name)
		if err := os.MkdirAll(data, 0o700); err != nil {
			return nil, errors.Join(err, g.stop())
		}
		address := "127.0.0.1:" + ports[2*i+1]
		p := subject.NewProgram(ctx, program, "--name", name, "--data-dir", data, "--logger", "zap", "--log-level", "error",
			"--listen-peer-urls", peer(i), "--initial-advertise-peer-urls", peer(i),
			"--listen-client-urls", "http://"+address, "--advertise-client-urls", "http://"+address,
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new")
		if err := p.Start(); err != nil {
			return nil, errors.Join(err, g.stop())
		}
		g.nodes, g.addresses = append(g.nodes, p), append(g.addresses, address)
	}
	err = g.nodes[0].WaitFor(ctx, func() error { _, err := g.leader(ctx); return err })
	if err != nil {
		return nil, errors.Join(err, g.stop())
	}
	return g, nil
}

func (g *etcdGroup) name() string       { return "etcd x3" }
func (g *etcdGroup) can(operation) bool { return true }

func (g *etcdGroup) servers() (pids []int) {
	for _, p := range g.nodes {
		pids = append(pids, p.PID())
	}
	return pids
}

func (g *etcdGroup) stop() error {
	for _, p := range g.nodes {
		p.Stop()
	}
	return nil
}

// leader answers the address of the node that leads.
func (g *etcdGroup) leader(ctx context.Context) (string, error) {
	for _, address := range g.addresses {
		leads, err := etcdLeads(ctx, address)
		if err != nil {
			return "", err
		}
		if leads {
			return address, nil
		}
	}
	return "", errors.New("etcd has no leader")
}

func etcdLeads(ctx context.Context, address string) (bool, error) {
	c, err := dialGRPC(ctx, address)
	if err != nil {
		return false, err
	}
	defer c.close()
	status, err := c.call(grpcMethod("/etcdserverpb.Maintenance/Status"), nil)
	if err != nil {
		return false, err
	}
	header, err := field(status, 1)
	if err != nil {
		return false, err
	}
	self, err := number(header, 2) // member_id
	if err != nil {
		return false, err
	}
	leader, err := number(status, 4)
	return self != 0 && self == leader, err
}

func (g *etcdGroup) dial(ctx context.Context) (*grpcConn, error) {
	leader, err := g.leader(ctx)
	if err != nil {
		return nil, err
	}
	return dialGRPC(ctx, leader)
}

func (g *etcdGroup) connect(ctx context.Context, o operation) (connection, error) {
	c, err := g.dial(ctx)
	if err != nil {
		return nil, err
	}
	return newEtcdClient(c, o, c.close), nil
}

// etcdClient does with etcd's calls what the others do with Redis's. Numbers of fields are those of etcd's rpc.proto
// and kv.proto.
type etcdClient struct {
	conn      *grpcConn
	operation operation
	method    []byte
	leave     func() error
	counted   uint64 // of the counter, as this client saw it last
	revision  uint64 // at which it was so
}

func newEtcdClient(c *grpcConn, o operation, leave func() error) *etcdClient {
	methods := map[operation]string{set: "Put", get: "Range", strongGet: "Range", setMany: "Txn", incr: "Txn"}
	return &etcdClient{conn: c, operation: o, method: grpcMethod("/etcdserverpb.KV/" + methods[o]), leave: leave}
}

func (c *etcdClient) close() error { return c.leave() }

func (c *etcdClient) do(key int, value []byte) (err error) {
	switch c.operation {
	case set:
		_, err = c.conn.call(c.method, put(keyOf(key), value))
	case get, strongGet:
		request := text(nil, 1, []byte(keyOf(key)))
		if c.operation == get { // serializable: what the node has
			request = protowire.AppendVarint(protowire.AppendTag(request, 7, protowire.VarintType), 1)
		}
		var answer []byte
		if answer, err = c.conn.call(c.method, request); err == nil {
			_, err = field(answer, 2) // kvs
		}
	case setMany:
		var request []byte
		for i := range txnKeys {
			request = text(request, 2, text(nil, 2, put(keyOf(key+i), value))) // success, request_put
		}
		_, err = c.conn.call(c.method, request)
	case incr:
		err = c.incr()
	}
	return err
}

func put(key string, value []byte) []byte { return text(text(nil, 1, []byte(key)), 2, value) }

// incr compares and sets until nobody comes between, which is how etcd counts. What a failed attempt answers is what
// the next one begins with.
func (c *etcdClient) incr() error {
	const key = "counter"
	for {
		compare := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 2) // target: modified
		compare = text(compare, 3, []byte(key))
		compare = protowire.AppendVarint(protowire.AppendTag(compare, 6, protowire.VarintType), c.revision)
		request := text(nil, 1, compare)
		request = text(request, 2, text(nil, 2, put(key, fmt.Append(nil, c.counted+1)))) // success
		request = text(request, 3, text(nil, 1, text(nil, 1, []byte(key))))              // failure: request_range
		answer, err := c.conn.call(c.method, request)
		if err != nil {
			return err
		}
		succeeded, err := number(answer, 2)
		if err != nil {
			return err
		}
		if succeeded == 1 {
			header, err := field(answer, 1)
			if err != nil {
				return err
			}
			c.counted++
			c.revision, err = number(header, 3)
			return err
		}
		if err := c.learn(answer); err != nil {
			return err
		}
	}
}

// learn takes the counter as a failed attempt answered it.
func (c *etcdClient) learn(answer []byte) error {
	for _, n := range []protowire.Number{3, 1, 2} { // responses, response_range, kvs
		var err error
		if answer, err = field(answer, n); err != nil {
			return err
		}
	}
	var err error
	if c.revision, err = number(answer, 3); err != nil { // mod_revision
		return err
	}
	value, err := field(answer, 5)
	if err != nil {
		return err
	}
	_, err = fmt.Sscan(string(value), &c.counted)
	return err
}

// text appends a field of bytes, or a message.
func text(b []byte, n protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), value)
}

// field answers the first field of a message with a number, which holds bytes.
func field(message []byte, n protowire.Number) ([]byte, error) {
	content, err := find(message, n, protowire.BytesType)
	if err != nil {
		return nil, err
	}
	content, _ = protowire.ConsumeBytes(content)
	return content, nil
}

// number answers a field that holds one; 0 when it is not there.
func number(message []byte, n protowire.Number) (uint64, error) {
	content, err := find(message, n, protowire.VarintType)
	if errors.Is(err, errNoField) {
		return 0, nil
	}
	value, _ := protowire.ConsumeVarint(content)
	return value, err
}

var errNoField = errors.New("field is not there")

// find answers a message from a field's content on.
func find(message []byte, n protowire.Number, kind protowire.Type) ([]byte, error) {
	for len(message) > 0 {
		number, k, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		message = message[size:]
		if size = protowire.ConsumeFieldValue(number, k, message); size < 0 {
			return nil, protowire.ParseError(size)
		}
		if number == n && k == kind {
			return message, nil
		}
		message = message[size:]
	}
	return nil, errNoField
}
