package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// maxSendBytes is how much of --lines is sent at once; a node takes twice as much.
const maxSendBytes = op.MaxTxnBytes / 2

// messageFlags say what is sent or published.
type messageFlags struct {
	file         string
	attributes   []string
	lines        bool
	group, dedup string
	delay        time.Duration
}

func (f *messageFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", fileUsage)
	flags.StringArrayVar(&f.attributes, "attr", nil, "`NAME[:TYPE]=VALUE` attribute, whose type is String unless it is said (repeatable)")
	flags.BoolVar(&f.lines, "lines", false, linesUsage)
}

// message is what the flags say of every message, without a body.
func (f *messageFlags) message(cmd *cobra.Command) (op.Outgoing, error) {
	m := op.Outgoing{Group: f.group, Dedup: f.dedup, Delay: f.delay}
	if cmd.Flags().Changed("delay") && f.delay == 0 {
		m.Delay = op.NoDelay
	}
	if f.delay < 0 {
		return m, usage("%s: --delay %s: it is between 0 and %s", verb(cmd), durationText(f.delay), durationText(op.MaxDelay))
	}
	if f.lines && f.dedup != "" {
		return m, usage("%s: with --dedup all --lines would be the same message", verb(cmd))
	}
	for _, word := range f.attributes {
		name, value, ok := strings.Cut(word, "=")
		name, kind, _ := strings.Cut(name, ":")
		if !ok || name == "" {
			return m, usage("%s: --attr %q: it is NAME=VALUE or NAME:TYPE=VALUE", verb(cmd), word)
		}
		if kind == "" {
			kind = "String"
		}
		m.Attributes = append(m.Attributes, op.Attribute{Name: name, Type: kind, Value: []byte(value)})
	}
	return m, nil
}

// sender gives messages to a queue or a topic.
type sender func(ctx context.Context, messages ...op.Outgoing) ([]op.Sent, error)

// sendAll sends what the words and flags say.
func (c *cli) sendAll(cmd *cobra.Command, f messageFlags, words []string, send sender) error {
	m, err := f.message(cmd)
	if err != nil {
		return err
	}
	given := len(words)
	if cmd.Flags().Changed("file") {
		given++
	}
	switch {
	case f.lines && len(words) > 0:
		return usage("%s: --lines are those of stdin or --file; leave the body out", verb(cmd))
	case !f.lines && given != 1:
		return usage("%s: give the body once: as a word, - for stdin, or by --file", verb(cmd))
	}
	from, closeFile, err := c.source(f.file)
	if err != nil {
		return err
	}
	defer closeFile()
	if f.lines {
		return c.sendLines(cmd.Context(), from, m, send)
	}
	if m.Body = []byte(strings.Join(words, "")); len(words) == 0 || words[0] == "-" {
		if m.Body, err = io.ReadAll(io.LimitReader(from, op.MaxMessageBytes+1)); err != nil {
			return fmt.Errorf("read message: %w", err)
		}
		if len(m.Body) > op.MaxMessageBytes {
			return errMessageTooLarge()
		}
	}
	if err := m.Validate(); err != nil {
		return abi.WithCode(codeOfMessage(err), err)
	}
	sent, err := send(cmd.Context(), m)
	if err != nil {
		return err
	}
	return c.showSent(sent)
}

func errMessageTooLarge() error {
	return abi.WithCode(abi.TooLarge, fmt.Errorf("the message is over the limit of %d bytes", op.MaxMessageBytes))
}

func codeOfMessage(err error) abi.Code {
	if errors.Is(err, op.ErrTooLarge) {
		return abi.TooLarge
	}
	return abi.InvalidInput
}

// source answers where a body or lines are read from.
func (c *cli) source(file string) (r io.Reader, end func(), err error) {
	if file == "" || file == "-" {
		return c.in, func() {}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, notThere(file, err)
	}
	return f, func() { f.Close() }, nil
}

// sendLines sends a message a line, many at once. After an error those before it are sent.
func (c *cli) sendLines(ctx context.Context, from io.Reader, like op.Outgoing, send sender) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, op.MaxMessageBytes+1)
	var all []op.Sent
	var batch []op.Outgoing
	size, line := 0, 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		sent, err := send(ctx, batch...)
		all, batch, size = append(all, sent...), batch[:0], 0
		return err
	}
	for err := error(nil); lines.Scan(); {
		m := like
		line++
		if m.Body = bytes.Clone(lines.Bytes()); len(m.Body) == 0 {
			continue
		}
		if err = m.Validate(); err != nil {
			return abi.WithCode(codeOfMessage(err), fmt.Errorf("line %d, after %s sent: %w", line, count(len(all), "message"), err))
		}
		if len(batch) == op.MaxSend || size+m.Bytes() > maxSendBytes {
			if err = flush(); err != nil {
				return fmt.Errorf("after %s sent: %w", count(len(all), "message"), err)
			}
		}
		batch, size = append(batch, m), size+m.Bytes()
	}
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = errMessageTooLarge()
	}
	if err != nil {
		return fmt.Errorf("read line %d, after %s sent: %w", line+1, count(len(all), "message"), err)
	}
	if err := flush(); err != nil {
		return fmt.Errorf("after %s sent: %w", count(len(all), "message"), err)
	}
	if c.format != formatJSON {
		_, err := fmt.Fprintf(c.out, "%s sent\n", count(len(all), "message"))
		return err
	}
	return c.showSent(all)
}

// showSent prints the messages' ids.
func (c *cli) showSent(sent []op.Sent) error {
	if c.format == formatJSON {
		return c.json(client.SendResponseOf(sent))
	}
	for _, s := range sent {
		if _, err := fmt.Fprintln(c.out, s.ID); err != nil {
			return err
		}
		if s.Duplicate {
			fmt.Fprintf(c.err, "sett: note: %s was sent before and is not sent again\n", s.ID)
		}
	}
	return nil
}

func (c *cli) queueSend() *cobra.Command {
	var flags messageFlags
	cmd := &cobra.Command{
		Use:   "send NAME [BODY|-]",
		Short: "Send a message, or one for each line, and print its id",
		Example: "  sett queue send orders '{\"id\":7}' --attr kind=gift --delay 5m\n" +
			"  sett queue send orders --lines < orders.ndjson\n" +
			"  sett queue send payments.fifo --file payment.json --group ada",
		Args:              arguments(1, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&flags.group, "group", "", "`ID` group of a FIFO queue, whose messages come in order")
	cmd.Flags().StringVar(&flags.dedup, "dedup", "", "`ID` of a FIFO queue: messages with the same id are one, within 5 minutes")
	cmd.Flags().DurationVar(&flags.delay, "delay", 0, "`TIME` how long until a message can be received, up to 15m (default the queue's)")
	cmd.RunE = c.on(c.queue(), func(k call) error {
		return c.sendAll(k.cmd, flags, k.args, func(ctx context.Context, messages ...op.Outgoing) ([]op.Sent, error) {
			return k.node.Queues().Send(ctx, c.app, k.name, messages...)
		})
	})
	return cmd
}

func (c *cli) queueReceive() *cobra.Command {
	var ask op.Receive
	ack := false
	cmd := &cobra.Command{
		Use:   "receive NAME",
		Short: "Receive messages; their bodies go to stdout, and all else with -o json",
		Long: "Each body ends its line. A message that is not deleted, by --ack or by its receipt with sett queue\n" +
			"delete-message, comes again after its visibility timeout.",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().IntVar(&ask.Max, "limit", 1, "at most `N` messages, up to 10000")
	cmd.Flags().DurationVar(&ask.Wait, "wait", 0, "`TIME` how long a receive waits for a first message, up to 20s (default the queue's)")
	cmd.Flags().DurationVar(&ask.Visibility, "visibility", 0, "`TIME` how long until a message that was received comes again, up to 12h (default the queue's)")
	cmd.Flags().BoolVar(&ack, "ack", false, "delete messages once they are printed")
	cmd.RunE = c.on(c.queue(), func(k call) error {
		switch {
		case ask.Max < 1 || ask.Max > op.MaxReceive:
			return usage("queue receive: --limit %d: it is between 1 and %d", ask.Max, op.MaxReceive)
		case ask.Wait < 0 || ask.Wait > op.MaxWait:
			return usage("queue receive: --wait %s: it is between 0 and %s", durationText(ask.Wait), durationText(op.MaxWait))
		case k.cmd.Flags().Changed("visibility") && (ask.Visibility < time.Millisecond || ask.Visibility > op.MaxVisibility):
			return usage("queue receive: --visibility %s: it is between 1ms and %s", durationText(ask.Visibility), durationText(op.MaxVisibility))
		case k.cmd.Flags().Changed("wait") && ask.Wait == 0:
			ask.Wait = op.NoWait
		}
		messages, err := k.node.Queues().Receive(k.ctx(), c.app, k.name, ask)
		if err != nil {
			return err
		}
		if err := c.showMessages(messages); err != nil || !ack || len(messages) == 0 {
			return err
		}
		return c.deleteMessages(k, receiptsOf(messages))
	})
	return cmd
}

func receiptsOf(messages []op.Message) (receipts []string) {
	for _, m := range messages {
		receipts = append(receipts, m.Receipt)
	}
	return receipts
}

func (c *cli) showMessages(messages []op.Message) error {
	if c.format == formatJSON {
		out := client.ReceiveResponse{Messages: []client.ReceivedMessage{}}
		for _, m := range messages {
			out.Messages = append(out.Messages, client.ReceivedMessageOf(m))
		}
		return c.json(out)
	}
	for _, m := range messages {
		if !bytes.HasSuffix(m.Body, []byte("\n")) {
			m.Body = append(m.Body, '\n')
		}
		if _, err := c.out.Write(m.Body); err != nil {
			return fmt.Errorf("write body: %w", err)
		}
	}
	return nil
}

// deleteMessages deletes messages by their receipts. Those that did not hold are an error, after the others are deleted.
func (c *cli) deleteMessages(k call, receipts []string) error {
	done, err := k.node.Queues().Settle(k.ctx(), c.app, k.name, op.Settlement{Delete: receipts})
	if err != nil {
		return err
	}
	lost := 0
	for _, held := range done.Delete {
		if !held {
			lost++
		}
	}
	if lost > 0 {
		return abi.WithCode(abi.Conflict, fmt.Errorf("%s of %d did not hold: received again since, or settled", count(lost, "receipt"), len(receipts)))
	}
	return nil
}

func (c *cli) queueDeleteMessage() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete-message NAME RECEIPT...",
		Short:             "Delete messages that were received, by their receipts",
		Args:              arguments(2, op.MaxReceive),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = c.on(c.queue(), func(k call) error {
		if err := c.deleteMessages(k, k.args); err != nil {
			return err
		}
		if c.format == formatJSON {
			return c.json(map[string]int{"deleted": len(k.args)})
		}
		_, err := fmt.Fprintf(c.out, "%s deleted\n", count(len(k.args), "message"))
		return err
	})
	return cmd
}
