package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// maxInviteTTL is how long a token to join with may be good for.
const maxInviteTTL = 7 * 24 * time.Hour

// cluster shows and changes who belongs to the cluster.
func (c *cli) cluster() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Join nodes, list them, and back up what they hold",
		Example: "  sett cluster invite          print a join token; on the next machine:\n" +
			"  sett up --join TOKEN",
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.AddCommand(c.members(), c.clusterStatus(), c.invite(), c.leave(), c.removeMember(), c.rotate(), c.backup(), c.restore(), c.recover())
	return cmd
}

func (c *cli) members() *cobra.Command {
	return &cobra.Command{
		Use:   "members",
		Short: "List the nodes of the cluster",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			to, err := c.client()
			if err != nil {
				return err
			}
			members, err := to.Members(cmd.Context())
			if err != nil {
				return fmt.Errorf("cluster members: %w", err)
			}
			if c.format == formatJSON {
				return c.json(client.MemberList{Members: notNil(members)})
			}
			rows := make([][]string, 0, len(members))
			for _, m := range members {
				rows = append(rows, memberRow(m))
			}
			return c.table([]string{"NAME", "ID", "ROLE", "STATE", "HTTP", "REGION", "VERSION", "RTT"}, rows, "RTT")
		},
	}
}

func memberRow(m client.Member) []string {
	role, rtt, region := m.Role, "-", m.Region
	if m.Leader {
		role += ", leader"
	}
	if m.RTTMS > 0 {
		rtt = microText(m.RTTMS * 1000)
	}
	if m.Self {
		rtt = "here"
	}
	if region == "" {
		region = "-"
	}
	return []string{m.Name, m.ID, role, m.State, m.HTTP, region, m.Version, rtt}
}

func (c *cli) clusterStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how the cluster is, as the node sees it",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			to, err := c.client()
			if err != nil {
				return err
			}
			s, err := to.Cluster(cmd.Context())
			if err != nil {
				return fmt.Errorf("cluster status: %w", err)
			}
			if c.format == formatJSON {
				return c.json(s)
			}
			return c.facts(statusFacts(s))
		},
	}
}

func statusFacts(s client.ClusterStatus) [][2]string {
	leader, quorum, ready := s.Leader, "yes", "yes"
	if leader == "" {
		leader = "none is known"
	}
	if !s.Quorum {
		quorum = "no: nothing can be written until a majority of the voters is back"
	}
	if !s.Ready {
		ready = "no: " + s.NotReady
	}
	return [][2]string{
		{"cluster", s.ID}, {"node", s.Node}, {"ready", ready}, {"leader", leader}, {"quorum", quorum},
		{"members", fmt.Sprintf("%s, %s; %d alive", count(s.Voters, "voter"), count(s.Readers, "reader"), s.Alive)},
		{"term", strconv.FormatUint(s.Term, 10)}, {"committed", strconv.FormatUint(s.Commit, 10)},
		{"applied here", strconv.FormatUint(s.Applied, 10)}, {"feature level", strconv.Itoa(s.Level)}, {"gossip keys", s.Keyring}, {"root", s.Root},
	}
}

func (c *cli) invite() *cobra.Command {
	var ttl time.Duration
	var role string
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Create a token with which one node may join, once, and print it",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			to, err := c.client()
			if err != nil {
				return err
			}
			switch {
			case ttl < time.Second || ttl > maxInviteTTL:
				return usage("cluster invite: --ttl %s: it is between 1s and %s", durationText(ttl), durationText(maxInviteTTL))
			case role != client.RoleVoter && role != client.RoleReader:
				return usage("cluster invite: --role %q: it is %s or %s", role, client.RoleVoter, client.RoleReader)
			}
			invite, err := to.Invite(cmd.Context(), client.InviteRequest{TTLSeconds: int64(ttl.Seconds()), Role: role})
			if err != nil {
				return fmt.Errorf("cluster invite: %w", err)
			}
			if c.format == formatJSON {
				return c.json(invite)
			}
			fmt.Fprintf(c.err, "one node may join as a %s until %s:  sett up --join TOKEN\n", invite.Role, timeText(invite.Expires))
			if invite.Note != "" {
				fmt.Fprintf(c.err, "%s\non this machine a node needs a directory and ports of its own: --data DIR --name NAME"+
					" --http 127.0.0.1:0 --admin 127.0.0.1:0 --cluster 127.0.0.1:0\n", printable(invite.Note))
			}
			_, err = fmt.Fprintln(c.out, invite.Token)
			return err
		},
	}
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "`TIME` how long the token is good for, up to 168h")
	cmd.Flags().StringVar(&role, "role", client.RoleVoter, "`ROLE` voter, or reader, which has the state and no vote")
	return cmd
}

func (c *cli) leave() *cobra.Command {
	return &cobra.Command{
		Use:   "leave",
		Short: "Make the node leave its cluster for good; stop it afterwards",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			to, err := c.client()
			if err != nil {
				return err
			}
			if err := to.Leave(cmd.Context()); err != nil {
				return fmt.Errorf("cluster leave: %w", err)
			}
			if c.format == formatJSON {
				return c.json(map[string]string{"left": to.Node()})
			}
			_, err = fmt.Fprintf(c.out, "%s has left its cluster; stop it now\n", to.Node())
			return err
		},
	}
}

func (c *cli) removeMember() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME|ID",
		Short: "Remove a node that is gone for good; it cannot come back under its id",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := c.client()
			if err != nil {
				return err
			}
			id, err := memberID(cmd.Context(), to, args[0])
			if err == nil {
				err = to.RemoveMember(cmd.Context(), id)
			}
			if err != nil {
				return fmt.Errorf("cluster remove %s: %w", args[0], err)
			}
			if c.format == formatJSON {
				return c.json(map[string]string{"removed": id})
			}
			_, err = fmt.Fprintf(c.out, "%s removed\n", printable(args[0]))
			return err
		},
	}
}

func (c *cli) rotate() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate keys|authority",
		Short: "Replace the gossip keys, or the authority with all certificates, while the nodes go on",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret := client.Secret(args[0])
			if secret != client.SecretKeys && secret != client.SecretAuthority {
				return usage("cluster rotate: %q: it is %s or %s", args[0], client.SecretKeys, client.SecretAuthority)
			}
			to, err := c.client()
			if err == nil {
				err = to.Rotate(cmd.Context(), secret)
			}
			if err != nil {
				return fmt.Errorf("cluster rotate %s: %w", secret, err)
			}
			if c.format == formatJSON {
				return c.json(map[string]string{"rotated": args[0]})
			}
			_, err = fmt.Fprintf(c.out, "%s rotated on all nodes\n", secret)
			return err
		},
	}
}

// memberID answers the id of the member of a name, or the word itself when it is no name.
func memberID(ctx context.Context, to *client.Client, word string) (id string, err error) {
	members, err := to.Members(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range members {
		switch {
		case m.ID == word:
			return word, nil
		case m.Name == word && id != "":
			return "", abi.WithCode(abi.Conflict, errors.New("several members have this name: give the id"))
		case m.Name == word:
			id = m.ID
		}
	}
	if id == "" {
		return "", abi.WithCode(abi.NotFound, errors.New("no such member; see: sett cluster members"))
	}
	return id, nil
}

func (c *cli) backup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE|-",
		Short: "Write the cluster's state, as of one moment, and its modules to a file; - is stdout",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := c.client()
			if err != nil {
				return err
			}
			if args[0] == "-" {
				_, err = to.Backup(cmd.Context(), c.out)
				return wrapBackup(args[0], err)
			}
			size, err := writeWhole(args[0], func(w io.Writer) (int64, error) { return to.Backup(cmd.Context(), w) })
			if err != nil {
				return wrapBackup(args[0], err)
			}
			if c.format == formatJSON {
				return c.json(map[string]any{"file": args[0], "size_bytes": size})
			}
			_, err = fmt.Fprintf(c.out, "%s: %s\n", args[0], sizeText(size))
			return err
		},
	}
}

// restore works without a node.
func (c *cli) restore() *cobra.Command {
	var config upConfig
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a data directory of a backup",
		Long: "No node is asked. sett up on the directory begins a new cluster with the functions and the state of\n" +
			"the old one.",
		Example: "  sett cluster restore monday.zip --data /var/lib/sett\n" +
			"  sett up --data /var/lib/sett",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := config.complete(os.Environ())
			if err != nil {
				return err
			}
			done, err := node.Restore(cmd.Context(), args[0], config.Data)
			if err != nil {
				return fmt.Errorf("cluster restore %s: %w", args[0], err)
			}
			if c.format == formatJSON {
				return c.json(map[string]any{"data": config.Data, "created": done.Time, "index": done.Index, "modules": done.Modules, "chunks": done.Chunks})
			}
			_, err = fmt.Fprintf(c.out, "%s holds the state of %s, %s and %s of objects; start it with: sett up --data %s\n", config.Data,
				timeText(done.Time), count(done.Modules, "module"), count(done.Chunks, "chunk"), config.Data)
			return err
		},
	}
	cmd.Flags().StringVar(&config.Data, "data", "", dataUsage)
	return cmd
}

// recover works without a node.
func (c *cli) recover() *cobra.Command {
	var config upConfig
	sure := false
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Make a stopped node the only one of its cluster, when the majority is gone for good",
		Long: "Without a majority of the voters nothing can be written any more. This makes one node that is\n" +
			"left, and stopped, the only one of its cluster: what the others acknowledged and it never\n" +
			"received is lost. They are removed, and must never run again with the data they have. Take the node\n" +
			"whose log is newest: see \"applied here\" in sett cluster status of each.",
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := config.complete(os.Environ())
			if err != nil {
				return err
			}
			if !sure {
				return usage("cluster recover: what only the lost nodes have is gone for ever, and they must never run again: add --yes")
			}
			index, err := node.Recover(config.Data, newLogger(c.err))
			if err != nil {
				return fmt.Errorf("cluster recover: %w", err)
			}
			if c.format == formatJSON {
				return c.json(map[string]any{"data": config.Data, "index": index})
			}
			_, err = fmt.Fprintf(c.out, "%s is its cluster's only node, as of entry %d; start it with: sett up --data %s\n", config.Data, index, config.Data)
			return err
		},
	}
	cmd.Flags().StringVar(&config.Data, "data", "", dataUsage)
	cmd.Flags().BoolVar(&sure, "yes", false, yesUsage)
	return cmd
}

func wrapBackup(file string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cluster backup %s: %w", file, err)
}

// writeWhole makes a file of what fill writes, only whole, and readable by its owner alone: it holds secrets.
func writeWhole(name string, fill func(io.Writer) (int64, error)) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.partial")
	if err != nil {
		return 0, notThere(filepath.Dir(name), err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	size, err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return size, os.Rename(f.Name(), name)
}
