package training

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/runtime"
)

// bestModel describes the best model so far: the one with the fewest errors in the tests or,
// without tests, the one after the epoch with the smallest loss.
type bestModel struct {
	Test       *testResult // nil without tests
	Loss       float64     // per image, without tests
	SubBatches int         // since the start of the training
}

func (p places) best() string { return filepath.Join(p.log, "best.onnx") }

// keepBest keeps the current model if its test is better than all before.
func (s *session) keepBest() error {
	t := s.at.LastTest
	if b := s.at.Best; b != nil && b.Test != nil && b.Test.Error <= t.Error {
		return nil
	}
	return s.keep(&bestModel{Test: t, SubBatches: s.at.SubBatches})
}

// keepBestEpoch keeps the current model if there are no tests and the loss of the epoch is
// smaller than that of all before.
func (s *session) keepBestEpoch() error {
	loss := s.at.Epoch.loss()
	if b := s.at.Best; s.test != nil || b != nil && b.Loss <= loss {
		return nil
	}
	return s.keep(&bestModel{Loss: loss, SubBatches: s.at.SubBatches})
}

func (s *session) keep(b *bestModel) error {
	n, err := s.trained()
	if err != nil {
		return err
	}
	data, err := s.encode(n)
	if err != nil {
		return err
	}
	if err := onnx.WriteFile(s.places.best(), data); err != nil {
		return fmt.Errorf("cannot keep the best model: %w", err)
	}
	s.at.Best = b
	return nil
}

// String describes the best model.
func (b *bestModel) describe(s *session) string {
	when := "before training"
	if b.SubBatches > 0 {
		when = fmt.Sprintf("after update %d", b.SubBatches/s.subBatches)
	}
	if b.Test == nil {
		return fmt.Sprintf("loss %.4g %s", b.Loss, when)
	}
	if s.reconstructs() {
		return fmt.Sprintf("test %s %s", s.measured(b.Test), when)
	}
	return fmt.Sprintf("test accuracy %s %s", s.measured(b.Test), when)
}

// restoreBest makes the best model so far the model of a training that stopped. It says which
// model there is.
func (s *session) restoreBest() (string, error) {
	b := s.at.Best
	if b == nil && s.at.Saved == 0 {
		return "No model was written, since there is none that was tested or trained for an epoch", nil
	}
	if b == nil {
		return fmt.Sprintf("%s is the model after update %d", s.places.model, s.at.Saved/s.subBatches), nil
	}
	_, data, err := onnx.ReadFile(context.Background(), s.places.best())
	if err != nil {
		return fmt.Sprintf("The best model so far (%s) could not be read", b.describe(s)), err
	}
	if err := s.writeModel(data); err != nil {
		return fmt.Sprintf("The best model so far (%s) could not be written to %s", b.describe(s), s.places.model), err
	}
	return fmt.Sprintf("%s is the best model so far: %s", s.places.model, b.describe(s)), nil
}

// testBefore tests the network at the start, unless its weights or those of its last layer are
// random.
func (s *session) testBefore(ctx context.Context) (err error) {
	if s.test == nil || !s.learned || s.at.Before != nil || s.reconstructs() {
		return nil
	}
	m, err := runtime.New(s.initial, append(cli.RunOptions(s.testSpikes), runtime.Workers(s.workers))...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if s.at.Before, err = s.testModel(ctx, m); err != nil {
		return err
	}
	s.at.Before.SubBatches = 0
	s.progress.Printf("before training: test %.2f%%", 100-s.at.Before.Error)
	if s.at.SubBatches > 0 { // resumed with other test images
		return nil
	}
	return s.keep(&bestModel{Test: s.at.Before})
}

// verdict compares the last test with the one before training. worse reports whether the model
// got worse by more than chance explains.
func (s *session) verdict() (text string, worse bool) {
	if s.at.Before == nil {
		return "", false
	}
	n := float64(s.test.Len()) / 100
	before, after := math.Round(s.at.Before.Error*n), math.Round(s.at.LastTest.Error*n) // numbers of wrong answers
	accuracy := 100 - s.at.Before.Error
	switch {
	case after < before:
		return fmt.Sprintf(", before training %.2f%%", accuracy), false
	case after == before:
		return ", the same as before training", false
	case after-before > 2*math.Sqrt(before+after): // two standard deviations of the difference
		return fmt.Sprintf(", worse than before training: %.2f%%", accuracy), true
	}
	return fmt.Sprintf(", not better than before training: %.2f%%", accuracy), false
}

// errWorse is the error about a training after which the model is worse than before.
func (s *session) errWorse() error {
	advice := fmt.Sprintf("try a smaller --lr (now %v)", s.config.RateW)
	if b := s.at.Best; b != nil && b.SubBatches > 0 {
		if _, err := os.Stat(s.places.best()); !errors.Is(err, fs.ErrNotExist) {
			advice += fmt.Sprintf(", or use %s (%s)", s.places.best(), b.describe(s))
		}
	}
	return fmt.Errorf("the training has made the model worse: %.2f%% of the test images instead of %.2f%%; %s",
		100-s.at.LastTest.Error, 100-s.at.Before.Error, advice)
}
