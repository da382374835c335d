package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// classify classifies the images of files and folders and prints the results.
func (f *flags) classify(ctx context.Context, stdout, stderr io.Writer, model string, paths []string) (err error) {
	c, err := f.open(model)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, w := range c.Model().Warnings() {
		fmt.Fprintln(stderr, "warning:", w)
	}
	files, err := c.OpenFiles(paths, f.labels)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.Close()) }()
	total := files.Len()
	if f.limit > 0 {
		total = min(total, f.limit)
	}
	names := c.Classes()
	if n := files.Classes(); n != nil {
		names = n
	}
	p := newPrinter(f, names, stdout, stderr, total)
	sum := newSummary(names, model)
	start := time.Now()
	for r, err := range c.All(ctx, files, f.limit) {
		if err == nil {
			sum.add(r)
			err = p.print(r)
		}
		if err != nil {
			p.stop()
			if ctx.Err() != nil {
				return cli.ErrInterrupted
			}
			return err
		}
	}
	p.stop()
	sum.seconds = time.Since(start).Seconds()
	if err := p.summary(sum); err != nil {
		return err
	}
	if sum.failed > 0 {
		return fmt.Errorf("%d of %d images could not be classified", sum.failed, total)
	}
	return nil
}

// open opens the model as the flags say.
func (f *flags) open(model string) (*classify.Classifier, error) {
	dynamics, err := f.DynamicsFlags.Options(f.spikes.Value)
	if err != nil {
		return nil, err
	}
	opts := []classify.Option{classify.Seed(f.seed), classify.Workers(f.workers.Value), classify.Runtime(dynamics...)}
	if f.resize {
		opts = append(opts, classify.Resize())
	}
	return classify.Open(model, opts...)
}
