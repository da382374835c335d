package jobs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/classification"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// runKind is the kind of the jobs of sbs-run.
func runKind() kind { return kind{shardFlags: classification.ShardFlags(), open: openRun} }

type run struct{ *classification.Run }

func (r run) Units() int { return r.Images() }

// Shard returns the part of a shard.
func (r run) Shard(ctx context.Context, s cli.Shard) ([]byte, error) {
	var part bytes.Buffer
	err := r.Run.Shard(ctx, s, &part, io.Discard)
	return part.Bytes(), err
}

func openRun(ctx context.Context, in *inputs) (opened, error) {
	var f classification.Flags
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.Register(set)
	if err := parseFlags(set, classification.ShardFlags(), in.flags); err != nil {
		return nil, err
	}
	if len(in.models) != 1 || len(in.data) == 0 {
		return nil, errors.New("the job needs one model and images")
	}
	f.Labels, f.Workers.Value = in.labels, in.workers
	r, err := f.Open(ctx, classification.Inputs{Model: in.models[0], Images: in.data, Names: in.names}, io.Discard)
	if err != nil {
		return nil, err
	}
	return run{r}, nil
}

// Run runs sbs-run with the arguments MODEL and IMAGES on the workers of c, and prints the results.
func (c *Client) Run(ctx context.Context, f *classification.Flags, set *pflag.FlagSet, args []string, stdout io.Writer) error {
	return f.Write(stdout, append([]string{f.Labels}, args...), func(out io.Writer) error {
		start := time.Now()
		r, err := f.Open(ctx, classification.Inputs{Model: args[0], Images: args[1:]}, c.Stderr)
		if err != nil {
			return err
		}
		j := &job{
			opened: run{r}, name: kindRun, unit: "images", shards: c.Shards, flags: cli.GivenFlags(set, classification.ShardFlags()),
			models: args[:1], data: args[1:], labels: f.Labels, save: savePart,
		}
		if j.shards == 0 {
			j.shards = shardsOf(r.Images(), r.Updates())
		}
		return c.compute(ctx, j, func(folder string) error {
			var parts []string
			for i := range j.shards {
				parts = append(parts, partPath(folder, i+1))
			}
			return classification.Merge(ctx, parts, time.Since(start), out, c.Stderr)
		})
	})
}

// shardsOf returns the number of shards of a run, unless it is given: a lost worker does not cost much,
// and shards take much longer than handing them out.
func shardsOf(images int, updates float64) int {
	const (
		least, most = 16, 2000
		overhead    = 20000 // cost of an image apart from its updates, as a number of updates
		shardCost   = 2e8   // updates that one core computes in about a second
	)
	cost := updates + float64(overhead*float64(images))
	return max(min(max(int(cost/shardCost), least), most, images), 1)
}

// partPath returns the path of the part of a shard.
func partPath(folder string, shard int) string { return filepath.Join(folder, strconv.Itoa(shard)) }

// savePart writes the part of a shard of a run.
func savePart(folder string, shard int, data []byte) error {
	return os.WriteFile(partPath(folder, shard), data, 0o600)
}
