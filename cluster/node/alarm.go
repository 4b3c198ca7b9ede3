package node

import (
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
)

// Of alarms.
const (
	// alarmPause is how often the leader's node looks for what apps are told of.
	alarmPause = 5 * time.Second
	// A quota of which so many percent are used raises an alarm, which is over when it is less than fullAgain: a usage that
	// goes up and down about one number would raise one after the other.
	fullPercent, fullAgain = 90, 80
)

// alarms are what the leader's node has told apps.
type alarms struct {
	arrived map[queueID]int64  // messages that have ever come into a queue of dead letters
	full    map[quotaName]bool // quotas that are nearly used up
}

type queueID struct{ app, queue string }

type quotaName struct{ app, what string }

// raiseAlarms tells apps of dead letters and of full quotas while this node leads, until Close. What happens while there is
// no leader is not told.
func (n *Node) raiseAlarms() {
	for a := new(alarms); n.pause(alarmPause); {
		if n.store.Replica().Leading() == 0 {
			*a = alarms{}
			continue
		}
		if err := n.lookForAlarms(a); err != nil && n.ctx.Err() == nil {
			n.log.Warn("look for alarms", "err", err)
		}
	}
}

// lookForAlarms tells the apps that have a rule or an archive what has happened since a.
func (n *Node) lookForAlarms(a *alarms) error {
	now := alarms{map[queueID]int64{}, map[quotaName]bool{}}
	for _, app := range n.apps() {
		heard, err := n.busHeard(n.ctx, app)
		if err == nil && heard {
			err = n.lookForDeadLetters(app, a, &now)
		}
		if err == nil && heard {
			err = n.lookForQuotas(app, a, &now)
		}
		if err != nil {
			return err
		}
	}
	*a = now
	return nil
}

// apps are those that have functions.
func (n *Node) apps() (all []string) {
	for _, f := range n.registry.Snapshot().Functions() { // in the order of their apps
		if len(all) == 0 || all[len(all)-1] != f.App {
			all = append(all, f.App)
		}
	}
	return all
}

func (n *Node) lookForDeadLetters(app string, before, now *alarms) error {
	dead, arrived, messages := map[string]bool{}, map[string]int64{}, map[string]int64{}
	for q := (op.QueueQuery{}); ; {
		page, after, err := n.queues.List(n.ctx, app, q)
		if err != nil {
			return err
		}
		for _, i := range page {
			dead[i.DeadLetter] = true
			arrived[i.Name], messages[i.Name] = i.Stats.Arrived, i.Stats.Messages
		}
		if q.After = after; after == "" {
			break
		}
	}
	for name, came := range arrived {
		if !dead[name] {
			continue
		}
		id := queueID{app, name}
		now.arrived[id] = came
		if seen, known := before.arrived[id]; known && came > seen {
			n.announce(n.ctx, app, registry.BusEvent{Source: registry.PlatformSource + "queue", DetailType: "Dead Letters Arrived"},
				map[string]any{"app": app, "queue": name, "arrived": came - seen, "messages": messages[name]})
		}
	}
	return nil
}

func (n *Node) lookForQuotas(app string, before, now *alarms) error {
	u, err := n.store.Usage(n.ctx, app)
	if err != nil {
		return err
	}
	for what, of := range map[string]struct{ used, quota int64 }{"keys": {u.Keys, u.Quota.Keys}, "bytes": {u.Bytes, u.Quota.Bytes}} {
		name := quotaName{app, what}
		was, bound := before.full[name], int64(fullPercent)
		if was {
			bound = fullAgain
		}
		is := of.quota > 0 && float64(of.used) >= float64(of.quota)*float64(bound)/100
		now.full[name] = is
		if is == was {
			continue
		}
		state := "OK"
		if is {
			state = "ALARM"
		}
		n.announce(n.ctx, app, registry.BusEvent{Source: registry.PlatformSource + "alarm", DetailType: "Alarm State Change"},
			map[string]any{"app": app, "alarm": "quota-" + what, "state": state, "used": of.used, "quota": of.quota})
	}
	return nil
}
