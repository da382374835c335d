package sbs

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

// NNMFGradient names a gradient of the NNMF operator.
type NNMFGradient string

// The gradients of the NNMF operator.
const (
	// GradientLoop is the derivative of all iterations: the layer type NNMF of PyTorch-SbS.
	GradientLoop NNMFGradient = "loop"

	// GradientClosedForm is the gradient of SbS layers, which follows from the final h, passed
	// on through the division of the patch by its sum: the layer type BP SBS NNMF.
	GradientClosedForm NNMFGradient = "closed_form"
)

// NNMFParams holds the attributes of an NNMF node:
//
//   - kernel_shape (ints, required), strides, dilations, pads: the window, as in SbS.
//   - number_of_iterations (int, required): T, from 1 to MaxSpikes.
//   - epsilon_0 (float): at most MaxEpsilon; the default is 1. The update of h is additive if
//     epsilon_0 is above 0, and multiplicative otherwise.
//   - tiny_sum, tiny_reconstruction (floats): numbers from 1e-30 to 1 that keep the quotients
//     defined; the defaults are 1e-20.
//   - gradient (string): "loop", the default, or "closed_form".
//
// The operator describes patches of its input X (B, C, H, W) as mixtures of the columns of W
// (K, N), as the SbS operator does, but by non-negative matrix factorization instead of spikes.
// It is deterministic. At each output position, with the patch p, P = sum_k p[k] and
// p~ = p/(P + tiny_sum), it starts with h[n] = 1/N and repeats T times:
//
//	R[k] = sum_n W[k,n]*h[n]
//	u[n] = h[n] * sum_k W[k,n]*p~[k]/(R[k] + tiny_reconstruction)
//	z    = h + epsilon_0*u  if epsilon_0 > 0, else u
//	h    = z / (sum_n z[n] + tiny_sum)
//
// Where the patch is all zero, h stays 1/N. The output is h, (B, N, OH, OW).
//
// The multiplicative update is the one of D. D. Lee and H. S. Seung, "Algorithms for
// non-negative matrix factorization", NIPS 13, 2000. The layers NNMF and BP SBS NNMF of
// PyTorch-SbS (July 2023) are this operator with the default constants. The layer NNMF2d of the
// same authors (https://github.com/davrot/nnmf) after a division by the sum over the channels is
// this operator with tiny_sum = 1e-19.
type NNMFParams struct {
	Kernel    [2]int // kernel_shape: height, width
	Strides   [2]int // strides: along the height, along the width
	Dilations [2]int // dilations: along the height, along the width
	Pads      [4]int // pads: top, left, bottom, right

	Iterations         int          // number_of_iterations
	Epsilon0           float32      // epsilon_0
	TinySum            float32      // tiny_sum; 0 means 1e-20
	TinyReconstruction float32      // tiny_reconstruction; 0 means 1e-20
	Gradient           NNMFGradient // gradient; "" means GradientLoop
}

// The names of the attributes that only NNMF has.
const (
	AttrIterations         = "number_of_iterations"
	AttrTinySum            = "tiny_sum"
	AttrTinyReconstruction = "tiny_reconstruction"
	AttrGradient           = "gradient"
)

// NNMFParamsOf reads and checks the attributes of an NNMF node. It refuses attributes that it
// does not know. The error wraps ops.ErrAttribute.
func NNMFParamsOf(a ops.Attributes) (NNMFParams, error) {
	r := attrReader{attrs: a}
	r.err = a.Only(AttrKernelShape, AttrStrides, AttrDilations, AttrPads, AttrIterations, AttrEpsilon0, AttrTinySum, AttrTinyReconstruction, AttrGradient)
	var p NNMFParams
	r.window(&p.Kernel, &p.Strides, &p.Dilations, &p.Pads)
	p.Iterations = int(attr[int64](&r, AttrIterations, 0))
	p.Epsilon0 = attr[float32](&r, AttrEpsilon0, 1)
	p.TinySum = attr[float32](&r, AttrTinySum, kernel.Tiny)
	p.TinyReconstruction = attr[float32](&r, AttrTinyReconstruction, kernel.Tiny)
	p.Gradient = NNMFGradient(attr(&r, AttrGradient, string(GradientLoop)))
	if r.err != nil {
		return p, r.err
	}
	return p, p.check()
}

func (p NNMFParams) check() error {
	const least, most = 1e-30, 1
	switch {
	case p.Iterations < 1 || p.Iterations > MaxSpikes:
		return fmt.Errorf("%w: %s is %d, want 1 to %d", ops.ErrAttribute, AttrIterations, p.Iterations, MaxSpikes)
	case !(p.Epsilon0 <= MaxEpsilon && p.Epsilon0 >= -math.MaxFloat32):
		return fmt.Errorf("%w: %s is %v, want at most %g", ops.ErrAttribute, AttrEpsilon0, p.Epsilon0, float32(MaxEpsilon))
	case p.Gradient != GradientLoop && p.Gradient != GradientClosedForm:
		return fmt.Errorf("%w: %s is %q, want %q or %q", ops.ErrAttribute, AttrGradient, p.Gradient, GradientLoop, GradientClosedForm)
	case !(p.TinySum >= least && p.TinySum <= most):
		return fmt.Errorf("%w: %s is %v, want %g to %d", ops.ErrAttribute, AttrTinySum, p.TinySum, least, most)
	case !(p.TinyReconstruction >= least && p.TinyReconstruction <= most):
		return fmt.Errorf("%w: %s is %v, want %g to %d", ops.ErrAttribute, AttrTinyReconstruction, p.TinyReconstruction, least, most)
	}
	return nil
}

// Attributes returns the attributes from which NNMFParamsOf makes p, with the defaults for zero
// values of TinySum, TinyReconstruction and Gradient. It does not check p.
func (p NNMFParams) Attributes() ops.Attributes {
	p = p.complete()
	a := ops.Attributes{
		AttrIterations: int64(p.Iterations), AttrEpsilon0: p.Epsilon0,
		AttrTinySum: p.TinySum, AttrTinyReconstruction: p.TinyReconstruction, AttrGradient: string(p.Gradient),
	}
	setWindow(a, p.Kernel, p.Strides, p.Dilations, p.Pads)
	return a
}

// complete sets the defaults.
func (p NNMFParams) complete() NNMFParams {
	if p.TinySum == 0 {
		p.TinySum = kernel.Tiny
	}
	if p.TinyReconstruction == 0 {
		p.TinyReconstruction = kernel.Tiny
	}
	if p.Gradient == "" {
		p.Gradient = GradientLoop
	}
	return p
}

func nnmfOperator() ops.Operator {
	return ops.Operator{
		Domain: Domain, Name: OpNNMF,
		MinInputs: 2, MaxInputs: 2, MinOutputs: 1, MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			p, err := NNMFParamsOf(n.Attributes)
			if err != nil {
				return nil, err
			}
			return &nnmf{NNMFParams: p}, nil
		},
	}
}

// nnmf is the operator, bound to the attributes of a node.
type nnmf struct {
	NNMFParams
	last atomic.Pointer[nnmfFactors]
}

func (l *nnmf) window() window { return window{l.Kernel, l.Strides, l.Dilations, l.Pads} }

// NNMFOpParams returns the attributes of an NNMF operator of this package. It returns false if op
// is another operator.
func NNMFOpParams(op ops.Op) (NNMFParams, bool) {
	l, ok := op.(*nnmf)
	if !ok {
		return NNMFParams{}, false
	}
	return l.NNMFParams, true
}

// step returns the factors of the update z = keep*h + scale*u.
func (l *nnmf) step() (keep, scale float32) {
	if l.Epsilon0 > 0 {
		return 1, l.Epsilon0
	}
	return 0, 1
}

// Infer implements ops.Op.
func (l *nnmf) Infer(in []*ops.Input) ([]ops.Type, error) {
	if optional(in, 0) == nil || optional(in, 1) == nil {
		return nil, fmt.Errorf("%w: an NNMF layer needs the inputs X and W", ops.ErrShape)
	}
	out, err := l.window().infer(in[0].Type, in[1].Type)
	if err != nil {
		return nil, err
	}
	return []ops.Type{out}, checkWeights(context.Background(), in[1].Const)
}

// nnmfFactors holds the weights in the form for products of matrices. The operator keeps them for
// later runs with the same weights.
type nnmfFactors struct {
	weights  []float32       // a copy, to find out whether the weights have changed
	down, up *kernel.Filters // W, (K, N), and its transpose
	bytes    int64
}

// factorsOf returns the factors for weights (K, N).
func (l *nnmf) factorsOf(ctx *ops.Context, w *ops.Tensor) (*nnmfFactors, error) {
	k, n := w.Shape()[0], w.Shape()[1]
	if f := l.last.Load(); f != nil && len(f.weights) == k*n {
		if same, err := sameBits(ctx, f.weights, w.Float32s()); err != nil {
			return nil, err
		} else if same {
			return f, ctx.Reserve(f.bytes)
		}
	}
	f := &nnmfFactors{bytes: 4*int64(w.Len()) + kernel.FiltersBytes(1, k, n) + kernel.FiltersBytes(1, n, k)}
	if err := ctx.Reserve(f.bytes); err != nil {
		return nil, err
	}
	if err := checkWeights(ctx, w); err != nil {
		return nil, err
	}
	f.weights = slices.Clone(w.Float32s())
	var err error
	if f.down, err = kernel.NewFilters(ctx, 1, k, n, f.weights); err != nil {
		return nil, err
	}
	if f.up, err = kernel.NewTransposed(ctx, n, k, f.weights); err != nil {
		return nil, err
	}
	l.last.Store(f)
	return f, nil
}

// nnmfRun is the state of one Run. As the Scratch of the node it keeps its memory for the
// next Run.
type nnmfRun struct {
	geometry
	*nnmf
	*nnmfFactors
	ctx    *ops.Context
	x, out []float32
	chunk  int // number of (image, output position) pairs in a chunk
	spaces parallel.Spares[*nnmfSpace]
	check  checkLoop
}

// nnmfColumns is about the number of (image, output position) pairs that are computed at the same
// time. The matrices of a typical layer then fit into the level 2 cache.
const nnmfColumns = 128

// Run implements ops.Op.
func (l *nnmf) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	r := ops.Scratch[nnmfRun](ctx)
	defer func() { r.ctx, r.x, r.out, r.nnmfFactors, r.check.x = nil, nil, nil, nil, nil }()
	r.nnmf, r.geometry = l, l.window().geometryOf(in[0].Shape(), out[0].Shape())
	r.ctx, r.x, r.out, r.check = ctx, in[0].Float32s(), out[0].Float32s(), checkLoop{x: in[0], what: "an NNMF layer"}
	if err := ctx.Do(len(r.x), checkGrain, &r.check); err != nil {
		return err
	}
	var err error
	if r.nnmfFactors, err = l.factorsOf(ctx, in[1]); err != nil {
		return err
	}
	pairs := r.batch * r.positions
	r.chunk = min(chunkOf(pairs), mostColumns(nnmfElements(&r.geometry)))
	if r.spaces.New == nil {
		r.spaces.New = func() *nnmfSpace { return newNNMFSpace(&r.geometry, r.chunk) }
	}
	return ctx.Do((pairs+r.chunk-1)/r.chunk, 1, r)
}

// mostColumns returns the largest number of columns whose matrices, with so many elements per
// column, do not have more than maxElements elements. It is at least 1.
func mostColumns(elements int) int {
	const maxElements = 1 << 22
	return max(1, maxElements/max(1, elements))
}

// chunkOf returns the number of pairs in a chunk: whole vectors of every instruction set, and a
// quarter of all pairs if there are few, so that several workers are busy.
func chunkOf(pairs int) int { return min(nnmfColumns, max(nnmfColumns/4, pairs/4&^15)) }

// Part implements parallel.Loop: it computes h of chunks lo to hi-1.
func (r *nnmfRun) Part(lo, hi int) error {
	bytes := nnmfSpaceBytes(&r.geometry, r.chunk)
	if err := r.ctx.Reserve(bytes); err != nil {
		return err
	}
	defer r.ctx.Release(bytes)
	s := r.spaces.Get()
	defer r.spaces.Put(s)
	for i := lo; i < hi; i++ {
		first := i * r.chunk
		s.place(&r.geometry, first, min(r.chunk, r.batch*r.positions-first))
		if err := s.patches(r.ctx, &r.geometry, r.x, r.TinySum); err != nil {
			return err
		}
		s.start(s.h)
		for range r.Iterations {
			if err := s.update(r.ctx, r.nnmf, r.nnmfFactors, s.h, s.h); err != nil {
				return err
			}
		}
		s.resetEmpty(s.h)
		s.store(&r.geometry, r.out)
	}
	return nil
}
