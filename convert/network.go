package convert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Network describes a trained network, independently of the files it came from. The
// zero value is not a network: Input and Layers must be set.
type Network struct {
	// Name identifies the network to people. It may be empty.
	Name string

	// Dialect is the version of PyTorch-SbS that the network was made for: 1 (May
	// 2022), 2 (January 2023), or 0 for neither. ToONNX only records it.
	Dialect int

	// Step is the training step at which the weights were saved, or -1 if it is
	// unknown.
	Step int

	// Input is the size of one image before the preprocessing.
	Input Size

	// Preprocessing is applied to the image before the first layer. The zero value
	// leaves the image as it is.
	Preprocessing Preprocessing

	// Layers are the layers in the order in which they run.
	Layers []Layer

	// Classes holds the names of the classes in the order of the output neurons, or nil
	// if the names are unknown.
	Classes []string

	// Sources lists the files that the network was read from.
	Sources []Source

	// Training is the part of PyTorch-SbS's configuration that the layers and the
	// preprocessing do not express, a JSON object; nil if there is none. ToONNX stores
	// it in the model and FromONNX reads it; importers/pytorch interprets it.
	Training json.RawMessage

	// Holdout says which images of its training set the network has never seen; nil if
	// there are none, or if it is not known.
	Holdout *Holdout

	// Borders describes the images that the network was trained with; nil if they are not
	// known. Package classify inverts pictures by them: see classify.Invert.
	Borders *Borders
}

// Borders describes how bright the borders of the images are that a network was trained with,
// which shows whether it learned light on dark or dark on light. Lower, Median and Upper are
// about the lower quartile, the median and the upper quartile of the border pixels of one image,
// from 0 to 1: each holds the smallest, the median and the largest value over all images. The
// border is one pixel wide, or 1/28 of the smaller side.
type Borders struct {
	Lower, Median, Upper [3]float32
}

// Holdout describes the images of a training set that were held back from the training of
// a network. sbs-train --holdout chooses them.
type Holdout struct {
	Images int    `json:"images"` // number of images that were held back
	Of     int    `json:"of"`     // number of images of the whole set
	Data   string `json:"data"`   // SHA-256 of the images and labels of the whole set, in hexadecimal
}

// Updates returns the number of spike updates that an image takes, over all SbS layers: the number
// of spikes times the number of output positions or, with FullLayer, the number that is expected
// for an image that is equal everywhere. It returns an error if a layer does not fit the output of
// the layer before it.
func (n *Network) Updates() (int, error) {
	sizes, err := n.Sizes()
	if err != nil {
		return 0, err
	}
	updates := 0
	for i, l := range n.Layers {
		if s, ok := l.(*SbS); ok {
			updates += s.Updates(sizes[i])
		}
	}
	return updates, nil
}

// check returns an error if the description is not possible.
func (h *Holdout) check() error {
	if sum, err := hex.DecodeString(h.Data); err != nil || len(sum) != sha256.Size {
		return fmt.Errorf("%s is not a SHA-256", abridged(h.Data))
	}
	if h.Images < 1 || h.Images >= h.Of {
		return fmt.Errorf("%d of %d images cannot be held back", h.Images, h.Of)
	}
	return nil
}

// Source is a file that a network was read from.
type Source struct {
	Path   string // with slashes, relative to the parent folder of the weights
	SHA256 string // of the file's bytes, in hexadecimal

	// The following fields are set for a file that holds an array.

	DType   string `json:",omitempty"` // NumPy's name of the element type: "float32" or "float64"
	Shape   []int  `json:",omitzero"`  // the shape in the file
	Rounded int    `json:",omitempty"` // number of elements that were rounded to float32
}

// Size is the size of an image, or of a layer's input or output, without the batch
// dimension.
type Size struct {
	Channels, Height, Width int
}

// String returns the size in the form "1x28x28": channels, height, width.
func (s Size) String() string {
	return fmt.Sprintf("%dx%dx%d", s.Channels, s.Height, s.Width)
}

// Preprocessing prepares a test image, with pixels from 0 to 1, for the first layer. As
// PyTorch-SbS does, it crops the image at the center, and then applies either the
// on/off split or a small offset. Instead of these, which PyTorch-SbS cannot do, it may
// normalize the image. The zero value does nothing.
type Preprocessing struct {
	Crop int // number of pixels removed from each of the four sides

	// OnOffMean enables the on/off split if it is not nil. It holds the mean of the
	// data set for each channel of the image. Channel c becomes two channels,
	// max(-d, 0) and max(d, 0) with d = 2*(x - OnOffMean[c]).
	OnOffMean []float32

	// Offset is added to every pixel if there is no on/off split.
	Offset float32

	// Normalize makes the cropped image independent of its brightness and contrast: pixel x
	// becomes (x - m) / max(s, MinDeviation), where m is the mean and s the standard deviation
	// of all pixels and channels of the image after the crop. An image that is equal everywhere
	// becomes 0. There must be no on/off split and no Offset, and the first layer must take
	// negative values.
	Normalize bool
}

// MinDeviation is the smallest standard deviation by which Preprocessing.Normalize divides. It
// is below the standard deviation of 8-bit images that are not equal everywhere, if they have at
// most 1,500 pixels.
const MinDeviation = 1e-4

// Output returns the size of the preprocessed image, or an error if the preprocessing
// does not fit images of size in.
func (p Preprocessing) Output(in Size) (Size, error) {
	out := Size{in.Channels, in.Height - 2*p.Crop, in.Width - 2*p.Crop}
	// A crop of more than the image could overflow.
	if p.Crop < 0 || p.Crop > min(in.Height, in.Width) || out.Height < 1 || out.Width < 1 {
		return out, fmt.Errorf("convert: cannot crop %d pixels from each side of a %v image", p.Crop, in)
	}
	if p.OnOffMean != nil {
		if len(p.OnOffMean) != in.Channels {
			return out, fmt.Errorf("convert: the on/off split has %d means, but the image has %d channels", len(p.OnOffMean), in.Channels)
		}
		out.Channels *= 2
	}
	return out, nil
}

// Layer is one layer of a network: *SbS, *NNMF, *AveragePool, *MaxPool, *Conv, *ApproxConv,
// *ReLU, *OnOff, *Poisson, *SpikeImage or *Reconstruction. Other packages cannot add kinds of
// layers.
type Layer interface {
	// Kind returns the name of the layer's type in models and errors, such as "SbS".
	Kind() string

	// Output returns the size of the output for an input of size in. It returns an
	// error if the shapes of the layer's parameters do not fit the input or each other.
	Output(in Size) (Size, error)

	// write adds the layer's nodes to a model under construction.
	write(w *writer, in value) (value, error)
}

// Window is the geometry of a layer that slides over its input. Each entry is for
// height and width, in this order. The zero value is invalid: Kernel, Strides and
// Dilations must be at least 1.
type Window struct {
	Kernel    [2]int
	Strides   [2]int
	Dilations [2]int
	Pads      [2]int // number of zeros added on both sides
}

// maxWindow bounds the numbers of a window, so that none of their sums and products
// overflows. The numbers in real networks are below 100.
const maxWindow = 1 << 24

// Output returns the number of positions of the window in height and width:
// floor((size + 2*pad - dilation*(kernel-1) - 1)/stride) + 1. It returns an error if
// the window does not fit the input.
func (w Window) Output(height, width int) (oh, ow int, err error) {
	var out [2]int
	for i, size := range [2]int{height, width} {
		k, s, d, p := w.Kernel[i], w.Strides[i], w.Dilations[i], w.Pads[i]
		if k < 1 || s < 1 || d < 1 || p < 0 || max(k, s, d, p) > maxWindow {
			return 0, 0, fmt.Errorf("kernel %v, strides %v and dilations %v must be at least 1, padding %v at least 0, and all at most %d",
				w.Kernel, w.Strides, w.Dilations, w.Pads, maxWindow)
		}
		if size > math.MaxInt32 {
			return 0, 0, fmt.Errorf("an input of %dx%d is too large", height, width)
		}
		span := int64(size) + 2*int64(p) - int64(d)*int64(k-1) - 1
		if span < 0 {
			return 0, 0, fmt.Errorf("a kernel of %dx%d (dilation %dx%d, padding %dx%d) does not fit into %dx%d",
				w.Kernel[0], w.Kernel[1], w.Dilations[0], w.Dilations[1], w.Pads[0], w.Pads[1], height, width)
		}
		out[i] = int(span/int64(s)) + 1
	}
	return out[0], out[1], nil
}

// SbS is a Spike-By-Spike layer. Package ops/sbs documents what it computes.
type SbS struct {
	Window

	// Weights has shape (K, N) with K = input channels * kernel height * kernel width
	// and N neurons, type float32. The entries are finite and at least 0.
	Weights *ops.Tensor

	// EpsilonXY scales the effect of a spike by output position, shape (OH, OW), or by
	// output position and kernel place, (OH, OW, KH, KW), type float32. Nil means 1
	// everywhere.
	EpsilonXY *ops.Tensor

	// Pooling marks Weights as the fixed weights of a pooling layer, which PyTorch-SbS
	// makes instead of reading them. It does not change what the layer computes.
	Pooling bool

	// FullLayer draws the spikes once per image, from the whole input, and hands each of them
	// to every output position that sees its place (spike_full_layer_input_distribution).
	FullLayer bool

	// Local marks a layer that is trained by its local learning rule instead of by
	// backpropagation. It does not change what the layer computes.
	Local bool

	Spikes          int       // number of spikes per output position, at least 1
	Epsilon0        float32   // scales the effect of every spike, 0 to 1e4
	EpsilonT        []float32 // scales the effect of spike t, 0 to 1e4; at least Spikes entries
	Forgetting      float32   // forgetting offset; 0 or less means no forgetting
	AlphaIterations int       // iterations that weight the output positions against each other, 0 to 1000

	// Sampler selects how spikes are drawn. Empty means sbs.IID.
	Sampler sbs.Sampler
}

// AveragePool is the average over the window. Padding counts as zeros and may be at
// most half the kernel. Dilations must be 1.
type AveragePool struct{ Window }

// MaxPool is the maximum over the window. Padding is ignored and may be at most half
// the kernel.
type MaxPool struct{ Window }

// Conv is a two-dimensional convolution over all input channels.
type Conv struct {
	Window
	Weights *ops.Tensor // float32 (output channels, input channels, KH, KW)
	Bias    *ops.Tensor // float32 (output channels), or nil for 0
}

// ReLU is max(x, 0) for every element.
type ReLU struct{}

// OnOff is the split layer of dialect 2: with d = x - Mean, its output has the channels
// of max(d, 0) followed by the channels of max(-d, 0), divided by their sum over all
// channels + 1e-20. The output has twice as many channels as the input.
//
// Without a Mean, it is the split of PyTorch-SbS since February 2023: d = x - 0.5, and the
// output is not divided.
type OnOff struct {
	Mean *ops.Tensor // float32 (1, 1, H, W), (1, 1, 1, 1) for the same mean everywhere, or nil
}

// Reconstruction computes the input distribution that the output h of the SbS layer
// directly before it stands for: W times h, where h is normalized over the N neurons,
// and the result over the K rows of W. It has K output channels.
type Reconstruction struct {
	// Weights must be the same tensor as the Weights of the SbS layer, not a copy.
	Weights *ops.Tensor
}
