package training

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/trainlog"
)

// Tuning is a fine-tuning that another command makes. It has the defaults of sbs-train.
type Tuning struct {
	Model  string           // path of the model to start from
	Output string           // path of the model to write; the folder of the log is beside it
	Images *dataset.Samples // the training images, without those that no weight may see

	Epochs         int
	SubBatches     int     // per update
	Rate           float64 // the learning rate at the start
	NoAugmentation bool
	Seed           uint64
	Workers        int

	// Progress shows the progress, and Warnings the warnings, usually on os.Stderr.
	Progress, Warnings io.Writer
}

// Run trains, or resumes the training if its log has a checkpoint. If ctx is canceled, Run
// writes a checkpoint and returns cli.ErrInterrupted.
func (t Tuning) Run(ctx context.Context) error {
	f := flags{
		path: t.Model, output: t.Output, images: t.Images, noTest: true, quiet: true,
		epochs: cli.OptionalInt{Value: t.Epochs, Set: true}, subBatches: cli.OptionalInt{Value: t.SubBatches, Set: true},
		rateW: t.Rate, noAugmentation: t.NoAugmentation, seed: t.Seed, workers: cli.OptionalInt{Value: t.Workers},
	}
	j, err := f.newJob(ctx)
	if err != nil {
		return err
	}
	if _, err := os.Stat(j.places.checkpoint()); err == nil {
		f.resume = true
	} else {
		f.force = true // a model without a checkpoint is from an attempt that failed at once
		cli.PrintWarnings(t.Warnings, j.notes...)
	}
	s, err := f.begin(j)
	if err != nil {
		return err
	}
	s.progress = trainlog.NewProgress(t.Progress, s.totalUpdates(), s.out.last())
	err = s.run(ctx)
	s.progress.Done()
	if errors.Is(err, context.Canceled) {
		err = cli.ErrInterrupted
		if failed := s.checkpoint(); failed != nil {
			err = fmt.Errorf("%w: %w", err, failed)
		}
	}
	return errors.Join(err, s.out.close(), s.trainer.Close())
}
