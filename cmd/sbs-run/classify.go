package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// run runs the command with the arguments MODEL and IMAGES.
func (f *flags) run(cmd *cobra.Command, args []string) (err error) {
	given := args
	input, args, err := spool(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, input.remove()) }()
	f.input = input
	return f.output.write(cmd.OutOrStdout(), append(slices.Clone(given), f.labels), func(out io.Writer) error {
		return input.error(f.classify(cmd, out, args[0], args[1:]))
	})
}

// classify classifies the images of files and folders and prints the results to out.
func (f *flags) classify(cmd *cobra.Command, out io.Writer, model string, paths []string) (err error) {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	var sum string
	if f.isShard() {
		if sum, err = modelSHA256(ctx, model); err != nil {
			return err
		}
	}
	c, err := f.open(ctx, model)
	if err != nil && ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	cli.PrintWarnings(stderr, c.Warnings()...)
	files, err := c.OpenFiles(paths, f.labels)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.Close()) }()
	cli.PrintWarnings(stderr, files.Warnings()...)

	if f.limit.Set && files.Limit(f.limit.Value) {
		fmt.Fprintf(stderr, "note: %d images, an equal share of every class folder (--limit)\n", files.Len())
	}
	classes := files.Classes()
	if classes == nil {
		classes = c.Classes()
	}
	stages := len(c.Model().Stages())
	var written *part
	if f.isShard() {
		h := partHeader{Format: partFormat, Shard: f.shard.Index, Shards: f.shard.Count}
		h.Run = f.identify(model, sum, paths, cmd.Flags(), files, classes, stages)
		if h.First, err = files.Shard(h.Shard, h.Shards); err != nil {
			return err
		}
		if written, err = newPart(out, h); err != nil {
			return err
		}
	}
	how := style{f.format, f.top.Or(defaultTop), f.quiet}
	p := newPrinter(how, classes, paths, out, stderr, files.Len())
	p.staged, p.part = stages > 0, written
	s := newSummary(classes, f.input.name(filepath.ToSlash(model)), f.noise, stages)
	start := time.Now()
	err = p.printAll(f.results(c.All(ctx, files, 0), paths), s)
	s.seconds = time.Since(start).Seconds()
	if err != nil && ctx.Err() != nil {
		err = cli.ErrInterrupted
	}
	if err != nil {
		return errors.Join(err, p.abort(s, err))
	}
	if err := p.end(s, f.invert); err != nil {
		return err
	}
	if f.isShard() {
		return nil // merge reports the images that could not be classified
	}
	return s.failure()
}

// results returns what is printed about the images of paths.
func (f *flags) results(all iter.Seq2[classify.FileResult, error], paths []string) iter.Seq2[result, error] {
	return func(yield func(result, error) bool) {
		for r, err := range all {
			if !yield(newResult(r, f.top.Or(defaultTop), f.input, paths), err) {
				return
			}
		}
	}
}

// open opens the model with the options that the flags set.
func (f *flags) open(ctx context.Context, model string) (*classify.Classifier, error) {
	dynamics, err := f.DynamicsFlags.Options()
	if err != nil {
		return nil, err
	}
	opts := []classify.Option{
		classify.Seed(f.seed), classify.Workers(f.workers.Value), classify.Stage(f.stage.Or(0)), classify.Runtime(dynamics...), classify.Noise(f.noise),
		classify.Invert(f.invert), classify.LoadContext(ctx),
	}
	if f.ignoreChecksum {
		opts = append(opts, classify.IgnoreChecksum())
	}
	if f.resize {
		opts = append(opts, classify.Resize())
	}
	c, err := classify.Open(model, opts...)
	return c, cli.StageUsage(err, model, f.stage.Set)
}
