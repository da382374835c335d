package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/cluster/engine"
)

const jobsLong = `Lists the jobs on a NATS server: those at work, and those whose results nobody has
fetched. With --remove, it removes one of them, or all.`

const jobsExample = `  sbs-cluster jobs --nats nats://head:4222
  sbs-cluster jobs --nats nats://head:4222 --remove 3f1c9a4e0b7d25680c1b9d0e4f7a8213`

func jobsCommand() *cobra.Command {
	var c connection
	var remove string
	cmd := &cobra.Command{
		Use:     name + " jobs [flags] --nats URL",
		Short:   "Lists and removes jobs",
		Long:    jobsLong,
		Example: jobsExample,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return fmt.Errorf("unexpected argument %q (see --help)", args[1])
			case !c.remote():
				return errors.New("the NATS server is missing: give it with --nats, such as --nats nats://head:4222, or with --context")
			}
			return c.check()
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := c.connect(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer e.Close()
			list, err := e.Jobs(cmd.Context())
			if err != nil {
				return err
			}
			if remove == "" {
				return printJobs(cmd.OutOrStdout(), list)
			}
			removed := 0
			for _, j := range list {
				if remove == "all" || remove == j.ID {
					if err := e.Remove(cmd.Context(), j.ID); err != nil {
						return err
					}
					removed++
				}
			}
			if removed == 0 && remove != "all" {
				return fmt.Errorf("there is no job %s on the server: sbs-cluster jobs lists them", remove)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "removed %d jobs\n", removed)
			return err
		},
	}
	cmd.Flags().StringVar(&remove, "remove", "", "`ID` of a job to remove, or all")
	c.register(cmd.Flags(), false)
	return cmd
}

// printJobs prints a table of jobs.
func printJobs(out io.Writer, list []engine.JobInfo) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "there are no jobs")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "job\tstarted\tshards done\tshards left\tMB")
	for _, j := range list {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.1f\n", j.ID, j.Created.Local().Format(time.DateTime), j.Results, j.Waiting, float64(j.Bytes)/1e6)
	}
	return t.Flush()
}
