// Package convert turns a description of an SbS network into an ONNX model
// and back. The description, Network, is what importers produce.
package convert

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Network describes a trained network, independent of the files it came from.
type Network struct {
	Name    string
	Dialect int // 1 (May 2022) or 2 (January 2023) of PyTorch-SbS; 0 if neither
	Step    int // the training step the weights were saved at, -1 if unknown

	Input         Size // one image, before preprocessing
	Preprocessing Preprocessing
	Layers        []Layer

	Classes []string // class names, in the order of the output neurons; may be nil
	Sources []Source // the files it was read from

	// Training is what the configuration of PyTorch-SbS says beyond the layers
	// and the preprocessing, a JSON object; nil if nothing is known of it. An
	// ONNX file carries it along; importers/pytorch writes and reads it.
	Training json.RawMessage
}

// Source is a file that a network was read from.
type Source struct {
	Path   string
	SHA256 string // hexadecimal

	// Of a file that holds an array: its type in NumPy's words ("float32" or
	// "float64"), its shape there, and how many of its elements float32 holds
	// only rounded.
	DType   string `json:",omitempty"`
	Shape   []int  `json:",omitzero"`
	Rounded int    `json:",omitempty"`
}

// Size is the size of a layer's input or output without the batch dimension.
type Size struct {
	Channels, Height, Width int
}

func (s Size) String() string {
	return fmt.Sprintf("%dx%dx%d", s.Channels, s.Height, s.Width)
}

// Preprocessing is what PyTorch-SbS does to a test image (pixels 0..1) before
// the first layer: a centre crop, and then either the on/off split or a small
// offset.
type Preprocessing struct {
	Crop int // pixels cut from each of the four sides

	// OnOffMean, when not nil, holds the data set's mean for each channel.
	// Channel c becomes two channels, max(-d, 0) and max(d, 0) with
	// d = 2*(x - mean[c]).
	OnOffMean []float32

	// Offset is added to every pixel when there is no on/off split.
	Offset float32
}

// Output returns the size of the preprocessed image.
func (p Preprocessing) Output(in Size) (Size, error) {
	out := Size{in.Channels, in.Height - 2*p.Crop, in.Width - 2*p.Crop}
	// A crop of more than the image could overflow.
	if p.Crop < 0 || p.Crop > min(in.Height, in.Width) || out.Height < 1 || out.Width < 1 {
		return out, fmt.Errorf("convert: cannot crop %d pixels from each side of a %v image", p.Crop, in)
	}
	if p.OnOffMean != nil {
		if len(p.OnOffMean) != in.Channels {
			return out, fmt.Errorf("convert: the on/off split has %d means for an image of %d channels", len(p.OnOffMean), in.Channels)
		}
		out.Channels *= 2
	}
	return out, nil
}

// Layer is one of *SbS, *AveragePool, *MaxPool, *Conv, *ReLU, *OnOff and
// *Reconstruction.
type Layer interface {
	// Kind returns a short name of the layer's type.
	Kind() string

	// Output returns the size of the output for an input of size in, or an
	// error when the layer's parameters do not fit it or each other.
	Output(in Size) (Size, error)

	// write adds the layer's nodes to a model under construction.
	write(w *writer, in value) (value, error)
}

// Window is the geometry of a layer that slides over its input. The entries
// are for height and width, in this order.
type Window struct {
	Kernel    [2]int
	Strides   [2]int
	Dilations [2]int
	Pads      [2]int // added on both sides
}

// maxWindow bounds the numbers of a window, so that none of their sums and products
// overflows. Those of real networks are below 100.
const maxWindow = 1 << 24

// Output returns the number of positions: floor((size + 2*pad -
// dilation*(kernel-1) - 1)/stride) + 1.
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

// SbS is a Spike-By-Spike layer; see ops/sbs for what it computes.
type SbS struct {
	Window

	Weights   *ops.Tensor // float32 (K, N), K = channels*kernel height*kernel width
	EpsilonXY *ops.Tensor // nil, or float32 (OH, OW) or (OH, OW, KH, KW)
	Pooling   bool        // Weights are the fixed pooling weights
	Local     bool        // it is trained by its local rule; nothing to inference

	Spikes          int
	Epsilon0        float32
	EpsilonT        []float32 // at least Spikes entries
	Forgetting      float32   // forgetting_offset; no forgetting unless > 0
	AlphaIterations int
	Sampler         sbs.Sampler // "" means sbs.IID
}

// AveragePool is an average over the window; padding counts as zeros. Its
// dilations must be 1.
type AveragePool struct{ Window }

// MaxPool is the maximum over the window.
type MaxPool struct{ Window }

// Conv is a 2-D convolution.
type Conv struct {
	Window
	Weights *ops.Tensor // float32 (out, in, KH, KW)
	Bias    *ops.Tensor // nil or float32 (out)
}

// ReLU is max(x, 0).
type ReLU struct{}

// OnOff is the split layer of dialect 2: d = x - Mean, then max(d, 0) and
// max(-d, 0) one behind the other over the channels, divided by their sum over
// the channels + 1e-20.
type OnOff struct {
	Mean *ops.Tensor // float32 (1, 1, H, W), or (1, 1, 1, 1) for one mean everywhere
}

// Reconstruction is the input distribution that the SbS layer before it would
// expect: W times h, h normalised over the neurons, the result over K.
type Reconstruction struct {
	Weights *ops.Tensor // the SbS layer's, float32 (K, N)
}
