package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/cluster/jobs"
	"github.com/spike-by-spike/sbs/internal/cli"
)

const workerLong = `Computes shards of the jobs that "sbs-cluster run" and "sbs-cluster sweep" give
to a NATS server, gradients for "sbs-cluster train", and the trainings of
"sbs-cluster trials", until it is interrupted.

Start it once on every machine. It waits for jobs, and keeps waiting if the server
is restarted. After SIGTERM or Ctrl-C it hands back the shard at work, which
another worker computes then. A worker computes only the jobs of its own version.
It takes part in a training until the training ends. Before it ends, it sends the
checkpoint of a trial to the server.

Models and images that travel with a job are kept in --folder, so that later jobs
do not fetch them again. Without the flag, they are removed when the worker ends.`

const workerExample = `  sbs-cluster worker --nats nats://head:4222
  sbs-cluster worker --nats tls://head:4222 --creds worker.creds --workers 8 --folder /var/cache/sbs`

// fromParent is the value of --nats of a worker that another process has started. The worker reads its
// options from the standard input, and ends when that ends.
const fromParent = "-"

// worker holds the flags of a worker.
type worker struct {
	connection

	cores  cli.OptionalInt
	folder string
	quiet  bool
}

func workerCommand() *cobra.Command {
	var w worker
	cmd := &cobra.Command{
		Use:     name + " worker [flags] --nats URL",
		Short:   "Computes shards of jobs",
		Long:    workerLong,
		Example: workerExample,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return fmt.Errorf("unexpected argument %q: a worker gets models and images from the server (see --help)", args[1])
			case !w.remote():
				return errors.New("the NATS server is missing: give it with --nats, such as --nats nats://head:4222, or with --context")
			case w.LostAfter != 0 && w.LostAfter < time.Second:
				return fmt.Errorf("--lost-after %v: want at least a second, such as 30s", w.LostAfter)
			}
			return w.check()
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return w.run(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
		},
	}
	s := cmd.Flags()
	cli.IntVar(s, &w.cores, "workers", 0, "`number` of CPU cores to use (default: all)")
	s.StringVar(&w.folder, "folder", "", fmt.Sprintf("`folder` for models and images, of which at most %d GiB are kept (default: a temporary folder)", jobs.DefaultLimit>>30))
	s.DurationVar(&w.LostAfter, "lost-after", 0, fmt.Sprintf("`time` without a sign of life after which a shard is given to another worker; it is set for all workers on the server (default: what is set, or else %v)", engine.DefaultLostAfter))
	s.Lookup("lost-after").DefValue = "0" // pflag would print another one
	s.BoolVar(&w.quiet, "quiet", false, "print only errors")
	w.register(s, false)
	return cmd
}

func (w *worker) run(ctx context.Context, stdin io.Reader, stderr io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if w.URL == fromParent {
		in := bufio.NewReader(stdin)
		line, err := in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("the options of the server are missing in the standard input: %w", err)
		}
		if err := json.Unmarshal(line, &w.Options); err != nil {
			return fmt.Errorf("the options of the server are damaged: %w", err)
		}
		go func() {
			_, _ = io.Copy(io.Discard, in)
			cancel()
		}()
	}
	path := w.folder
	if path == "" {
		if path, err = os.MkdirTemp("", "sbs-cluster-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(path)) }()
	}
	folder, err := jobs.OpenFolder(path, jobs.DefaultLimit)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	e, err := w.connect(ctx, stderr)
	if err != nil {
		return err
	}
	defer e.Close()
	cores := w.cores.Value
	if cores == 0 {
		cores = runtime.GOMAXPROCS(0)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	work := &jobs.Work{Version: w.Version, Name: fmt.Sprintf("%s (process %d)", host, os.Getpid()), Cores: cores, Folder: folder, Engine: e}
	work.Log = func(format string, args ...any) {
		if !w.quiet {
			fmt.Fprintf(stderr, format+"\n", args...)
		}
	}
	own := &engine.Worker{Name: work.Name, Cores: cores, Open: work.Open, Log: work.Log}
	own.Log("%s", waits(own.Name, cores))
	return e.Work(ctx, own)
}

// waits is the first line of a worker.
func waits(worker string, cores int) string {
	unit := "cores"
	if cores == 1 {
		unit = "core"
	}
	return fmt.Sprintf("worker %s with %d %s waits for jobs", worker, cores, unit)
}
