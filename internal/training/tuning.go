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
// writes a checkpoint and returns cli.ErrInterrupted. If the training stops because the network does
// not learn any more, Run returns an error that wraps ErrStopped. Output is the best model so far
// then, or does not exist.
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
	s, err := f.beginTuning(ctx, j, t.Warnings)
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
	} else if err != nil {
		err = s.failed(err)
	}
	return errors.Join(err, s.close())
}

// beginTuning resumes a training, or starts it again if its checkpoints are damaged or from
// another version. Its folder belongs to the other command, which has not asked for --force.
func (f *flags) beginTuning(ctx context.Context, j *job, warnings io.Writer) (*session, error) {
	last := j.places.checkpoints()
	for _, path := range []string{last.path, last.previous} {
		if _, err := os.Stat(path); err == nil {
			f.resume = true
		}
	}
	if f.resume {
		s, err := f.begin(ctx, j, warnings)
		if !errors.Is(err, errStartAgain) {
			return s, err
		}
		cli.PrintWarnings(warnings, fmt.Sprintf("the training starts again, since it cannot resume: %v", err))
		f.resume = false
	} else {
		cli.PrintWarnings(warnings, j.notes...)
	}
	f.force = true // a model without a checkpoint is from an attempt that failed at once
	return f.begin(ctx, j, warnings)
}
