package pytorch

import (
	"fmt"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
)

// dataSet holds the properties of a data set.
type dataSet struct {
	size    convert.Size
	mean    []float32 // of each channel of the training set, pixels 0..1
	classes []string
	borders convert.Borders // of the training set
}

// dataSetOf returns the data set that a data_mode names, false if it is unknown. The images of
// a mixed mode are the images of one set, which PyTorch-SbS mixes only if a script asks for it.
func dataSetOf(mode string) (dataSet, bool) {
	switch unmixed(mode) {
	case "MNIST":
		return dataSet{
			convert.Size{Channels: 1, Height: 28, Width: 28},
			[]float32{0.13066062331199646},
			[]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
			convert.Borders{}, // more than three quarters of every border are 0
		}, true
	case "MNIST_FASHION":
		return dataSet{
			convert.Size{Channels: 1, Height: 28, Width: 28},
			[]float32{0.28604063},
			[]string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"},
			convert.Borders{Upper: [3]float32{0, 0, 197.0 / 255}, Median: [3]float32{0, 0, 161.0 / 255}, Lower: [3]float32{0, 0, 11.0 / 255}},
		}, true
	case "CIFAR10":
		return dataSet{
			convert.Size{Channels: 3, Height: 32, Width: 32},
			[]float32{0.49139968, 0.48215841, 0.44653091},
			[]string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},
			// Of copies in the JPEG format.
			convert.Borders{Upper: [3]float32{0.0026, 0.6222, 1}, Median: [3]float32{0, 0.4758, 1}, Lower: [3]float32{0, 0.3438, 1}},
		}, true
	}
	return dataSet{}, false
}

// preprocess sets the plan's input and preprocessing and returns the size that
// the first layer gets.
func (p *plan) preprocess(c *config, opt Options) (convert.Size, error) {
	known, ok := dataSetOf(c.dataMode)
	p.classes = known.classes
	p.input = opt.Input
	if p.input == (convert.Size{}) {
		if !ok {
			return convert.Size{}, fmt.Errorf("%s is %q, not MNIST, MNIST_FASHION or CIFAR10 (or one of these after MIX_), so the image size is unknown; give it with --input CxHxW",
				c.where("data_mode"), c.dataMode)
		}
		p.input = known.size
	}
	if ok && p.input == known.size && !opt.NoPreprocessing {
		p.borders = &known.borders
	}
	if ok && strings.HasPrefix(c.dataMode, mixedMode) {
		p.assume("%s is %s: the network gets single images of %s, as PyTorch-SbS does unless a script sets how it mixes two",
			c.where("data_mode"), c.dataMode, unmixed(c.dataMode))
	}
	p.preprocessing = convert.Preprocessing{Crop: c.crop, Offset: float32(generations.offset[p.generation])}
	p.split = generations.split[p.generation] && c.onOff
	if p.split {
		mean, err := meanFor(c.dataMode, known.mean, p.input, opt)
		if err != nil {
			return convert.Size{}, err
		}
		p.preprocessing = convert.Preprocessing{Crop: c.crop, OnOffMean: mean}
	}
	if opt.Mean != nil && (!p.split || opt.NoPreprocessing) {
		p.warn("the given mean is not used: the network has no on/off split")
	}
	if len(c.imageMean) > 0 {
		p.warn("%s is ignored; give the mean with --mean if it differs from the data set's", c.where("image_statistics.mean"))
	}
	first, err := p.preprocessing.Output(p.input)
	if err != nil {
		return first, fmt.Errorf("%s: %w", c.where("augmentation.crop_width_in_pixel"), err)
	}
	if opt.NoPreprocessing {
		p.input, p.preprocessing = first, convert.Preprocessing{}
	}
	return first, nil
}

// meanFor returns the mean of every channel for the on/off split.
func meanFor(mode string, known []float32, input convert.Size, opt Options) ([]float32, error) {
	mean := known
	switch {
	case opt.NoPreprocessing:
		// The network does not contain the split; only the number of channels matters.
		return make([]float32, input.Channels), nil
	case opt.Mean != nil:
		mean = opt.Mean
	case known == nil:
		return nil, fmt.Errorf("the on/off split needs the data set's mean for each of the image's %d channels, which is unknown for data_mode %q; give it with --mean",
			input.Channels, mode)
	}
	if len(mean) != input.Channels {
		return nil, fmt.Errorf("the on/off split has %d means, but the image has %d channels; give one mean per channel with --mean", len(mean), input.Channels)
	}
	return mean, nil
}
