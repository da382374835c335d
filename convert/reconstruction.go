package convert

import (
	"errors"

	"github.com/spike-by-spike/sbs/ops"
)

const kindReconstruction = "Reconstruction"

// Kind implements Layer.
func (*Reconstruction) Kind() string { return kindReconstruction }

// Output implements Layer.
func (l *Reconstruction) Output(in Size) (Size, error) {
	if err := checkFloats("weights", l.Weights, []int{-1, in.Channels}); err != nil {
		return Size{}, err
	}
	return Size{l.Weights.Shape()[0], in.Height, in.Width}, nil
}

var errNoSbS = errors.New("a reconstruction layer must directly follow an SbS layer and share its weights")

func (l *Reconstruction) write(w *writer, in value) (value, error) {
	out, err := l.Output(in.size)
	if err != nil {
		return value{}, err
	}
	one := Size{1, in.size.Height, in.size.Width}
	hSum := w.add(nodeSpec{
		op: "ReduceSum", step: "h_sum", inputs: []string{in.name, w.ints("h_axes", 1)}, attrs: ops.Attributes{"keepdims": int64(1)},
	}, one)
	h := w.add(nodeSpec{op: "Div", step: "h", inputs: []string{in.name, hSum.name}}, in.size)
	// W times h at every position is a convolution with a 1x1 kernel. It uses the
	// initializer of the layer before, so that the weights are stored once.
	k, n := l.Weights.Shape()[0], l.Weights.Shape()[1]
	kernel := w.addConst(nodeSpec{
		op: "Reshape", step: "kernel", inputs: []string{w.lastW, w.ints("kernel_shape", int64(k), int64(n), 1, 1)},
	}, k, n, 1, 1)
	v := w.add(nodeSpec{op: "Conv", step: "W_times_h", inputs: []string{h.name, kernel}}, out)
	return w.normalize(v, ""), nil
}

func readReconstruction(r *reader) (*Reconstruction, error) {
	if r.last == nil {
		return nil, errNoSbS
	}
	return &Reconstruction{Weights: r.last.Weights}, nil
}
