package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/sweep"
)

// sweepKind is the kind of the jobs of sbs-sweep.
func sweepKind() kind { return kind{shardFlags: sweep.ShardFlags(), open: openSweep} }

type sweeping struct{ *sweep.Sweep }

func (s sweeping) Units() int { return s.Rows() }

// Shard returns the files of a part of the sweep, in JSON.
func (s sweeping) Shard(ctx context.Context, shard cli.Shard) (data []byte, err error) {
	folder, err := os.MkdirTemp("", "sbs-cluster-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := s.Part(ctx, shard, folder); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range sweep.PartFiles {
		if files[name], err = os.ReadFile(filepath.Join(folder, name)); err != nil {
			return nil, err
		}
	}
	return json.Marshal(files)
}

// Close does nothing: a sweep opens its models for each shard.
func (sweeping) Close() error { return nil }

func openSweep(ctx context.Context, in *inputs) (opened, error) {
	var f sweep.Flags
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.Register(set)
	if err := parseFlags(set, sweep.ShardFlags(), in.flags); err != nil {
		return nil, err
	}
	f.Models, f.Data, f.Labels, f.Names, f.Workers.Value = in.models, in.data, in.labels, in.names, in.workers
	f.Output = "the folder of the shard"
	if err := f.Check(); err != nil {
		return nil, err
	}
	s, err := f.Open(ctx, io.Discard)
	if err != nil {
		return nil, err
	}
	return sweeping{s}, nil
}

// Sweep runs sbs-sweep on the workers of c, and prints the summary.
func (c *Client) Sweep(ctx context.Context, f *sweep.Flags, set *pflag.FlagSet, stdout io.Writer) error {
	if err := f.CheckOutput(); err != nil {
		return err
	}
	s, err := f.Open(ctx, c.Stderr)
	if err != nil {
		return err
	}
	j := &job{
		opened: sweeping{s}, name: kindSweep, unit: "rows", shards: c.Shards, flags: cli.GivenFlags(set, sweep.ShardFlags()),
		models: f.Models, data: f.Data, labels: f.Labels, save: savePartOfSweep,
	}
	switch {
	case j.shards == 0:
		j.shards = min(s.Rows(), maxSweepShards)
	case j.shards > s.Rows():
		return cli.Usage(fmt.Errorf("--shards %d: the sweep has only %d rows: use at most that many shards", j.shards, s.Rows()))
	}
	return c.compute(ctx, j, func(folder string) error {
		var parts []string
		for i := range j.shards {
			parts = append(parts, partPath(folder, i+1))
		}
		return f.Merge(parts, stdout, c.Stderr)
	})
}

// maxSweepShards is the largest number of shards of a sweep, unless it is given. A shard has at least
// one row.
const maxSweepShards = 1000

// savePartOfSweep writes the part of a shard of a sweep.
func savePartOfSweep(folder string, shard int, data []byte) error {
	var files map[string][]byte
	if err := json.Unmarshal(data, &files); err != nil {
		return fmt.Errorf("the result of shard %d is damaged: %w", shard, err)
	}
	part := partPath(folder, shard)
	if err := os.Mkdir(part, 0o755); err != nil {
		return err
	}
	for _, name := range sweep.PartFiles {
		if err := os.WriteFile(filepath.Join(part, name), files[name], 0o600); err != nil {
			return err
		}
	}
	return nil
}
