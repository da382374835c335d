package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/cluster/jobs"
	"github.com/spike-by-spike/sbs/internal/classification"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/sweep"
)

const clientLong = `

Without --nats, worker processes on this machine compute the shards, and a NATS
server in this process hands them out. With --nats, the workers that "sbs-cluster
worker" has started compute them. Models and images are sent to them, unless
--shared says that they see the files under the same path.

If the command is interrupted, the workers continue. The same command again
fetches the results. "sbs-cluster jobs" lists and removes jobs.`

const runLong = `Classifies images as sbs-run does, on several processes or machines. The
arguments, the flags and the output are those of sbs-run; see sbs-run --help. The
time is that of the whole job.` + clientLong

const runExample = `  sbs-cluster run model.onnx images/
  sbs-cluster run model.onnx images/ --local-workers 4 --format csv -o results.csv
  sbs-cluster run --nats nats://head:4222 model.onnx t10k-images-idx3-ubyte.gz
  sbs-cluster run --nats tls://head:4222 --creds me.creds --shared \
      /data/model.onnx /data/images`

const sweepLong = `Measures networks as sbs-sweep does, on several processes or machines. The
arguments, the flags and the results are those of sbs-sweep; see sbs-sweep --help.` + clientLong

const sweepExample = `  sbs-cluster sweep model.onnx --data MNIST/ --noise gaussian=0:0.6:0.1 -o results/
  sbs-cluster sweep --nats nats://head:4222 sbs.onnx cnn.onnx --data MNIST/ \
      --noise contrast=0.3,0.6 --seeds 5 -o results/`

// client holds the flags of the commands that let workers compute a job.
type client struct {
	connection

	shards       cli.OptionalInt
	shared       bool
	localWorkers cli.OptionalInt
	store        string

	local []string // flags that have an effect only without --nats
}

func (c *client) register(s *pflag.FlagSet) {
	c.local = []string{"local-workers", "store", "workers"}
	cli.IntVar(s, &c.shards, "shards", 1, fmt.Sprintf("`number` of shards, at most %d (default: one that fits the job)", engine.MaxTasks))
	c.registerWorkers(s)
	s.StringVar(&c.store, "store", "", "`folder` for the data of the NATS server in this process, without --nats: a job that was interrupted or killed then continues (default: a temporary folder)")
	cli.Group(s, "Cluster", "shards", "shared", "local-workers", "store")
	c.connection.register(s, true)
}

// registerWorkers defines the flags about the workers.
func (c *client) registerWorkers(s *pflag.FlagSet) {
	s.BoolVar(&c.shared, "shared", false, "let the workers read models and images under the same paths as this command, instead of sending them")
	cli.IntVar(s, &c.localWorkers, "local-workers", 1, "`number` of worker processes on this machine, which share the cores of --workers, without --nats (default: one per core)")
}

// registerTraining defines the flags for a training. --workers has an effect with --nats, too.
func (c *client) registerTraining(s *pflag.FlagSet) {
	c.local = []string{"local-workers"}
	c.registerWorkers(s)
	cli.Group(s, "Cluster", "shared", "local-workers")
	c.connection.register(s, true)
}

// check returns an error about flags that are invalid or contradict each other.
func (c *client) check() error {
	if err := c.connection.check(); err != nil {
		return err
	}
	i := slices.IndexFunc(c.local, c.set.Changed)
	switch {
	case c.shards.Value > engine.MaxTasks:
		return fmt.Errorf("--shards %d: want at most %d", c.shards.Value, engine.MaxTasks)
	case c.remote() && i >= 0:
		return fmt.Errorf("--%s has no effect with --nats or --context, because the workers are started with sbs-cluster worker: leave it out", c.local[i])
	case !c.remote() && c.shared:
		return errors.New("--shared has no effect without --nats: workers on this machine read the files of this machine")
	}
	return nil
}

// compute calls job with a connection to the server. cmd is the command, which has the flag --quiet.
func (c *client) compute(cmd *cobra.Command, workers int, job func(*jobs.Client) error) (err error) {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	quiet, err := cmd.Flags().GetBool("quiet")
	if err != nil {
		return err
	}
	j := &jobs.Client{Version: cli.Release(), Shards: c.shards.Value, Shared: c.shared, Quiet: quiet, Stderr: stderr}
	j.Continue = func(id string) string {
		return "the workers continue: run the same command again for the results, or end the job with\n  sbs-cluster jobs --remove " + id
	}
	if !c.remote() {
		l, err := startLocal(c.store, c.localWorkers.Value, workers)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.stop()) }()
		c.Options = l.server.Options()
		j.Shared, j.Ended, j.LocalWorkers = true, l.ended, l.workers
		defer l.startWorkers(ctx)()
		j.Continue = func(string) string {
			if c.store == "" {
				return ""
			}
			return "to continue, run the same command again"
		}
	}
	if j.Engine, err = c.connect(ctx, stderr); err != nil {
		return err
	}
	defer j.Engine.Close()
	return job(j)
}

func runCommand() *cobra.Command {
	var c client
	var f classification.Flags
	cmd := &cobra.Command{
		Use:     name + " run [flags] MODEL.onnx IMAGES...",
		Short:   "Classifies images on several machines",
		Long:    runLong,
		Example: runExample,
		Args: func(_ *cobra.Command, args []string) error {
			return errors.Join(classification.CheckArgs(name+" run", args[1:], true), c.check())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.compute(cmd, f.Workers.Value, func(j *jobs.Client) error {
				return j.Run(cmd.Context(), &f, cmd.Flags(), args[1:], cmd.OutOrStdout())
			})
		},
	}
	f.Register(cmd.Flags())
	c.register(cmd.Flags())
	return cmd
}

func sweepCommand() *cobra.Command {
	var c client
	var f sweep.Flags
	cmd := &cobra.Command{
		Use:     name + " sweep [flags] MODEL.onnx... --data PATH -o FOLDER",
		Short:   "Measures networks on several machines",
		Long:    sweepLong,
		Example: sweepExample,
		Args: func(_ *cobra.Command, args []string) error {
			f.Models = args[1:]
			return errors.Join(f.Check(), c.check())
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.compute(cmd, f.Workers.Value, func(j *jobs.Client) error {
				return j.Sweep(cmd.Context(), &f, cmd.Flags(), cmd.OutOrStdout())
			})
		},
	}
	f.Register(cmd.Flags())
	c.register(cmd.Flags())
	return cmd
}
