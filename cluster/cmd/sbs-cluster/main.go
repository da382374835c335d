// Command sbs-cluster classifies images, runs sweeps and trains on several machines, by means of NATS.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/internal/cli"
)

func main() { os.Exit(cli.Main(newCommand)) }

const name = "sbs-cluster"

const long = `Lets several processes, on any number of machines, compute the jobs of sbs-run,
sbs-sweep and sbs-train. The results have the same bytes, and the weights of a
training the same bits. "train" divides one training among all workers, and
"trials" makes many trainings at once, such as one for each learning rate.

Without --nats, "sbs-cluster run", "sweep", "train" and "trials" start worker
processes on this machine. With --nats, every machine that runs
"sbs-cluster worker" helps. Workers may come and go: what a lost worker has
computed is given to another one.

The server is any NATS server or cluster of servers of version 2.10 or later with
JetStream, such as "nats-server -js".`

const example = `  sbs-cluster run model.onnx images/
  sbs-cluster worker --nats nats://head:4222             # on every machine
  sbs-cluster run --nats nats://head:4222 model.onnx images/ -o results.txt
  sbs-cluster sweep --nats nats://head:4222 model.onnx --data MNIST/ \
      --noise contrast=0:0.8:0.2 -o results/
  sbs-cluster train --nats nats://head:4222 network.json --data MNIST/ -o run1/
  sbs-cluster trials --nats nats://head:4222 network.json --data MNIST/ \
      --vary lr=0.05,0.1,0.2 --seeds 3 --holdout 6000 -o trials/`

// newCommand returns the command that the first argument names.
func newCommand(args []string) *cobra.Command {
	commands := map[string]func() *cobra.Command{"run": runCommand, "sweep": sweepCommand, "train": trainCommand, "trials": trialsCommand, "worker": workerCommand, "jobs": jobsCommand}
	if len(args) > 0 {
		if command, ok := commands[args[0]]; ok {
			return command()
		}
	}
	return &cobra.Command{
		Use:     strings.Join([]string{name + " run [flags] MODEL.onnx IMAGES...", name + " sweep [flags] MODEL.onnx... --data PATH -o FOLDER", name + " train [flags] MODEL.onnx|CONFIG.json --data PATH", name + " trials [flags] MODEL.onnx|CONFIG.json... --data PATH -o FOLDER", name + " worker --nats URL", name + " jobs --nats URL"}, "\n"),
		Short:   "Computes the jobs of sbs-run, sbs-sweep and sbs-train on several machines",
		Long:    long,
		Example: example,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("the first word must be run, sweep, train, trials, worker or jobs, not %q (see --help)", args[0])
			}
			return errors.New("expected run, sweep, train, trials, worker or jobs (see --help)")
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
}
