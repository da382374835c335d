package sbs

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/std"
)

// The names of the attributes of ApproxConv, apart from those of the window.
const (
	AttrFracBits  = "number_of_frac_bits"
	AttrTruncBits = "number_of_trunc_bits"
	AttrApproxOn  = "approximation_enable"
)

// Attributes returns the attributes of a node with these products, apart from those of the
// window.
func (a Approximation) Attributes() ops.Attributes {
	on := int64(0)
	if a.Enabled {
		on = 1
	}
	return ops.Attributes{AttrFracBits: int64(a.FracBits), AttrTruncBits: int64(a.TruncBits), AttrApproxOn: on}
}

// ApproximationOf reads and checks the attributes of an ApproxConv node. It refuses attributes
// that it does not know. The error wraps ops.ErrAttribute.
func ApproximationOf(a ops.Attributes) (Approximation, error) {
	p, _, err := approxConvAttributes(a)
	return p, err
}

func approxConvAttributes(a ops.Attributes) (Approximation, window, error) {
	var w window
	r := attrReader{attrs: a}
	r.err = a.Only(AttrKernelShape, AttrStrides, AttrDilations, AttrPads, AttrFracBits, AttrTruncBits, AttrApproxOn)
	r.window(&w.Kernel, &w.Strides, &w.Dilations, &w.Pads)
	frac, trunc, on := attr[int64](&r, AttrFracBits, -1), attr[int64](&r, AttrTruncBits, -1), attr[int64](&r, AttrApproxOn, 0)
	switch {
	case r.err != nil:
		return Approximation{}, w, r.err
	case on != 0 && on != 1:
		return Approximation{}, w, fmt.Errorf("%w: %s is %d, want 0 or 1", ops.ErrAttribute, AttrApproxOn, on)
	case int64(int8(frac)) != frac || int64(int8(trunc)) != trunc:
		return Approximation{}, w, fmt.Errorf("%w: %s is %d and %s is %d, want 1 to 32 and 0 to 32", ops.ErrAttribute, AttrFracBits, frac, AttrTruncBits, trunc)
	}
	p := Approximation{FracBits: int(frac), TruncBits: int(trunc), Enabled: on == 1}
	return p, w, p.Check()
}

func approxConvOperator() ops.Operator {
	return ops.Operator{
		Domain: Domain, Name: OpApproxConv,
		MinInputs: 2, MaxInputs: 3, MinOutputs: 1, MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			p, w, err := approxConvAttributes(n.Attributes)
			if err != nil {
				return nil, err
			}
			exact, err := exactConv(n)
			if err != nil {
				return nil, err
			}
			c := &approxConv{exact: exact, isExact: p.IsExact(), win: w, multiplier: newMultiplier(p)}
			c.parts = c.multiplier.parts()
			return c, nil
		},
	}
}

// exactConv returns the standard convolution with the window of a node.
func exactConv(n ops.Node) (ops.Differentiable, error) {
	const opset = 17
	list := std.Operators()
	i := slices.IndexFunc(list, func(o ops.Operator) bool { return o.Name == "Conv" })
	same := ops.Attributes{}
	for _, name := range []string{AttrKernelShape, AttrStrides, AttrDilations, AttrPads} {
		if v, ok := n.Attributes[name]; ok {
			same[name] = v
		}
	}
	op, err := list[i].New(ops.Node{Name: n.Name, Attributes: same, Opset: opset, NumInputs: n.NumInputs, NumOutputs: n.NumOutputs})
	if err != nil {
		return nil, err
	}
	return op.(ops.Differentiable), nil
}

// approxConv is the operator, bound to the attributes of a node.
type approxConv struct {
	exact      ops.Differentiable // the convolution with exact products, which has the gradient
	isExact    bool               // whether its products are those of this node
	win        window
	multiplier multiplier
	parts      []part // nil if the products are not added in parts
	last       atomic.Pointer[factors]
}

// Infer implements ops.Op.
func (c *approxConv) Infer(in []*ops.Input) ([]ops.Type, error) {
	if optional(in, 0) == nil || optional(in, 1) == nil {
		return nil, fmt.Errorf("%w: an ApproxConv node needs the inputs X and W", ops.ErrShape)
	}
	if x := in[0].Type; x.DType != ops.Float32 || len(x.Shape) != 4 {
		return nil, fmt.Errorf("%w: X is %v, want float32(batch, channels, height, width)", ops.ErrShape, x)
	}
	return c.exact.Infer(in)
}

// Backward implements ops.Differentiable.
func (c *approxConv) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	return c.exact.Backward(ctx, in, out, gradOut, gradIn)
}

// Run implements ops.Op.
func (c *approxConv) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	switch {
	case c.isExact || in[0].Len() == 0 || out[0].Len() == 0: // without products, all sums are exact
		return c.exact.Run(ctx, in, out)
	case c.parts != nil:
		return c.runParts(ctx, in, out)
	}
	r := ops.Scratch[approxRun](ctx)
	defer r.release()
	r.ctx, r.multiplier, r.geometry = ctx, &c.multiplier, c.win.geometryOf(in[0].Shape(), out[0].Shape())
	r.x, r.weights, r.out = in[0].Float32s(), in[1].Float32s(), out[0].Float32s()
	r.bias = optional(in, 2).Float32s()
	var err error
	if r.factors, err = c.factorsFor(ctx, r.weights, r.n); err != nil {
		return err
	}
	if r.spares.New == nil {
		r.spares.New = func() *approxSpace { return &approxSpace{sums: make([]float32, approxPositions*r.n)} }
	}
	pairs := r.batch * r.positions
	groups := (pairs + approxPositions - 1) / approxPositions
	work := max(1, approxPositions*r.k*r.n)
	return ctx.Do(groups, max(1, min(approxProducts/work, groups/leastParts)), r)
}

// factors holds the weights of a layer, prepared for products. The layer keeps it for later runs
// with the same weights.
type factors struct {
	weights []float32 // a copy, to find out whether the weights have changed
	rows    []factor  // (K, N)
	usual   []bool    // of each row: whether all of its weights are in the usual range
}

func (c *approxConv) factorsFor(ctx *ops.Context, w []float32, n int) (*factors, error) {
	if err := ctx.Reserve(12 * int64(len(w))); err != nil {
		return nil, err
	}
	if f := c.last.Load(); f != nil && len(f.rows) == len(w) && len(f.usual)*n == len(w) {
		if same, err := sameBits(ctx, f.weights, w); err != nil || same {
			return f, err
		}
	}
	k := len(w) / max(1, n)
	f := &factors{weights: slices.Clone(w), rows: make([]factor, len(w)), usual: slices.Repeat([]bool{true}, k)}
	for i, v := range w {
		if i%weightsAtOnce == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		switch {
		case v == 0:
		case isUsual(v, leastWeight):
			f.rows[i%k*n+i/k] = factor{c.multiplier.significand(math.Float32bits(v)), c.multiplier.scale(v)}
		default:
			f.usual[i%k] = false
		}
	}
	c.last.Store(f)
	return f, nil
}

const (
	// approxPositions is the number of output positions for which a row of weights is used
	// while it is in the cache.
	approxPositions = 8

	// approxProducts is about the number of products in a part of the parallel loop, and
	// between two checks of the context.
	approxProducts = 1 << 18
)

// approxRun is the state of one Run. As the Scratch of the node it keeps its memory for the next
// Run, which has the same shapes. It is a parallel.Loop over groups of (image, output position)
// pairs.
type approxRun struct {
	geometry
	*multiplier
	*factors

	ctx          *ops.Context
	x, bias, out []float32 // bias is nil if absent
	weights      []float32 // (N, K)
	spares       parallel.Spares[*approxSpace]
}

// approxSpace is the temporary memory of one worker.
type approxSpace struct {
	sums         []float32            // of each position of a group, (positions, N)
	image        [approxPositions]int // the index of its image in X
	top, left    [approxPositions]int // the place in X at which its kernel starts
	pair, number int                  // of the first position of the group; the positions in the group
}

func (r *approxRun) release() {
	r.ctx, r.x, r.weights, r.bias, r.out, r.factors = nil, nil, nil, nil, nil, nil
}

// Part implements parallel.Loop.
func (r *approxRun) Part(lo, hi int) error {
	bytes := 4 * approxPositions * int64(r.n)
	if err := r.ctx.Reserve(bytes); err != nil {
		return err
	}
	defer r.ctx.Release(bytes)
	s := r.spares.Get()
	defer r.spares.Put(s)
	for g := lo; g < hi; g++ {
		s.pair = g * approxPositions
		s.number = min(approxPositions, r.batch*r.positions-s.pair)
		r.place(s)
		if err := r.sumUp(s); err != nil {
			return err
		}
		for i := range s.number {
			image, pos := (s.pair+i)/r.positions, (s.pair+i)%r.positions
			for n, sum := range s.sums[i*r.n:][:r.n] {
				r.out[(image*r.n+n)*r.positions+pos] = sum
			}
		}
	}
	return nil
}

// place locates the positions of a group and sets their sums to the bias.
func (r *approxRun) place(s *approxSpace) {
	clear(s.sums)
	for i := range s.number {
		image, pos := (s.pair+i)/r.positions, (s.pair+i)%r.positions
		s.image[i] = image * r.channels * r.height * r.width
		s.top[i], s.left[i] = r.inputAt(pos, 0)
		copy(s.sums[i*r.n:][:r.n], r.bias)
	}
}

// sumUp adds all products of a group of positions, in ascending order of k.
func (r *approxRun) sumUp(s *approxSpace) error {
	pending := 0
	for k := range r.k {
		if pending += r.n * s.number; pending >= approxProducts {
			pending = 0
			if err := r.ctx.Err(); err != nil {
				return err
			}
		}
		c, at := k/r.places, k%r.places
		dy, dx := at/r.win.Kernel[1]*r.win.Dilations[0], at%r.win.Kernel[1]*r.win.Dilations[1]
		for i := range s.number {
			y, x := s.top[i]+dy, s.left[i]+dx
			if uint(y) >= uint(r.height) || uint(x) >= uint(r.width) {
				continue
			}
			v := r.x[s.image[i]+(c*r.height+y)*r.width+x]
			r.addProducts(s.sums[i*r.n:][:r.n], v, k)
		}
	}
	return nil
}

// addProducts adds the products of v with row k of the weights to sums.
func (r *approxRun) addProducts(sums []float32, v float32, k int) {
	switch {
	case !r.usual[k] || v != 0 && !isUsual(v, leastInput):
		for n := range sums {
			sums[n] += r.product(v, r.weights[n*r.k+k])
		}
	case v != 0 && !r.empty:
		r.add(sums, v, r.rows[k*r.n:][:r.n])
	}
}
