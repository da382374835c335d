package std

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// newMaxPool returns MaxPool (opsets 1, 8, 10, 11, 12, 22) with one output: the largest number
// in each window of images (N, C, H, W), or of images with another number of spatial axes.
// The images are float32, float64, int8 or uint8. Padding is never the largest number: a
// window without a single pixel, which is possible with dilations, yields -infinity or the
// smallest integer. NaN counts as larger than all numbers. See newMaxPoolIndices for the
// second output.
//
// Attributes: kernel_shape (required), strides (default 1), dilations (default 1; since opset
// 10), pads (default 0), auto_pad (default NOTSET), ceil_mode (default 0; since opset 10; 1
// keeps an incomplete last window if it starts on the image or on the padding before it),
// storage_order (for the second output; since opset 8).
func newMaxPool(n ops.Node) (operation, error) {
	p, err := newPool(n, added{"dilations": 10, "ceil_mode": 10, "storage_order": 8})
	if err != nil {
		return nil, err
	}
	p.planes = true
	p.compute = map[ops.DType]poolFunc{
		ops.Float32: slidingPool(maxOfWindow(float32(math.Inf(-1))), kernel.MaxPool2),
		ops.Float64: slidingPool(maxOfWindow(math.Inf(-1)), maxOfPairs),
		ops.Int8:    slidingPool(maxOfWindow(int8(math.MinInt8)), maxOfPairs),
		ops.Uint8:   slidingPool(maxOfWindow(uint8(0)), maxOfPairs),
	}
	return p, nil
}

// newAveragePool returns AveragePool (opsets 1, 7, 10, 11, 19, 22): the mean of each window of images
// (N, C, H, W), or of images with another number of spatial axes. The images are float32 or
// float64.
//
// Attributes: as for newMaxPool except storage_order, but dilations since opset 19;
// count_include_pad (default 0; since opset 7; 1 counts padding as zeros instead of ignoring
// it). The part of an incomplete window of ceil_mode that lies beyond the padding is always
// ignored. The mean of a window without a single pixel, which is possible with dilations, is
// 0.
func newAveragePool(n ops.Node) (operation, error) {
	p, err := newPool(n, added{"dilations": 19, "ceil_mode": 10, "count_include_pad": 7})
	if err != nil {
		return nil, err
	}
	include, err := ops.Attr(n.Attributes, "count_include_pad", int64(0))
	if err != nil {
		return nil, err
	}
	p.average, p.includePads, p.planes = true, include != 0, true
	p.compute = map[ops.DType]poolFunc{
		ops.Float32: slidingPool(meanOfWindow[float32](include != 0), kernel.MeanPool2),
		ops.Float64: slidingPool(meanOfWindow[float64](include != 0), meanOfPairs),
	}
	return p, nil
}

// pool implements MaxPool, AveragePool and, in part, LpPool.
type pool struct {
	window      window
	average     bool // AveragePool
	includePads bool // for AveragePool: count padding as zeros
	planes      bool // float32 images take the path of planeLoop
	compute     map[ops.DType]poolFunc
}

// poolFunc computes the channels lo to hi-1.
type poolFunc func(l *poolLoop, lo, hi int) error

// added holds, for attributes that not all versions of an operator have, the opset that added
// them.
type added map[string]int

// check returns an error if the node has an attribute that its opset does not know.
func (a added) check(n ops.Node) error {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if _, ok := n.Attributes[name]; ok && n.Opset < a[name] {
			return fmt.Errorf("%w: %s exists since opset %d, and the model uses opset %d", ops.ErrAttribute, name, a[name], n.Opset)
		}
	}
	return nil
}

// newPool reads the attributes of a pool. Besides those that all pools have, the node may
// have more, and no others.
func newPool(n ops.Node, more added) (*pool, error) {
	if err := more.check(n); err != nil {
		return nil, err
	}
	w, err := newWindow(n.Attributes, slices.Sorted(maps.Keys(more))...)
	if err != nil {
		return nil, err
	}
	ceil, err := ops.Attr(n.Attributes, "ceil_mode", int64(0))
	if err != nil {
		return nil, err
	}
	w.ceil = ceil != 0
	if err := w.requireKernel(); err != nil {
		return nil, err
	}
	for i, p := range w.pads {
		if k := w.kernel[i%len(w.kernel)]; p >= k {
			return nil, fmt.Errorf("%w: pads %v must be less than kernel_shape %v, or a window could be padding only", ops.ErrAttribute, w.pads, w.kernel)
		}
	}
	return &pool{window: w}, nil
}

func (p *pool) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("X", sortedTypes(p.compute)...); err != nil {
		return ops.Type{}, err
	}
	if err := checkImages(x); err != nil {
		return ops.Type{}, err
	}
	for _, d := range x.Shape[2:] {
		if d.Size == 0 {
			return ops.Type{}, fmt.Errorf("%w: X is %v, which has no pixels", ops.ErrShape, x)
		}
	}
	axes, err := p.axes(x.Shape)
	if err != nil {
		return ops.Type{}, fmt.Errorf("%w: X is %v, kernel_shape %v", err, x, p.window.kernel)
	}
	shape := slices.Clone(x.Shape[:2])
	for _, a := range axes {
		shape = append(shape, ops.Dim{Size: a.out})
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

func (p *pool) axes(shape []ops.Dim) ([]spatialAxis, error) {
	return p.window.axes(shape[2:], p.window.kernel)
}

func (p *pool) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	x, shape := in[0], out.Shape()
	if len(shape) > 4 && out.Len() > 0 {
		return p.runGeneral(ctx, x, out)
	}
	l := ops.Scratch[poolLoop](ctx)
	if l.compute == nil {
		axes, err := p.axes(ops.Dims(x.Shape()...))
		if err != nil || out.Len() == 0 {
			return err
		}
		l.rows, l.cols = rowsAndColumns(axes)
		if x.DType() == ops.Float32 && p.planes && !(l.rows.pairs() && l.cols.pairs()) {
			l.planes = p.newPlaneLoop(l.rows, l.cols)
		}
		l.spans = make([]span, l.cols.out)
		for j := range l.spans {
			l.spans[j] = l.cols.span(j)
		}
		l.compute = p.compute[x.DType()]
		if p.average && x.DType() == ops.Float32 && l.rows.whole() && l.cols.whole() {
			l.compute = func(l *poolLoop, lo, hi int) error {
				n := l.rows.in * l.cols.in
				return meansOfPlanes(l.ctx, l.out.Float32s()[lo:hi], l.x.Float32s()[lo*n:], n)
			}
		}
	}
	if l.planes != nil {
		return l.planes.run(ctx, p, x, out)
	}
	l.ctx, l.out, l.x = ctx, out, x
	defer func() { l.ctx = nil }()
	return ctx.Do(shape[0]*shape[1], max(1, grain/(l.rows.in*l.cols.in)), l)
}

// poolLoop is a parallel.Loop over the channels of the whole batch.
type poolLoop struct {
	ctx        *ops.Context
	out, x     *ops.Tensor
	rows, cols spatialAxis
	spans      []span // per column of the output
	compute    poolFunc
	planes     *planeLoop // computes all instead, unless nil
}

func (l *poolLoop) Part(lo, hi int) error { return l.compute(l, lo, hi) }
