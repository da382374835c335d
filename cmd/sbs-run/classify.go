package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// run runs the command with the arguments MODEL and IMAGES.
func (f *flags) run(cmd *cobra.Command, args []string) (err error) {
	input, args, err := spool(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, input.remove()) }()
	f.input = input
	return input.error(f.classify(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], args[1:]))
}

// classify classifies the images of files and folders and prints the results.
func (f *flags) classify(ctx context.Context, stdout, stderr io.Writer, model string, paths []string) (err error) {
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
	total := files.Len()
	classes := files.Classes()
	if classes == nil {
		classes = c.Classes()
	}
	stages := len(c.Model().Stages())
	p := newPrinter(f, classes, paths, stdout, stderr, total)
	p.staged = stages > 0
	sum := newSummary(classes, f.input.name(filepath.ToSlash(model)), f.noise, stages)
	start := time.Now()
	err = p.printAll(c.All(ctx, files, 0), sum)
	sum.seconds = time.Since(start).Seconds()
	if err != nil && ctx.Err() != nil {
		err = cli.ErrInterrupted
	}
	if err != nil {
		return errors.Join(err, p.abort(sum, err))
	}
	cli.PrintWarnings(stderr, cli.PictureWarnings(f.invert, sum.inverted, sum.images, sum.blank)...)
	if err := p.summary(sum); err != nil {
		return err
	}
	if sum.failed > 0 {
		return fmt.Errorf("%d of %d images could not be classified", sum.failed, total)
	}
	return nil
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
