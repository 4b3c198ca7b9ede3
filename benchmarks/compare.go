package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
)

// compare is the command that judges two files.
func compare(out *record.Output) *cobra.Command {
	var limit float64
	cmd := &cobra.Command{
		Use: "compare OLD NEW", Args: cobra.ExactArgs(2),
		Short: "Of the files of two runs, what has become better or worse",
		Long: `Compares the files of two runs, written with --json.

Where a benchmark has a ceiling, it compares ratios to the ceiling's figure of the same round: they hold on another
machine. "~" is no difference, as far as so many rounds can tell: p is the chance of such a difference if there is none.`,
		RunE: func(_ *cobra.Command, args []string) error {
			old, err := record.ReadFile(args[0])
			if err != nil {
				return err
			}
			next, err := record.ReadFile(args[1])
			if err != nil {
				return err
			}
			verdicts := record.Compare(old, next)
			if len(verdicts) == 0 {
				return fmt.Errorf("%s and %s have no series in common", args[0], args[1])
			}
			fmt.Fprintf(out.Out, "old: %v\nnew: %v\n\n", old.Machine, next.Machine)
			record.Print(out.Out, verdicts)
			return judge(verdicts, limit)
		},
	}
	cmd.Flags().Float64Var(&limit, "fail-above", 0, "end with 1 if a request's processor time, as a ratio to the ceiling's, has grown by more percent for certain; 0: never")
	return cmd
}

// judge is an error if processor time has grown by more percent than the limit.
func judge(verdicts []record.Verdict, limit float64) error {
	for _, v := range verdicts {
		if limit > 0 && v.ByRatio && v.Metric == record.CPU && v.Worse()*100 > limit {
			return fmt.Errorf("%v is %.0f%% more than it was, over the limit of %.0f%%", v.Key, v.Worse()*100, limit)
		}
	}
	return nil
}
