package convert

import (
	"errors"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// NNMF is a layer of non-negative matrix factorization. Package ops/sbs documents what it
// computes.
type NNMF struct {
	Window

	// Weights has shape (K, N) with K = input channels * kernel height * kernel width
	// and N neurons, type float32. The entries are finite and at least 0.
	Weights *ops.Tensor

	Iterations int     // number of updates of h, at least 1
	Epsilon0   float32 // step size of the additive update, up to 1e4; 0 or less selects the multiplicative update

	// Gradient selects the gradient of the training: of the whole loop (the layer type NNMF of
	// PyTorch-SbS), or the closed form of SbS layers (BP SBS NNMF). Empty means sbs.GradientLoop.
	Gradient sbs.NNMFGradient
}

const (
	kindNNMF      = "NNMF"
	kindBPSbSNNMF = "BPSbSNNMF"
)

// Kind implements Layer.
func (l *NNMF) Kind() string {
	if l.Gradient == sbs.GradientClosedForm {
		return kindBPSbSNNMF
	}
	return kindNNMF
}

func (*NNMF) operator() string { return sbs.OpNNMF }

// Output implements Layer.
func (l *NNMF) Output(in Size) (Size, error) { return windowOutput(l.Window, l.Weights, in) }

func (l *NNMF) write(w *writer, in value) (value, error) {
	return value{}, errors.New("not implemented")
}

func readNNMF(r *reader, kind string) (*NNMF, error) { return nil, errors.New("not implemented") }

func nnmfFunction() (*onnxpb.FunctionProto, error) { return nil, errors.New("not implemented") }
