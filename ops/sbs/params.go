package sbs

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// Params holds the attributes of an SbS node. The package documentation says what they
// mean, and which values are allowed.
type Params struct {
	Kernel    [2]int // kernel_shape: height, width
	Strides   [2]int // strides: along the height, along the width
	Dilations [2]int // dilations: along the height, along the width
	Pads      [4]int // pads: top, left, bottom, right

	Spikes          int       // number_of_spikes
	Epsilon0        float32   // epsilon_0
	EpsilonT        []float32 // epsilon_t, at least Spikes entries
	Forgetting      float32   // forgetting_offset; no forgetting unless > 0
	AlphaIterations int       // alpha_iterations
	Sampler         Sampler   // sampler; "" means IID
	Seed            int64     // seed
	FunctionSeed    float32   // function_seed; this package does not use it
}

// The names of the attributes. The first four are those that Dynamics changes.
const (
	AttrSpikes          = "number_of_spikes"
	AttrEpsilon0        = "epsilon_0"
	AttrEpsilonT        = "epsilon_t"
	AttrSampler         = "sampler"
	AttrKernelShape     = "kernel_shape"
	AttrStrides         = "strides"
	AttrDilations       = "dilations"
	AttrPads            = "pads"
	AttrForgetting      = "forgetting_offset"
	AttrAlphaIterations = "alpha_iterations"
	AttrSeed            = "seed"
	AttrFunctionSeed    = "function_seed"
)

// ParamsOf reads and checks the attributes of an SbS node. It refuses attributes that
// it does not know. The error wraps ops.ErrAttribute.
func ParamsOf(a ops.Attributes) (Params, error) {
	r := attrReader{attrs: a}
	r.err = a.Only(AttrKernelShape, AttrStrides, AttrDilations, AttrPads, AttrSpikes, AttrEpsilon0,
		AttrEpsilonT, AttrForgetting, AttrAlphaIterations, AttrSampler, AttrSeed, AttrFunctionSeed)
	var p Params
	r.window(&p.Kernel, &p.Strides, &p.Dilations, &p.Pads)
	p.Spikes = int(attr[int64](&r, AttrSpikes, 0))
	p.Epsilon0 = attr[float32](&r, AttrEpsilon0, 1)
	p.EpsilonT = slices.Clone(attr[[]float32](&r, AttrEpsilonT, nil))
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

// Attributes returns the attributes from which ParamsOf makes p, apart from a negative
// Forgetting, which becomes 0. It does not check p.
func (p Params) Attributes() ops.Attributes {
	a := ops.Attributes{
		AttrSpikes:          int64(p.Spikes),
		AttrEpsilon0:        p.Epsilon0,
		AttrEpsilonT:        slices.Clone(p.EpsilonT),
		AttrForgetting:      max(p.Forgetting, 0),
		AttrAlphaIterations: int64(p.AlphaIterations),
		AttrSampler:         string(cmp.Or(p.Sampler, IID)),
		AttrSeed:            p.Seed,
		AttrFunctionSeed:    p.FunctionSeed,
	}
	setWindow(a, p.Kernel, p.Strides, p.Dilations, p.Pads)
	return a
}

// setWindow sets the attributes of a window.
func setWindow(a ops.Attributes, kernelShape, strides, dilations [2]int, pads [4]int) {
	ints := func(v ...int) []int64 {
		out := make([]int64, len(v))
		for i, x := range v {
			out[i] = int64(x)
		}
		return out
	}
	a[AttrKernelShape], a[AttrStrides] = ints(kernelShape[:]...), ints(strides[:]...)
	a[AttrDilations], a[AttrPads] = ints(dilations[:]...), ints(pads[:]...)
}

// attrReader reads attributes and keeps the first error.
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

// maxWindow is the largest entry of the attributes that describe the window. No sum or
// product of such entries overflows.
const maxWindow = 1 << 16

// window reads the attributes of a window.
func (r *attrReader) window(kernelShape, strides, dilations *[2]int, pads *[4]int) {
	r.ints(kernelShape[:], AttrKernelShape, nil, 1)
	r.ints(strides[:], AttrStrides, []int64{1, 1}, 1)
	r.ints(dilations[:], AttrDilations, []int64{1, 1}, 1)
	r.ints(pads[:], AttrPads, []int64{0, 0, 0, 0}, 0)
}

// ints reads an attribute that must have one entry, of at least the given size, for each
// element of dst.
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
