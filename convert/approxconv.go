package convert

import (
	"errors"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// ApproxConv is a two-dimensional convolution whose products are approximate: APPROX CONV2D of
// PyTorch-SbS. Package ops/sbs documents what it computes.
type ApproxConv struct {
	Window
	Weights *ops.Tensor // float32 (output channels, input channels, KH, KW)
	Bias    *ops.Tensor // float32 (output channels)

	FracBits  int  // number_of_frac_bits, 1 to 32: the bits of each factor
	TruncBits int  // number_of_trunc_bits, 0 to 32: the lowest columns of the product
	Enabled   bool // approximation_enable: whether the partial products in these columns are left out
}

const kindApproxConv = "ApproxConv"

// Kind implements Layer.
func (*ApproxConv) Kind() string { return kindApproxConv }

func (*ApproxConv) operator() string { return sbs.OpApproxConv }

// Output implements Layer.
func (l *ApproxConv) Output(in Size) (Size, error) {
	return (&Conv{Window: l.Window, Weights: l.Weights, Bias: l.Bias}).Output(in)
}

func (l *ApproxConv) write(w *writer, in value) (value, error) {
	return value{}, errors.New("not implemented")
}

func readApproxConv(r *reader) (*ApproxConv, error) { return nil, errors.New("not implemented") }

func approxConvFunction() (*onnxpb.FunctionProto, error) { return nil, errors.New("not implemented") }
