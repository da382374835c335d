package training

import (
	"context"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// testBatch is the number of test images per run of the model.
const testBatch = 100

// tester returns the current network as a model for tests.
func (s *session) tester() (*runtime.Model, error) {
	return s.trainer.Model(append(cli.RunOptions(s.testSpikes), runtime.Workers(s.workers))...)
}

// testName identifies the test images and the spikes of the tests.
func (s *session) testName() string {
	name := fingerprint(s.test)
	for _, d := range s.testSpikes {
		name += fmt.Sprintf(" %d", d.Spikes)
	}
	return name
}

// testNetwork runs the network on the test images, sets LastTest, and keeps the network if it is
// the best one so far.
func (s *session) testNetwork(ctx context.Context) (err error) {
	if s.reconstructs() {
		if s.at.LastTest, err = s.testReconstruction(ctx); err != nil {
			return err
		}
		return s.keepBest()
	}
	m, err := s.tester()
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }() // Close returns nil
	result, err := s.testModel(ctx, m)
	if err != nil {
		return err
	}
	s.at.LastTest = result
	return s.keepBest()
}

// testModel runs a model on the test images.
func (s *session) testModel(ctx context.Context, m *runtime.Model) (*testResult, error) {
	wrong, err := s.countWrong(ctx, m, s.test)
	if err != nil {
		return nil, err
	}
	return &testResult{Error: 100 * float64(wrong) / float64(s.test.Len()), SubBatches: s.at.SubBatches, Set: s.testSet}, nil
}

// countWrong runs a model on images and returns the number of those that it classifies wrongly.
func (s *session) countWrong(ctx context.Context, m *runtime.Model, images *dataset.Samples) (int, error) {
	wrong := 0
	err := s.eachTest(images, func(x *runtime.Tensor, first int) error {
		out, err := m.Run(ctx, map[string]*runtime.Tensor{m.Inputs()[0].Name: x}, runtime.Seed(s.config.Seed), runtime.FirstImage(uint64(first)))
		if err != nil {
			return err
		}
		wrong += wrongRows(out[m.Outputs()[0].Name], images, first)
		return nil
	})
	return wrong, err
}

// eachTest calls f with images as tests get them, in batches. first is the number of the first image
// of a batch.
func (s *session) eachTest(images *dataset.Samples, f func(x *runtime.Tensor, first int) error) error {
	size, err := s.augment.Output(images.Size())
	if err != nil {
		return err
	}
	one, n := size.Channels*size.Height*size.Width, images.Len()
	pixels := make([]float32, testBatch*one)
	for first := 0; first < n; first += testBatch {
		count := min(testBatch, n-first)
		for i := range count {
			s.augment.Test(pixels[i*one:(i+1)*one], images, first+i)
		}
		x, err := s.tensor(pixels[:count*one], count)
		if err != nil {
			return err
		}
		if err := f(x, first); err != nil {
			return err
		}
		s.progress.Phase("testing", first+count, n)
	}
	return nil
}

// testReconstruction computes the mean loss of the test images.
func (s *session) testReconstruction(ctx context.Context) (*testResult, error) {
	loss, err := s.meanLoss(ctx, s.test)
	return &testResult{Error: loss, SubBatches: s.at.SubBatches, Set: s.testSet}, err
}

// meanLoss returns the loss per image of a network that reconstructs its input.
func (s *session) meanLoss(ctx context.Context, images *dataset.Samples) (float64, error) {
	loss := 0.0
	err := s.eachTest(images, func(x *runtime.Tensor, first int) error {
		r, err := s.trainer.Evaluate(ctx, train.Batch{Images: x}, uint64(first))
		loss += float64(r.LossPerImage * float64(r.Images))
		return err
	})
	return loss / float64(images.Len()), err
}

// measured returns the accuracy or the loss of a test.
func (s *session) measured(t *testResult) string {
	if s.reconstructs() {
		return fmt.Sprintf("loss %.4g", t.Error)
	}
	return fmt.Sprintf("%.2f%%", 100-t.Error)
}

// reconstructs reports whether the network reconstructs its input instead of naming a class: it
// has a loss, but no accuracy.
func (j *job) reconstructs() bool { return cli.Reconstructs(j.network) }

// wrongRows returns the number of images that are classified wrongly. The first row of the
// output belongs to image first.
func wrongRows(out *ops.Tensor, images *dataset.Samples, first int) int {
	count, wrong := out.Shape()[0], 0
	v := out.Float32s()
	classes := len(v) / count
	for i := range count {
		h, best := v[i*classes:(i+1)*classes], 0
		for c := range h {
			if h[c] > h[best] {
				best = c
			}
		}
		if best != images.Label(first+i) {
			wrong++
		}
	}
	return wrong
}
