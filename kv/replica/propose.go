package replica

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

var (
	errRefused = errors.New("not accepted")                                // for certain: it can be tried elsewhere
	errSpent   = errors.New("it took effect, its reply cannot be sent on") // nor at the next try
)

// denied is the error with which Config.Admit refused a command. The command did not happen.
type denied struct{ error }

func (d denied) Unwrap() error { return d.error }

// proposal is a command on its way into an entry.
type proposal struct {
	command []byte
	outcome chan outcome // 1 slot
}

// outcome is what became of a command. An error that is not errRefused leaves that open.
type outcome struct {
	reply []byte
	index uint64 // of the entry
	err   error
}

// Propose has the group apply a command and answers the machine's reply and the index of its entry, from whichever
// replica it is called. It goes on through changes of leader until ctx ends.
//
// It may propose the command several times, also after an attempt that took effect unseen: the machine must recognise
// a command it has seen, by an id in it, and answer the same reply again.
//
// Errors have code Unavailable: op.ErrUnavailable when the command was certainly not accepted before ctx ended;
// op.ErrUnknown when it may take effect yet, after ctx ended or Config.RetryFor since the first attempt that may;
// op.ErrClosed after Close or a failure. A command over MaxCommandBytes is refused with code TooLarge. What the leader's
// Config.Admit refuses has the code of its error.
func (r *Replica) Propose(ctx context.Context, command []byte) (reply []byte, index uint64, err error) {
	r.metrics.proposals.Inc()
	if len(command) > MaxCommandBytes {
		return nil, 0, abi.WithCode(abi.TooLarge, fmt.Errorf("propose: %w: the command has %d bytes, at most %d are allowed",
			op.ErrTooLarge, len(command), MaxCommandBytes))
	}
	var doubt time.Time // when an attempt first had no known outcome
	for {
		changed := r.leaders.next()
		if err := r.usable(); err != nil {
			return nil, 0, ended("propose", doubt, err)
		}
		if r.Removed() {
			return nil, 0, ended("propose", doubt, ErrRemoved)
		}
		o := r.attempt(ctx, command)
		if o.err == nil {
			return o.reply, o.index, nil
		}
		if no := (denied{}); errors.As(o.err, &no) {
			if !doubt.IsZero() {
				return nil, 0, ended("propose", doubt, no)
			}
			return nil, 0, fmt.Errorf("propose: %w", no)
		}
		if !errors.Is(o.err, errRefused) && doubt.IsZero() {
			doubt = time.Now()
		}
		if ctx.Err() != nil {
			return nil, 0, ended("propose", doubt, fmt.Errorf("%w: %w", context.Cause(ctx), o.err))
		}
		if errors.Is(o.err, errSpent) || !doubt.IsZero() && time.Since(doubt) > r.cfg.RetryFor {
			return nil, 0, ended("propose", doubt, o.err)
		}
		r.pause(ctx, changed)
	}
}

// ended is the error of a command or read index that has found no answer.
func ended(what string, doubt time.Time, err error) error {
	switch {
	case !doubt.IsZero():
		err = fmt.Errorf("%s: %w: %w", what, op.ErrUnknown, err)
	case errors.Is(err, op.ErrClosed):
		err = fmt.Errorf("%s: %w", what, err)
	default:
		err = fmt.Errorf("%s: %w: %w", what, op.ErrUnavailable, err)
	}
	return unavailable(err)
}

// attempt proposes once: here, or to the leader.
func (r *Replica) attempt(ctx context.Context, command []byte) outcome {
	if r.Leading() != 0 {
		return r.propose(ctx, command)
	}
	l := r.leader()
	if l.ID == "" || l.ID == r.cfg.ID {
		return outcome{err: fmt.Errorf("%w: there is no leader", errRefused)}
	}
	return r.forward(ctx, l, command)
}

// propose gives the command to the batcher.
func (r *Replica) propose(ctx context.Context, command []byte) outcome {
	p := &proposal{command: command, outcome: make(chan outcome, 1)}
	select {
	case r.queue <- p:
	case <-ctx.Done():
		return outcome{err: fmt.Errorf("%w: too many are waiting", errRefused)}
	case <-r.draining:
		return outcome{err: fmt.Errorf("%w: %w", errRefused, op.ErrClosed)}
	}
	select {
	case o := <-p.outcome:
		return o
	case <-ctx.Done():
		return outcome{err: errors.New("it was proposed")}
	case <-r.drained:
		select {
		case o := <-p.outcome:
			return o
		default: // it stayed in the queue
			return outcome{err: fmt.Errorf("%w: %w", errRefused, op.ErrClosed)}
		}
	}
}

// entry is a batch of proposals in the log.
type entry struct {
	proposals []*proposal
	future    raft.ApplyFuture
}

// batch makes entries of what is proposed. While an entry is on its way, what is proposed waits for the next one: an
// entry costs each node a message, a flush and a commit, whatever is in it.
func (r *Replica) batch() {
	proposed := make(chan entry, maxEntries)
	landed := make(chan struct{}, maxEntries)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for e := range proposed {
			r.finish(e)
			landed <- struct{}{}
		}
	}()
	defer func() {
		close(proposed)
		<-finished
		close(r.drained)
	}()
	flying := 0
	var first *proposal
	for {
		if first == nil {
			select {
			case first = <-r.queue:
			case <-r.draining:
				return
			}
		}
		flying = turn(flying, landed)
		var batch []*proposal
		batch, first = r.gather(first)
		if err := r.admit(); err != nil {
			refuse(batch, err)
			continue
		}
		commands := make([][]byte, len(batch))
		for i, p := range batch {
			commands[i] = p.command
		}
		r.metrics.batch.Observe(float64(len(batch)))
		proposed <- entry{batch, r.raft.Apply(r.cfg.Pack(commands), 0)}
		flying++
	}
}

// admit asks Config.Admit, once for an entry.
func (r *Replica) admit() error {
	if r.cfg.Admit == nil {
		return nil
	}
	return r.cfg.Admit()
}

func refuse(batch []*proposal, reason error) {
	for _, p := range batch {
		p.outcome <- outcome{err: denied{reason}}
	}
}

// turn waits until an entry may go, and answers how many are on their way then.
func turn(flying int, landed <-chan struct{}) int {
	var pause <-chan time.Time
	for flying > 0 {
		select {
		case <-landed:
			flying--
			continue
		default:
		}
		if pause == nil {
			pause = time.After(entryPause)
		}
		select {
		case <-landed:
			flying--
		case <-pause:
			if flying < maxEntries {
				return flying
			}
			<-landed
			return flying - 1
		}
	}
	return 0
}

// gather takes what waits, as far as it fits in an entry beside first, and answers one that did not fit.
func (r *Replica) gather(first *proposal) (batch []*proposal, next *proposal) {
	runtime.Gosched() // those who were answered together propose together
	batch = append(batch, first)
	size := len(first.command)
	for len(batch) < maxBatchCommands && size < maxBatchBytes {
		select {
		case p := <-r.queue:
			if size += len(p.command); size > maxBatchBytes {
				return batch, p
			}
			batch = append(batch, p)
		default:
			return batch, nil
		}
	}
	return batch, nil
}

// finish waits for an entry to be applied, or lost, and tells its proposers.
func (r *Replica) finish(e entry) {
	replies, err := [][]byte(nil), e.future.Error()
	if err == nil {
		replies, err = r.repliesOf(e)
	} else if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	for i, p := range e.proposals {
		if err != nil {
			p.outcome <- outcome{err: err}
			continue
		}
		p.outcome <- outcome{reply: replies[i], index: e.future.Index()}
	}
}

// repliesOf answers what the machine replied to a committed entry. Anything but one reply for each command means that
// this node's state cannot be trusted.
func (r *Replica) repliesOf(e entry) ([][]byte, error) {
	switch answer := e.future.Response().(type) {
	case error:
		if errors.Is(answer, errSkipped) {
			r.fail(fmt.Errorf("apply entry %d: %w", e.future.Index(), answer))
		}
		return nil, answer
	case [][]byte:
		if len(answer) == len(e.proposals) {
			return answer, nil
		}
		err := fmt.Errorf("apply entry %d: %d replies to %d commands", e.future.Index(), len(answer), len(e.proposals))
		r.fail(err)
		return nil, err
	default:
		panic(fmt.Sprintf("entry %d has answer %T", e.future.Index(), answer))
	}
}
