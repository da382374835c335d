package training

import (
	"context"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
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
func (s *session) testNetwork(ctx context.Context) error {
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
	size, err := s.augment.Output(s.test.Size())
	if err != nil {
		return nil, err
	}
	one := size.Channels * size.Height * size.Width
	n, wrong := s.test.Len(), 0
	pixels := make([]float32, testBatch*one)
	for first := 0; first < n; first += testBatch {
		count := min(testBatch, n-first)
		for i := range count {
			s.augment.Test(pixels[i*one:(i+1)*one], s.test, first+i)
		}
		x, err := s.tensor(pixels[:count*one], count)
		if err != nil {
			return nil, err
		}
		out, err := m.Run(ctx, map[string]*runtime.Tensor{m.Inputs()[0].Name: x}, runtime.Seed(s.config.Seed), runtime.FirstImage(uint64(first)))
		if err != nil {
			return nil, err
		}
		wrong += s.wrong(out[m.Outputs()[0].Name], first)
		s.progress.Phase("testing", first+count, n)
	}
	return &testResult{Error: 100 * float64(wrong) / float64(n), SubBatches: s.at.SubBatches, Set: s.testSet}, nil
}

// wrong returns the number of images that are classified wrongly. The first row of the
// output belongs to test image first.
func (s *session) wrong(out *ops.Tensor, first int) int {
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
		if best != s.test.Label(first+i) {
			wrong++
		}
	}
	return wrong
}
