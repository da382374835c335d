package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/cluster/jobs"
	"github.com/spike-by-spike/sbs/internal/training"
)

const trainLong = `Trains as sbs-train does, on several processes or machines. The arguments, the
flags and the files are those of sbs-train; see sbs-train --help. The weights, the
metrics and the checkpoints have the same bits, with any number of workers.

Without --nats, worker processes on this machine compute the gradients. With
--nats, all workers that "sbs-cluster worker" has started help. They may come and
go at any time, also in the middle of an update. The training images are sent to
them, unless --shared says that they see the files under the same path. Every
worker compares their SHA-256 with that of this command.

A worker computes the gradient of one sub-batch at a time, so that there should be
at least as many sub-batches per update (--batches-per-update) as workers.

To resume a training that was interrupted or killed, run the same command with
--resume, or run sbs-train with the same flags and --resume.`

const trainExample = `  sbs-cluster train model.onnx --data MNIST/ -o tuned.onnx
  sbs-cluster train network.json --data MNIST/ -o run1/ --local-workers 4
  sbs-cluster train --nats nats://head:4222 network.json --data MNIST/ -o run1/
  sbs-cluster train --nats tls://head:4222 --creds me.creds --shared \
      network.json --data /data/MNIST/ -o run1/ --resume`

func trainCommand() *cobra.Command {
	var c client
	d := training.Distributed{Program: name + " train"}
	cmd := &cobra.Command{
		Use:     name + " train [flags] MODEL.onnx|CONFIG.json --data PATH",
		Short:   "Trains a network on several machines",
		Long:    trainLong,
		Example: trainExample,
		Args: func(_ *cobra.Command, args []string) error {
			return errors.Join(d.Check(args[1:]), c.check())
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Stat(d.Path()); err != nil { // before a server and workers are started
				return err
			}
			return c.compute(cmd, d.Cores(), func(j *jobs.Client) error {
				return j.Train(cmd.Context(), &d, cmd.OutOrStdout())
			})
		},
	}
	d.Register(cmd.Flags())
	c.registerTraining(cmd.Flags())
	cmd.Flags().Lookup("workers").Usage = "`number` of CPU cores to use on this machine: by the workers without --nats, and by tests (default: all)"
	return cmd
}
