package main

import (
	"errors"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/cluster/jobs"
	"github.com/spike-by-spike/sbs/internal/trials"
)

const trialsLong = `Trains many networks at once, and compares them. Each trial is a training of
sbs-train with other settings. One worker makes it as a whole, and all workers
together make many. Its files have the bits of sbs-train with the same flags.

The trials are all combinations of the networks that are given, of the values of
--vary, and of --seeds. --vary lr=0.05,0.1 trains with two values of --lr, and any
flag of sbs-train that does not name files can take the place of lr. A key of the
configuration can, too:
--vary learning_parameters.loss_mode=0,1 trains as --set of sbs-train does.
--vary "neurons=32,32;64,64" changes the layers. --list reads settings that belong
together from a file. All other flags apply to all trials.

All trials are checked before the first one begins. A trial whose network stops
learning is reported, and the others continue.

The folder of --output receives
  - results.csv and results.jsonl, with one row per trial. They have the same
    bytes on every run, for any number of workers
  - trial-001, trial-002 and so on, with the files that sbs-train writes:
    the model, the metrics and the checkpoint
  - chart-NAME.svg and .png, the accuracy over the values of --vary NAME, and
    chart-learning.svg and .png, the accuracy over the epochs
  - timing.csv, with the time and the worker of each trial
  - trials.json, which describes the trials
A table is printed. --plot prints the table of a folder again and draws the charts
again, without training.

The best settings are those with the best accuracy on the training images that
--holdout holds back or, without it, on the training images. Test images choose
nothing: their accuracy would be too optimistic then.

Workers send checkpoints to the server. If a worker is lost, another one continues
its trial. If the command is interrupted or killed, the same command with --resume
continues all trials.`

const trialsExample = `  sbs-cluster trials network.json --data MNIST/ --vary lr=0.05,0.1,0.2 --seeds 3 \
      --holdout 6000 -o trials/
  sbs-cluster trials small.json large.json --data MNIST/ --vary spikes=50,200 -o trials/
  sbs-cluster trials network.json --data MNIST/ --vary "neurons=32,32,64;64,64,96" \
      --vary learning_parameters.learning_rate_threshold_w=0.001,0.01 -o trials/
  sbs-cluster trials --nats nats://head:4222 model.onnx --data MNIST/ \
      --list trials.txt -o trials/ --resume
  sbs-cluster trials --plot trials/`

func trialsCommand() *cobra.Command {
	var c client
	var f trials.Flags
	cmd := &cobra.Command{
		Use:     name + " trials [flags] MODEL.onnx|CONFIG.json... --data PATH -o FOLDER\n" + name + " trials --plot FOLDER",
		Short:   "Trains many networks on several machines",
		Long:    trialsLong,
		Example: trialsExample,
		Args: func(_ *cobra.Command, args []string) error {
			return errors.Join(f.Check(args[1:]), c.check())
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.Plots() {
				return f.Plot(cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return c.trials(cmd, &f)
		},
	}
	f.Register(cmd.Flags())
	c.registerTraining(cmd.Flags())
	c.local = append(c.local, "workers")
	return cmd
}

// trials makes trials.
func (c *client) trials(cmd *cobra.Command, f *trials.Flags) (err error) {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	plan, err := f.Open(ctx, stderr) // before a server and workers are started
	if err != nil {
		return err
	}
	results, err := plan.Begin(stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, results.Close()) }()
	left := -1 // the first entry has no meaning
	for _, done := range results.Done() {
		if !done {
			left++
		}
	}
	if left > 0 {
		cores := f.Cores()
		if cores == 0 {
			cores = runtime.GOMAXPROCS(0)
		}
		if !c.localWorkers.Set { // fewer trials than cores share all of them
			c.localWorkers.Value = min(left, cores)
		}
		c.store = f.Server()
		err := c.compute(cmd, cores, func(j *jobs.Client) error {
			return j.Trials(ctx, plan, results, f.Models, f.ResumeCommand(name+" trials"))
		})
		if err != nil {
			return err
		}
	}
	return results.Finish(cmd.OutOrStdout())
}
