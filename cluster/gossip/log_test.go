package gossip

import (
	"log"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &lines{}
		w := newLogWriter(slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})), newMetrics(nil))
		l := log.New(w, "", 0)
		for line, want := range map[string]string{
			"[DEBUG] memberlist: a":               "level=DEBUG msg=gossip text=a\n",
			"[INFO] memberlist: b from=1.2.3.4:5": "level=INFO msg=gossip text=b from=1.2.3.4\n",
			"[WARN] memberlist: c":                "level=WARN msg=gossip text=c\n",
			"[ERR] memberlist: d":                 "level=WARN msg=gossip text=d\n",
			"[ERROR] e":                           "level=WARN msg=gossip text=e\n",
			"f":                                   "level=DEBUG msg=gossip text=f\n",
			"":                                    "level=DEBUG msg=gossip text=\"\"\n",
			"[ERR] memberlist: Decrypt packet failed: x from=1.2.3.4:6": "msg=\"refuse gossip\" from=1.2.3.4 err=\"Decrypt packet failed: x\"\n",
			"[WARN] memberlist: ignoring alive message for 'x': y":      "level=DEBUG msg=gossip text=\"ignoring alive message",
		} {
			l.Print(line)
			if out.count(want) != 1 {
				t.Errorf("Print(%q) logs no %q", line, want)
			}
		}
		l.Print("[WARN] memberlist: c")
		l.Print("[ERR] memberlist: Decrypt packet failed: z from=1.2.3.4:7")
		if out.count("text=c") != 1 || out.count("refuse gossip") != 1 {
			t.Errorf("repeated lines are logged:\n%s", &out.text)
		}
		time.Sleep(logEvery)
		for i := range 2 * maxLogKeys {
			l.Printf("[WARN] memberlist: many %d", i)
		}
		if n := out.count("many"); n > maxLogKeys {
			t.Errorf("%d lines logged in a minute, want at most %d", n, maxLogKeys)
		}
		time.Sleep(logEvery)
		l.Print("[WARN] memberlist: " + strings.Repeat("ä", maxLogBytes))
		l.Print("[WARN] memberlist: c")
		if out.count("text=c") != 2 || len(out.text.String()) > 100*maxLogKeys+2*maxLogBytes+4000 {
			t.Errorf("after a minute: %d bytes", len(out.text.String()))
		}
		w.quiet.Store(true)
		l.Print("[WARN] memberlist: quiet")
		if out.count("quiet") != 0 {
			t.Error("logs while closing")
		}
	})
}
