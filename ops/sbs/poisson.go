package sbs

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/poisson"
	"github.com/spike-by-spike/sbs/ops"
)

// poissonOperator returns the description of the Poisson operator. Its Ops implement
// ops.Differentiable.
func poissonOperator() ops.Operator {
	return ops.Operator{
		Domain: Domain, Name: OpPoisson,
		MinInputs: 1, MaxInputs: 2, MinOutputs: 1, MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			p, err := ImageParamsOf(n.Attributes)
			if err != nil {
				return nil, err
			}
			return &poissonOp{p}, nil
		},
	}
}

// poissonOp is the Poisson operator, bound to the attributes of a node.
type poissonOp struct{ ImageParams }

// Infer implements ops.Op.
func (p *poissonOp) Infer(in []*ops.Input) ([]ops.Type, error) {
	out, err := inferImage(in)
	if err != nil {
		return nil, err
	}
	return []ops.Type{out}, countNumbers(out).checkInput(optional(in, inputGivenOfImage))
}

// countNumbers describes the counts that can be given for the type of X.
func countNumbers(x ops.Type) numbers {
	return numbers{shape: x.Shape, sizes: "as X", most: math.MaxInt32}
}

// poissonRun is the state of one Run. As the Scratch of the node it keeps its memory for the
// next one. The values of each image are cut into blocks, which are the units of parallel work.
type poissonRun struct {
	*poissonOp
	injected
	ctx  *ops.Context
	x, y []float32 // the input and the output

	size, blocks int // values and blocks of an image
	check        checkLoop
	step         func(r *poissonRun, image, block, lo, hi int) error

	largest []float32 // the largest value of each block, then of each image
	totals  []int64   // the sum of the counts of each block, then of each image
}

// poissonBlock is the number of values in a block.
const poissonBlock = 1 << 12

// Run implements ops.Op.
func (p *poissonOp) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	r := ops.Scratch[poissonRun](ctx)
	defer r.release()
	r.poissonOp, r.ctx, r.x, r.y = p, ctx, in[0].Float32s(), out[0].Float32s()
	var err error
	if r.injected, err = inject(ctx, optional(in, inputGivenOfImage), func() numbers { return countNumbers(ops.TypeOf(in[0])) }); err != nil {
		return err
	}
	r.check = checkLoop{x: in[0], what: "a Poisson layer"}
	if err := ctx.Do(len(r.x), checkGrain, &r.check); err != nil || len(r.x) == 0 {
		return err
	}
	batch := in[0].Shape()[0]
	r.size = len(r.x) / batch
	r.blocks = (r.size + poissonBlock - 1) / poissonBlock
	n := batch * r.blocks
	if err := ctx.Reserve(12 * int64(n)); err != nil {
		return err
	}
	if len(r.largest) != n {
		r.largest, r.totals = make([]float32, n), make([]int64, n)
	}
	if err := r.do((*poissonRun).findLargest); err != nil {
		return err
	}
	for b := range batch {
		var m float32
		for _, v := range r.largest[b*r.blocks:][:r.blocks] {
			m = max(m, v)
		}
		r.largest[b] = m
	}
	if err := r.do((*poissonRun).draw); err != nil {
		return err
	}
	for b := range batch {
		var total int64
		for _, v := range r.totals[b*r.blocks:][:r.blocks] {
			total += v
		}
		r.totals[b] = total
	}
	return r.do((*poissonRun).divide)
}

// release drops the references to tensors of the caller of Run.
func (r *poissonRun) release() {
	r.ctx, r.check.x = nil, nil
	r.x, r.y, r.injected = nil, nil, injected{}
}

// do runs a step for all blocks.
func (r *poissonRun) do(step func(r *poissonRun, image, block, lo, hi int) error) error {
	r.step = step
	return r.ctx.Do(len(r.largest), 1, r)
}

// Part implements parallel.Loop.
func (r *poissonRun) Part(lo, hi int) error {
	for block := lo; block < hi; block++ {
		image := block / r.blocks
		first := image*r.size + block%r.blocks*poissonBlock
		if err := r.step(r, image, block, first, min(first+poissonBlock, (image+1)*r.size)); err != nil {
			return err
		}
	}
	return nil
}

func (r *poissonRun) findLargest(_, block, lo, hi int) error {
	var m float32
	for _, v := range r.x[lo:hi] {
		m = max(m, v)
	}
	r.largest[block] = m
	return nil
}

// draw sets the values of a block of the output to their counts.
func (r *poissonRun) draw(image, block, lo, hi int) error {
	// In float64, the product does not overflow.
	scale := float64(r.largest[image]) + float64(float32(kernel.Tiny))
	key := r.imageKey(r.ctx, image)
	var total int64
	work := 0
	for i := lo; i < hi; i++ {
		if work >= checkGrain {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			work = 0
		}
		rate := float64(float64(r.Spikes)*float64(r.x[i])) / scale
		var count int64
		switch {
		case r.given != nil:
			count = r.given[i]
		case r.uniforms != nil:
			var steps int
			count, steps = poisson.Inverse(rate, r.uniforms[i])
			work += steps
		default:
			count = poisson.Count(rate, kernel.PositionKey(key, uint64(i-image*r.size)))
		}
		total += count
		r.y[i] = float32(count)
	}
	r.totals[block] = total
	return nil
}

// divide divides the counts of a block by the sum of the counts of the image.
func (r *poissonRun) divide(image, _, lo, hi int) error {
	total := float32(r.totals[image]) + kernel.Tiny
	for i, v := range r.y[lo:hi] {
		r.y[lo+i] = v / total
	}
	return nil
}

// Backward implements ops.Differentiable. The gradient of X is that of the output, as in
// PyTorch-SbS: neither the rate nor the sum of the counts is part of the derivative.
func (p *poissonOp) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := checkImageGradients(in, out, gradOut, gradIn); err != nil {
		return err
	}
	if gradIn[0] == nil {
		return ctx.Err()
	}
	g, dst := gradOut[0].Float32s(), gradIn[0].Float32s()
	return ctx.For(len(g), checkGrain, func(lo, hi int) error {
		for i, v := range g[lo:hi] {
			dst[lo+i] += v
		}
		return nil
	})
}
