package classify

import (
	"context"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/runtime"
)

// Option sets how images are classified.
type Option func(*config) error

type config struct {
	resize  bool
	invert  dataset.Invert
	noise   noise.Noise
	seed    uint64
	workers int
	output  string
	batch   int
	runtime []runtime.Option
}

// Resize scales images to the input size of the network without keeping their
// proportions, and converts color images to gray, or gray images to three equal
// channels. Without it, images of another size or with other channels are errors.
func Resize() Option {
	return func(c *config) error {
		c.resize = true
		return nil
	}
}

// Invert says which images are inverted, so that dark becomes light. text is
//
//	auto  pictures that are dark on light although the model was trained with images that are
//	      light on dark, or the other way round. This is the default.
//	yes   all images
//	no    no image
//
// For auto, the border pixels of each picture are compared with those of the training images, which
// sbs-convert and sbs-train describe in the model: see convert.Borders. Auto never inverts images
// from arrays (IDX, .npy and CIFAR-10 files), blank pictures, pictures with colors for a model with
// 3 channels, and no image if the model does not describe its training images or if their borders
// are both dark and light. Images are inverted after Resize and before Noise.
func Invert(text string) Option {
	return func(c *config) error {
		how := dataset.Invert(text)
		if how != dataset.InvertAuto && how != dataset.InvertYes && how != dataset.InvertNo {
			return fmt.Errorf("invert %q: want auto, yes or no", text)
		}
		c.invert = how
		return nil
	}
}

// Noise adds noise to every image before the model gets it, to measure how robust the
// model is. text is KIND=LEVEL, such as "contrast=0.6", or several of them, separated by
// commas, which are applied in this order. "" is the default: no noise.
//
// x stands for the values of the image, from 0 to 1. The kinds are
//
//	gaussian=S         x + S*N; S is 0 to 100
//	salt-and-pepper=S  each pixel becomes 0 or 1 with probability S/2 each; S is 0 to 1
//	uniform=E          (1-E)*x + E*U; E is 0 to 1
//	shot=S             S*S*P(x/(S*S)), the noise of a sensor that counts photons; S is the
//	                   standard deviation of a white pixel, 0 to 10
//	contrast=C         (1-C)*x + C/2; C is 0 to 1
//	brightness=B       x + B; B is -1 to 1
//	blur=S             Gaussian blur with the standard deviation S in pixels; S is 0 to 100
//	occlusion=A        a square of A times A pixels at a random place becomes 0; A is a whole
//	                   number, at most the smaller side of the images
//	rotation=A         the image turns by A degrees about its center, clockwise or
//	                   counterclockwise; A is 0 to 180
//	translation=D      the image moves by D pixels in a random direction; D is at most the
//	                   smaller side of the images
//	crop-shift=D       the part of the image that the model crops moves, at random, by D rows or
//	                   by D columns and by at most D of the other; D is a whole number, at most
//	                   the number of pixels that the model crops on each side (runtime.Model.Crop)
//
// N has the standard normal distribution, U is uniform in [0, 1), and P(r) has the Poisson
// distribution of rate r; they are drawn for every value. Rotation and translation interpolate
// between pixels (bilinear interpolation), and values from outside of the image are 0. After every
// kind, values below 0 become 0 and values above 1 become 1.
//
// The noise is added to the whole image that the model takes. If the model crops images,
// it crops them afterwards. Resize scales images before the noise is added. The random
// numbers depend on Seed, the number of the image and the place in the image only. They are
// independent of those that draw spikes. Noise has no effect on Run, whose tensor is the
// input of the model; Tensor adds the noise.
func Noise(text string) Option {
	return func(c *config) error {
		if text == "" {
			c.noise = noise.Noise{}
			return nil
		}
		n, err := noise.Parse(text)
		if err != nil {
			return fmt.Errorf("noise %q: %w", text, err)
		}
		c.noise = n
		return nil
	}
}

// Seed selects the random numbers. The default is 0.
func Seed(seed uint64) Option {
	return func(c *config) error {
		c.seed = seed
		return nil
	}
}

// Workers sets the number of CPU cores to use, for the model and for decoding image
// files. The default, also for 0, is all cores that the process may use. Workers does
// not change the workers of a model that is passed to New.
func Workers(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fmt.Errorf("the number of workers is %d, want at least 0 (0 means all CPU cores)", n)
		}
		c.workers = n
		return nil
	}
}

// BatchSize sets the number of images per run of the model. Larger batches use more
// cores and more memory. The default, also for 0, is 128, or less for very large images. The
// option has no effect on a model with a fixed batch size.
func BatchSize(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fmt.Errorf("the batch size is %d, want at least 0 (0 means the default)", n)
		}
		c.batch = n
		return nil
	}
}

// Output chooses the output with the classes, by name.
func Output(name string) Option {
	return func(c *config) error {
		c.output = name
		return nil
	}
}

// Runtime sets options for loading the model, such as runtime.Spikes(100). New does
// not accept this option, because its model is already loaded.
func Runtime(opts ...runtime.Option) Option {
	opts = slices.Clone(opts)
	return func(c *config) error {
		c.runtime = append(c.runtime, opts...)
		return nil
	}
}

// Stage uses only one stage of a model with stages, counted from 1: see runtime.OnlyStage.
// 0 is the default: all stages. New does not accept this option, because its model is
// already loaded.
func Stage(n int) Option {
	return func(c *config) error {
		if n != 0 {
			c.runtime = append(c.runtime, runtime.OnlyStage(n))
		}
		return nil
	}
}

// LoadContext ends Open soon after ctx is done: see runtime.LoadContext. New does not accept
// this option, because its model is already loaded.
func LoadContext(ctx context.Context) Option { return Runtime(runtime.LoadContext(ctx)) }

// IgnoreChecksum loads a model even if it does not match its checksum: see
// runtime.IgnoreChecksum. New does not accept this option, because its model is already
// loaded.
func IgnoreChecksum() Option { return Runtime(runtime.IgnoreChecksum()) }

func newConfig(opts []Option) (config, error) {
	var c config
	for _, o := range opts {
		if o == nil {
			return c, fmt.Errorf("classify: an Option is nil")
		}
		if err := o(&c); err != nil {
			return c, fmt.Errorf("classify: %w", err)
		}
	}
	return c, nil
}
