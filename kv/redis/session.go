package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// defaultApp is the app of AUTH TOKEN, and of the user that Redis calls default.
const defaultApp = "default"

func runAuth(ctx context.Context, c *conn, args [][]byte) {
	var err error
	switch len(args) {
	case 2:
		err = c.authenticate(ctx, defaultApp, string(args[1]))
	case 3:
		err = c.authenticate(ctx, string(args[1]), string(args[2]))
	default:
		err = errSyntax
	}
	if err != nil {
		c.failRead(err)
		return
	}
	c.out.ok()
}

// authenticate makes an app's keys those the connection works on. After an error they are what they were.
func (c *conn) authenticate(ctx context.Context, app, token string) error {
	if c.server.config.Authorize == nil {
		if app == defaultApp {
			return errNoPassword
		}
		return errWrongPass
	}
	if validateApp(app) != nil {
		return errWrongPass
	}
	if err := c.authorize(ctx, app, token); err != nil {
		return err
	}
	c.enter(app)
	c.token, c.checked = token, time.Now()
	return nil
}

// enter changes the app. Keys that were watched are out of reach then, so that the next EXEC must not happen.
func (c *conn) enter(app string) {
	if app != c.app {
		c.tx.lost = len(c.tx.watched) > 0
		c.app = app
	}
}

func (c *conn) authorize(ctx context.Context, app, token string) error {
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Timeout)
	defer cancel()
	err := c.server.config.Authorize(ctx, app, token)
	if err == nil {
		return nil
	}
	switch abi.CodeOf(err) {
	case abi.Unauthorized, abi.Forbidden, abi.NotFound:
		return errWrongPass
	}
	c.server.config.Log.Warn("authorize redis connection", "app", app, "err", err)
	return errAuthNow
}

// authorizeAgain looks at a token that was good before. The connection of one that is not any more is a stranger's.
func (c *conn) authorizeAgain(ctx context.Context, now time.Time) error {
	c.settle(ctx)
	err := c.authorize(ctx, c.app, c.token)
	if errors.Is(err, errWrongPass) {
		c.enter(c.server.config.Anonymous)
		c.token = ""
		return errNoAuth
	}
	if err == nil {
		c.checked = now
	}
	return err
}

// runHello is HELLO [version [AUTH app token] [SETNAME name]].
func runHello(ctx context.Context, c *conn, args [][]byte) {
	h, err := parseHello(c.out.resp3, args[1:])
	if err == nil && h.auth {
		err = c.authenticate(ctx, h.app, h.token)
	}
	if err == nil && c.app == "" {
		err = errHelloNoAuth
	}
	if err != nil {
		c.failRead(err)
		return
	}
	if h.named {
		c.name = h.name
	}
	c.out.resp3 = h.resp3
	c.greet()
}

func (c *conn) greet() {
	proto := int64(2)
	if c.out.resp3 {
		proto = 3
	}
	c.out.pairs(7)
	c.out.text("server")
	c.out.text("redis")
	c.out.text("version")
	c.out.text(redisVersion)
	c.out.text("proto")
	c.out.integer(proto)
	c.out.text("id")
	c.out.integer(c.id)
	c.out.text("mode")
	c.out.text("standalone")
	c.out.text("role")
	c.out.text("master")
	c.out.text("modules")
	c.out.array(0)
}

// hello is what HELLO asks for.
type hello struct {
	resp3       bool
	auth, named bool // they are asked for
	app, token  string
	name        string
}

func parseHello(resp3 bool, args [][]byte) (h hello, err error) {
	h.resp3 = resp3
	if len(args) == 0 {
		return h, nil
	}
	switch n, err := parseInteger(args[0]); {
	case err != nil:
		return h, errProtoVersion
	case n != 2 && n != 3:
		return h, errNoProto
	default:
		h.resp3 = n == 3
	}
	for args = args[1:]; len(args) > 0; {
		switch {
		case is(args[0], "auth") && len(args) >= 3:
			h.auth, h.app, h.token = true, string(args[1]), string(args[2])
			args = args[3:]
		case is(args[0], "setname") && len(args) >= 2:
			if h.named, h.name = true, string(args[1]); !validName(h.name) {
				return h, errClientName
			}
			args = args[2:]
		default:
			return h, replyError("ERR Syntax error in HELLO option '" + string(args[0]) + "'")
		}
	}
	return h, nil
}

func runSelect(_ context.Context, c *conn, args [][]byte) {
	switch n, err := parseInteger(args[1]); {
	case err != nil:
		c.out.fail(errInteger)
	case n != 0:
		c.out.fail(errDBIndex)
	default:
		c.out.ok()
	}
}

func runQuit(_ context.Context, c *conn, _ [][]byte) {
	c.quit = true
	c.out.ok()
}

// runReset makes the connection as it was at first.
func runReset(_ context.Context, c *conn, _ [][]byte) {
	c.tx = transaction{}
	c.app, c.token, c.name = c.server.config.Anonymous, "", ""
	c.out.resp3 = false
	c.out.status("RESET")
}

func runPing(_ context.Context, c *conn, args [][]byte) {
	switch len(args) {
	case 1:
		c.out.status("PONG")
	case 2:
		c.out.bulk(args[1])
	default:
		c.out.fail(wrongArity("ping"))
	}
}

func runEcho(_ context.Context, c *conn, args [][]byte) { c.out.bulk(args[1]) }

func runTime(_ context.Context, c *conn, _ [][]byte) {
	now := time.Now()
	c.out.array(2)
	c.out.text(strconv.FormatInt(now.Unix(), 10))
	c.out.text(strconv.Itoa(now.Nanosecond() / 1000))
}

func runClientID(_ context.Context, c *conn, _ [][]byte) { c.out.integer(c.id) }

func runClientGetName(_ context.Context, c *conn, _ [][]byte) {
	if c.name == "" {
		c.out.null()
		return
	}
	c.out.text(c.name)
}

func runClientSetName(_ context.Context, c *conn, args [][]byte) {
	if !validName(string(args[2])) {
		c.out.fail(errClientName)
		return
	}
	c.name = string(args[2])
	c.out.ok()
}

// runClientSetInfo takes the library's name and version and forgets them.
func runClientSetInfo(_ context.Context, c *conn, args [][]byte) {
	if !is(args[2], "lib-name") && !is(args[2], "lib-ver") {
		c.out.fail(replyError("ERR Unrecognized option '" + string(args[2]) + "'"))
		return
	}
	c.out.ok()
}

func runClientInfo(_ context.Context, c *conn, _ [][]byte) {
	proto := "2"
	if c.out.resp3 {
		proto = "3"
	}
	c.out.verbatim("id=" + strconv.FormatInt(c.id, 10) + " addr=" + c.nc.RemoteAddr().String() + " laddr=" +
		c.nc.LocalAddr().String() + " name=" + c.name + " age=" + strconv.Itoa(int(time.Since(c.since).Seconds())) +
		" db=0 user=" + c.app + " resp=" + proto + "\n")
}

// validName says whether a client can be called so: printable ASCII without spaces.
func validName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r < '!' || r > '~' })
}
