package sbs

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

const (
	// Domain is the ONNX domain of the operators.
	Domain = "ai.sbs"

	// Version is the version of the domain that this package implements.
	Version = 1
)

// MaxEpsilon is the largest value of epsilon_0, of forgetting_offset, and of every
// entry of epsilon_t and epsilon_xy. It keeps their product, divided by the smallest q
// that changes h, from overflowing. Useful values are about 1.
const MaxEpsilon = 1e4

// MaxSpikes is the largest value of number_of_spikes.
const MaxSpikes = 1 << 24

// LeastUniform is the smallest uniform number that selects a spike: smaller ones count as
// LeastUniform, because 0 would select the first value even if its probability is 0.
const LeastUniform = kernel.LeastUniform

// Operator returns the description of the SbS operator. Its Ops implement
// ops.Differentiable, with the gradient of the zero Rule.
func Operator() ops.Operator {
	return ops.Operator{
		Domain: Domain, Name: OpSbS,
		MinInputs: 2, MaxInputs: 4, MinOutputs: 1, MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			p, err := ParamsOf(n.Attributes)
			if err != nil {
				return nil, err
			}
			return newLayer(p, false), nil
		},
	}
}

// layer is SbS or SbSFullLayer, bound to the attributes of a node.
type layer struct {
	Params
	full bool      // whether the operator is SbSFullLayer
	eps  []float32 // epsilon_0 * epsilon_t of the spikes that are used, see Prefix
	last atomic.Pointer[plan]
	runs atomic.Uint64 // number of runs so far
}

func newLayer(p Params, full bool) *layer {
	l := &layer{Params: p, full: full, eps: make([]float32, p.Spikes)}
	for t := range l.eps {
		l.eps[t] = p.Epsilon0 * p.EpsilonT[t]
	}
	return l
}

// Infer implements ops.Op.
func (l *layer) Infer(in []*ops.Input) ([]ops.Type, error) {
	if optional(in, 0) == nil || optional(in, 1) == nil {
		return nil, fmt.Errorf("%w: an SbS layer needs the inputs X and W", ops.ErrShape)
	}
	out, err := l.window().infer(in[0].Type, in[1].Type)
	if err != nil {
		return nil, err
	}
	if err := checkWeights(context.Background(), in[1].Const); err != nil {
		return nil, err
	}
	if e := optional(in, inputEpsilonXY); e != nil {
		if err := l.checkEpsilonXY(e.Type, out); err != nil {
			return nil, err
		}
		if _, err := checkEpsilons(e.Const); err != nil {
			return nil, err
		}
	}
	return []ops.Type{out}, l.numbers(in[0].Type, in[1].Type, out).checkInput(optional(in, inputGiven))
}

// The inputs that may be absent.
const (
	inputEpsilonXY = 2
	inputGiven     = 3
)

// optional returns input i, or nil if it is absent.
func optional[T any](in []*T, i int) *T {
	if i < len(in) {
		return in[i]
	}
	return nil
}

// numbers describes the spikes that can be given for the types of X, W and the output.
func (l *layer) numbers(x, w, out ops.Type) numbers {
	n := numbers{
		shape: []ops.Dim{x.Shape[0], {Size: l.Spikes}, out.Shape[2], out.Shape[3]},
		sizes: "(batch, number_of_spikes, output height, output width)", source: "patch", most: math.MaxInt32,
	}
	if l.full {
		return imageNumbers(x, l.Spikes)
	}
	if k := w.Shape[0]; k.Known() {
		n.most = int64(k.Size) - 1
	}
	return n
}

// compatible reports whether a value of type t may turn out to have the wanted type.
func compatible(t, want ops.Type) bool {
	ok := t.DType == want.DType && len(t.Shape) == len(want.Shape)
	for i := 0; ok && i < len(t.Shape); i++ {
		ok = !t.Shape[i].Known() || !want.Shape[i].Known() || t.Shape[i].Size == want.Shape[i].Size
	}
	return ok
}

// checkWeights checks the values of W, or nothing if w is nil.
func checkWeights(ctx context.Context, w *ops.Tensor) error {
	if w == nil {
		return nil
	}
	for i, v := range w.Float32s() {
		if i%weightsAtOnce == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !(v >= 0 && v <= math.MaxFloat32) {
			return fmt.Errorf("%w: W holds %v at %v: weights must be finite and at least 0", ops.ErrValue, v, ops.Coordinates(i, w.Shape()))
		}
	}
	return nil
}

// checkEpsilons checks the values of epsilon_xy and returns the largest, or 0 if e is
// nil.
func checkEpsilons(e *ops.Tensor) (largest float32, err error) {
	if e == nil {
		return 0, nil
	}
	for i, v := range e.Float32s() {
		if !(v >= 0 && v <= MaxEpsilon) {
			return 0, fmt.Errorf("%w: epsilon_xy holds %v at %v: want 0 to %g", ops.ErrValue, v, ops.Coordinates(i, e.Shape()), float32(MaxEpsilon))
		}
		largest = max(largest, v)
	}
	return largest, nil
}

// checkEpsilonXY checks the type of epsilon_xy for an output.
func (l *layer) checkEpsilonXY(e, out ops.Type) error {
	perPosition := ops.Type{DType: ops.Float32, Shape: out.Shape[2:]}
	perPlace := ops.Type{DType: ops.Float32, Shape: slices.Concat(out.Shape[2:], ops.Dims(l.Kernel[:]...))}
	if compatible(e, perPosition) || compatible(e, perPlace) {
		return nil
	}
	return fmt.Errorf("%w: epsilon_xy is %v, want %v or %v", ops.ErrShape, e, perPosition, perPlace)
}
