package sbs

import (
	"cmp"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/spike-by-spike/sbs/ops"
)

// Domain is the ONNX domain of the operator, and Version the version of the
// domain that this package implements.
const (
	Domain  = "ai.sbs"
	Version = 1
)

// MaxEpsilon bounds epsilon_0, forgetting_offset and every entry of epsilon_t and
// epsilon_xy: with their product, divided by the smallest q that counts, nothing
// overflows. Useful values are about 1.
const MaxEpsilon = 1e4

// MaxSpikes bounds number_of_spikes.
const MaxSpikes = 1 << 24

// Operator returns the description of the SbS operator.
func Operator() ops.Operator {
	return ops.Operator{
		Domain: Domain, Name: "SbS",
		MinInputs: 2, MaxInputs: 4, MinOutputs: 1, MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			p, err := ParamsOf(n.Attributes)
			if err != nil {
				return nil, err
			}
			return newLayer(p), nil
		},
	}
}

// Params are the attributes of an SbS node.
type Params struct {
	Kernel    [2]int // height, width
	Strides   [2]int
	Dilations [2]int
	Pads      [4]int // top, left, bottom, right

	Spikes          int       // number_of_spikes
	Epsilon0        float32   // epsilon_0
	EpsilonT        []float32 // epsilon_t, at least Spikes entries
	Forgetting      float32   // forgetting_offset; no forgetting unless > 0
	AlphaIterations int       // alpha_iterations
	Sampler         Sampler   // sampler; "" means IID
	Seed            int64     // seed
	FunctionSeed    float32   // function_seed; nothing to this package
}

// The names of the attributes that a user of a model may want to change.
const (
	AttrSpikes   = "number_of_spikes"
	AttrEpsilon0 = "epsilon_0"
	AttrEpsilonT = "epsilon_t"
	AttrSampler  = "sampler"
)

// The names of the other attributes.
const (
	AttrKernelShape     = "kernel_shape"
	AttrStrides         = "strides"
	AttrDilations       = "dilations"
	AttrPads            = "pads"
	AttrForgetting      = "forgetting_offset"
	AttrAlphaIterations = "alpha_iterations"
	AttrSeed            = "seed"
	AttrFunctionSeed    = "function_seed"
)

// ParamsOf reads and checks the attributes of an SbS node. Errors wrap
// ops.ErrAttribute.
func ParamsOf(a ops.Attributes) (Params, error) {
	r := attrReader{attrs: a}
	r.err = a.Only(AttrKernelShape, AttrStrides, AttrDilations, AttrPads, AttrSpikes, AttrEpsilon0,
		AttrEpsilonT, AttrForgetting, AttrAlphaIterations, AttrSampler, AttrSeed, AttrFunctionSeed)
	var p Params
	r.ints(p.Kernel[:], AttrKernelShape, nil, 1)
	r.ints(p.Strides[:], AttrStrides, []int64{1, 1}, 1)
	r.ints(p.Dilations[:], AttrDilations, []int64{1, 1}, 1)
	r.ints(p.Pads[:], AttrPads, []int64{0, 0, 0, 0}, 0)
	p.Spikes = int(attr[int64](&r, AttrSpikes, 0))
	p.Epsilon0 = attr[float32](&r, AttrEpsilon0, 1)
	p.EpsilonT = attr[[]float32](&r, AttrEpsilonT, nil)
	p.Forgetting = attr[float32](&r, AttrForgetting, 0)
	p.AlphaIterations = int(attr[int64](&r, AttrAlphaIterations, 0))
	p.Seed = attr[int64](&r, AttrSeed, 0)
	p.FunctionSeed = attr[float32](&r, AttrFunctionSeed, 0)
	sampler := attr(&r, AttrSampler, string(IID))
	if r.err != nil {
		return p, r.err
	}
	var err error
	if p.Sampler, err = ParseSampler(sampler); err != nil {
		return p, fmt.Errorf("%w: %w", ops.ErrAttribute, err)
	}
	return p, p.check()
}

func (p Params) check() error {
	switch {
	case p.Spikes < 1 || p.Spikes > MaxSpikes:
		return fmt.Errorf("%w: %s is %d, want 1 to %d", ops.ErrAttribute, AttrSpikes, p.Spikes, MaxSpikes)
	case len(p.EpsilonT) < p.Spikes:
		return fmt.Errorf("%w: %s is %d but %s has only %d entries: convert the network again with that many spikes, or give an epsilon schedule",
			ops.ErrAttribute, AttrSpikes, p.Spikes, AttrEpsilonT, len(p.EpsilonT))
	case !(p.Epsilon0 >= 0 && p.Epsilon0 <= MaxEpsilon):
		return fmt.Errorf("%w: %s is %v, want 0 to %g", ops.ErrAttribute, AttrEpsilon0, p.Epsilon0, float32(MaxEpsilon))
	case !(p.Forgetting <= MaxEpsilon):
		return fmt.Errorf("%w: %s is %v, want at most %g", ops.ErrAttribute, AttrForgetting, p.Forgetting, float32(MaxEpsilon))
	case p.AlphaIterations < 0 || p.AlphaIterations > 1000:
		return fmt.Errorf("%w: %s is %d, want 0 to 1000", ops.ErrAttribute, AttrAlphaIterations, p.AlphaIterations)
	}
	for t, e := range p.EpsilonT {
		if !(e >= 0 && e <= MaxEpsilon) {
			return fmt.Errorf("%w: %s[%d] is %v, want 0 to %g", ops.ErrAttribute, AttrEpsilonT, t, e, float32(MaxEpsilon))
		}
	}
	return nil
}

// Attributes returns the node attributes that ParamsOf reads as p.
func (p Params) Attributes() ops.Attributes {
	ints := func(v ...int) []int64 {
		out := make([]int64, len(v))
		for i, x := range v {
			out[i] = int64(x)
		}
		return out
	}
	return ops.Attributes{
		AttrKernelShape:     ints(p.Kernel[:]...),
		AttrStrides:         ints(p.Strides[:]...),
		AttrDilations:       ints(p.Dilations[:]...),
		AttrPads:            ints(p.Pads[:]...),
		AttrSpikes:          int64(p.Spikes),
		AttrEpsilon0:        p.Epsilon0,
		AttrEpsilonT:        p.EpsilonT,
		AttrForgetting:      max(p.Forgetting, 0),
		AttrAlphaIterations: int64(p.AlphaIterations),
		AttrSampler:         string(cmp.Or(p.Sampler, IID)),
		AttrSeed:            p.Seed,
		AttrFunctionSeed:    p.FunctionSeed,
	}
}

// attrReader collects the first error of a series of reads.
type attrReader struct {
	attrs ops.Attributes
	err   error
}

func attr[T int64 | float32 | string | []float32 | []int64](r *attrReader, name string, def T) T {
	v, err := ops.Attr(r.attrs, name, def)
	if r.err == nil {
		r.err = err
	}
	return v
}

// maxWindow bounds the entries of the attributes that describe the window, so
// that no sum or product of them overflows.
const maxWindow = 1 << 16

func (r *attrReader) ints(dst []int, name string, def []int64, least int) {
	v := attr(r, name, def)
	if r.err != nil {
		return
	}
	if len(v) != len(dst) {
		r.err = fmt.Errorf("%w: %s has %d entries, want %d", ops.ErrAttribute, name, len(v), len(dst))
		return
	}
	for i, x := range v {
		if x < int64(least) || x > maxWindow {
			r.err = fmt.Errorf("%w: %s %v: every entry must be %d to %d", ops.ErrAttribute, name, v, least, maxWindow)
			return
		}
		dst[i] = int(x)
	}
}

// layer is the operator with its attributes bound.
type layer struct {
	Params
	eps  []float32 // epsilon_0 * epsilon_t
	last atomic.Pointer[plan]
}

func newLayer(p Params) *layer {
	l := &layer{Params: p, eps: make([]float32, p.Spikes)}
	for t := range l.eps {
		l.eps[t] = p.Epsilon0 * p.EpsilonT[t]
	}
	return l
}

// Infer implements ops.Op.
func (l *layer) Infer(in []*ops.Input) ([]ops.Type, error) {
	x, w := in[0].Type, in[1].Type
	if x.DType != ops.Float32 || len(x.Shape) != 4 {
		return nil, fmt.Errorf("%w: X is %v, want float32(batch, channels, height, width)", ops.ErrShape, x)
	}
	if w.DType != ops.Float32 || len(w.Shape) != 2 {
		return nil, fmt.Errorf("%w: W is %v, want float32(K, N)", ops.ErrShape, w)
	}
	if c, k := x.Shape[1], w.Shape[0]; c.Known() && k.Known() && k.Size != c.Size*l.Kernel[0]*l.Kernel[1] {
		return nil, fmt.Errorf("%w: X is %v with kernel_shape %v, which needs W with %d rows, but W is %v",
			ops.ErrShape, x, l.Kernel, c.Size*l.Kernel[0]*l.Kernel[1], w)
	}
	for _, d := range w.Shape {
		if d.Known() && d.Size < 1 {
			return nil, fmt.Errorf("%w: W is %v: it has no weights", ops.ErrShape, w)
		}
	}
	out := ops.Type{DType: ops.Float32, Shape: []ops.Dim{x.Shape[0], w.Shape[1], {Size: -1}, {Size: -1}}}
	for i := range 2 {
		size := x.Shape[2+i]
		if !size.Known() {
			continue
		}
		o := l.positions(size.Size, i)
		if o < 1 {
			return nil, fmt.Errorf("%w: kernel_shape %v with dilations %v and pads %v does not fit into X, which is %v",
				ops.ErrShape, l.Kernel, l.Dilations, l.Pads, x)
		}
		out.Shape[2+i].Size = o
	}
	known := make([]int, 0, len(out.Shape))
	for _, d := range out.Shape {
		if d.Known() {
			known = append(known, d.Size)
		}
	}
	if _, err := ops.Len(known); err != nil {
		return nil, err
	}
	if err := checkWeights(in[1].Const); err != nil {
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
	if given := optional(in, inputGiven); given != nil {
		if err := l.checkGiven(given.Type, out); err != nil {
			return nil, err
		}
	}
	return []ops.Type{out}, nil
}

// The inputs that may be absent.
const (
	inputEpsilonXY = 2
	inputGiven     = 3
)

// optional returns input i, nil when it is absent.
func optional[T any](in []*T, i int) *T {
	if i < len(in) {
		return in[i]
	}
	return nil
}

// checkGiven checks the type of given spikes or uniforms.
func (l *layer) checkGiven(given, out ops.Type) error {
	want := ops.Type{DType: ops.Int64, Shape: []ops.Dim{out.Shape[0], {Size: l.Spikes}, out.Shape[2], out.Shape[3]}}
	if given.DType == ops.Float32 {
		want.DType = ops.Float32
	}
	if !compatible(given, want) {
		return fmt.Errorf("%w: given is %v, want %v (batch, number_of_spikes, output height, output width), int64 for spikes or float32 for uniforms",
			ops.ErrShape, given, want)
	}
	return nil
}

// compatible reports whether a type is the wanted one, as far as both are known.
func compatible(t, want ops.Type) bool {
	ok := t.DType == want.DType && len(t.Shape) == len(want.Shape)
	for i := 0; ok && i < len(t.Shape); i++ {
		ok = !t.Shape[i].Known() || !want.Shape[i].Known() || t.Shape[i].Size == want.Shape[i].Size
	}
	return ok
}

// positions returns the number of output positions along axis 0 (height) or 1
// (width), below 1 when the window does not fit.
func (l *layer) positions(size, axis int) int {
	span := size + l.Pads[axis] + l.Pads[axis+2] - l.Dilations[axis]*(l.Kernel[axis]-1) - 1
	if span < 0 {
		return 0
	}
	return span/l.Strides[axis] + 1
}

// checkWeights checks the values of W, which are not known if it is nil.
func checkWeights(w *ops.Tensor) error {
	if w == nil {
		return nil
	}
	for i, v := range w.Float32s() {
		if !(v >= 0 && v <= math.MaxFloat32) {
			return fmt.Errorf("W holds %v at %v: weights must be finite and at least 0", v, index(i, w.Shape()))
		}
	}
	return nil
}

// checkEpsilons checks the values of epsilon_xy, if it is not nil, and returns the
// largest.
func checkEpsilons(e *ops.Tensor) (largest float32, err error) {
	if e == nil {
		return 0, nil
	}
	for i, v := range e.Float32s() {
		if !(v >= 0 && v <= MaxEpsilon) {
			return 0, fmt.Errorf("epsilon_xy holds %v at %v: want 0 to %g", v, index(i, e.Shape()), float32(MaxEpsilon))
		}
		largest = max(largest, v)
	}
	return largest, nil
}

func (l *layer) checkEpsilonXY(e, out ops.Type) error {
	all := append(append([]ops.Dim{}, out.Shape[2:]...), ops.Dims(l.Kernel[:]...)...)
	each := ops.Type{DType: ops.Float32, Shape: all}
	position := ops.Type{DType: ops.Float32, Shape: all[:2]}
	if compatible(e, position) || compatible(e, each) {
		return nil
	}
	return fmt.Errorf("%w: epsilon_xy is %v, want %v or %v", ops.ErrShape, e, position, each)
}
