package component

import (
	"slices"
	"strings"
)

// accessDenied is wasi:sockets' error code of what is not permitted.
const accessDenied = 1

// socketFunctions are wasi:sockets'. Their functions are there because libraries import them, and refuse: a component
// reaches others by wasi:http alone. Nobody gets a socket, and so whoever calls a method of one holds no handle of it.
// Source: WASI 0.2, wit/deps/sockets.
func socketFunctions() []function {
	// A socket, a network or whether there is an address, an address by its kind and the parts of an IPv6 one, a result.
	address := strings.Repeat("i", 1+1+12+1) + ":"
	refuse := func(c *Call, ret uint64) {
		at := c.at(ret, 4)
		c.put8(at, 1)
		c.put8(at+4, accessDenied)
	}
	create := func(c *Call, p []uint64) { refuse(c, p[1]) }
	return slices.Concat(
		group("wasi:sockets/instance-network@0.2", function{"instance-network", ":i", false, func(c *Call, p []uint64) {
			p[0] = uint64(c.own(network{}, 0))
		}}),
		group("wasi:sockets/network@0.2", function{"network-error-code", "ii:", false, func(c *Call, p []uint64) {
			use[*streamError](c, p[0])
			c.put8(c.at(p[1], 1), 0)
		}}),
		group("wasi:sockets/ip-name-lookup@0.2", append(methodsOf[lookup]([][2]string{
			{"resolve-next-address", "ii:"}, {"subscribe", "i:i"},
		}), function{"resolve-addresses", "iiii:", false, func(c *Call, p []uint64) {
			use[network](c, p[0])
			refuse(c, p[3])
		}})...),
		group("wasi:sockets/tcp-create-socket@0.2", function{"create-tcp-socket", "ii:", false, create}),
		group("wasi:sockets/udp-create-socket@0.2", function{"create-udp-socket", "ii:", false, create}),
		group("wasi:sockets/tcp@0.2", methodsOf[tcpSocket]([][2]string{
			{"start-bind", address}, {"finish-bind", "ii:"}, {"start-connect", address}, {"finish-connect", "ii:"},
			{"start-listen", "ii:"}, {"finish-listen", "ii:"}, {"accept", "ii:"}, {"local-address", "ii:"},
			{"remote-address", "ii:"}, {"is-listening", "i:i"}, {"address-family", "i:i"},
			{"set-listen-backlog-size", "ili:"}, {"keep-alive-enabled", "ii:"}, {"set-keep-alive-enabled", "iii:"},
			{"keep-alive-idle-time", "ii:"}, {"set-keep-alive-idle-time", "ili:"}, {"keep-alive-interval", "ii:"},
			{"set-keep-alive-interval", "ili:"}, {"keep-alive-count", "ii:"}, {"set-keep-alive-count", "iii:"},
			{"hop-limit", "ii:"}, {"set-hop-limit", "iii:"}, {"receive-buffer-size", "ii:"},
			{"set-receive-buffer-size", "ili:"}, {"send-buffer-size", "ii:"}, {"set-send-buffer-size", "ili:"},
			{"subscribe", "i:i"}, {"shutdown", "iii:"},
		})...),
		group("wasi:sockets/udp@0.2", slices.Concat(methodsOf[udpSocket]([][2]string{
			{"start-bind", address}, {"finish-bind", "ii:"}, {"stream", address}, {"local-address", "ii:"},
			{"remote-address", "ii:"}, {"address-family", "i:i"}, {"unicast-hop-limit", "ii:"},
			{"set-unicast-hop-limit", "iii:"}, {"receive-buffer-size", "ii:"}, {"set-receive-buffer-size", "ili:"},
			{"send-buffer-size", "ii:"}, {"set-send-buffer-size", "ili:"}, {"subscribe", "i:i"},
		}), methodsOf[datagramsIn]([][2]string{
			{"receive", "ili:"}, {"subscribe", "i:i"},
		}), methodsOf[datagramsOut]([][2]string{
			{"check-send", "ii:"}, {"send", "iiii:"}, {"subscribe", "i:i"},
		}))...),
		[]function{dropped[network](), dropped[tcpSocket](), dropped[udpSocket](), dropped[datagramsIn](),
			dropped[datagramsOut](), dropped[lookup]()},
	)
}

// methodsOf makes methods of a resource that nobody has, of their names and signatures. They trap, as any function does
// whose handle stands for nothing.
func methodsOf[T resource](list [][2]string) []function {
	var r T
	methods := make([]function, len(list))
	for i, m := range list {
		methods[i] = function{"[method]" + r.resource() + "." + m[0], m[1], false, func(c *Call, p []uint64) { use[T](c, p[0]) }}
	}
	return methods
}

// There are no sockets: of these, handles of a network alone are given away.
type (
	network      struct{ nothing }
	tcpSocket    struct{ nothing }
	udpSocket    struct{ nothing }
	datagramsIn  struct{ nothing }
	datagramsOut struct{ nothing }
	lookup       struct{ nothing }
)

func (network) resource() string      { return "network" }
func (tcpSocket) resource() string    { return "tcp-socket" }
func (udpSocket) resource() string    { return "udp-socket" }
func (datagramsIn) resource() string  { return "incoming-datagram-stream" }
func (datagramsOut) resource() string { return "outgoing-datagram-stream" }
func (lookup) resource() string       { return "resolve-address-stream" }
