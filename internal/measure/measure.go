// Package measure runs models on labeled images and reports what they answer.
package measure

import (
	"context"
	"fmt"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/runtime"
)

// batch is the number of images per run of a model. It does not change the answers.
const batch = 128

// Answer is the answer of a model to one image.
type Answer struct {
	Margin float64 // runtime.Margin of the probabilities
	Right  bool    // the most probable class, the first of several, is the label

	Stage   int   // at which the image left, from 1; 0 if the model has no stages
	Updates int64 // spike updates of the image
}

// Answers holds the answers to several images.
type Answers []Answer

// Updates returns the mean number of spike updates per image.
func (a Answers) Updates() float64 {
	var sum int64
	for _, v := range a {
		sum += v.Updates
	}
	return float64(sum) / float64(len(a))
}

// Right returns the number of right answers.
func (a Answers) Right() int {
	n := 0
	for _, v := range a {
		if v.Right {
			n++
		}
	}
	return n
}

// Accuracy returns the share of right answers in percent.
func (a Answers) Accuracy() float64 { return 100 * float64(a.Right()) / float64(len(a)) }

// Options controls Model.
type Options struct {
	Noise   noise.Noise // added to every image
	Seed    uint64      // of the noise and the spikes
	Workers int         // below 1 means one per CPU

	// Progress is called with the number of images that are done, from time to time. It may
	// be nil.
	Progress func(done int)
}

// Model returns the answers of a model that classifies images. They are those of package
// classify, and so of sbs-run. Random numbers depend on the seed and the number of an image in s.
func Model(ctx context.Context, m *runtime.Model, s *dataset.Samples, opt Options) (Answers, error) {
	c, err := classify.New(m, classify.Seed(opt.Seed), classify.Workers(max(opt.Workers, 0)))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	size := s.Size()
	if err := opt.Noise.Fits(size.Height, size.Width, m.Crop()); err != nil {
		return nil, err
	}
	fixed := 0 // batch size
	if n := m.Inputs()[0].Shape[0]; n.Known() {
		fixed = n.Size
	}
	pool := parallel.New(opt.Workers)
	defer pool.Close()
	one := size.Channels * size.Height * size.Width
	answers := make(Answers, 0, s.Len())
	for first := 0; first < s.Len(); {
		count := min(batch, s.Len()-first)
		rows := count
		if fixed > 0 {
			count, rows = min(fixed, s.Len()-first), fixed
		}
		pixels := make([]float32, rows*one)
		err := pool.For(ctx, count, 8, func(lo, hi int) error {
			for i := lo; i < hi; i++ {
				p := pixels[i*one : (i+1)*one]
				s.Pixels(first+i, p)
				opt.Noise.Apply(p, size.Channels, size.Height, size.Width, opt.Seed, uint64(first+i))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		x, err := runtime.NewTensor([]int{rows, size.Channels, size.Height, size.Width}, pixels)
		if err != nil {
			return nil, err
		}
		results, err := c.Run(ctx, x, runtime.FirstImage(uint64(first)))
		if err != nil {
			return nil, err
		}
		if len(results) < count {
			return nil, fmt.Errorf("the output of the model has %d rows for %d images", len(results), count)
		}
		for i, r := range results[:count] {
			answers = append(answers, Answer{Margin: r.Margin(), Right: r.Class == s.Label(first+i), Stage: r.Stage, Updates: r.Updates})
		}
		first += count
		if opt.Progress != nil {
			opt.Progress(first)
		}
	}
	return answers, nil
}
