package std

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// newReduction returns the constructor of a reduction (opsets 1, 11, 13, 18): one number for
// all elements along some axes, which have size 1 in the output or, without keepdims, are
// removed. The data is float32, float64 or an integer type; float32 is computed in float64,
// and so are roots and logarithms of integers, which are then truncated.
//
// The axes are an attribute or, from the opset inputSince on (13 for ReduceSum, 18 for the
// others), the optional second input, an int64 vector. If there are none, all axes are
// reduced or, with noop_with_empty_axes, none.
//
// Attributes: keepdims (default 1), axes, noop_with_empty_axes (default 0; only if the axes
// are an input).
func newReduction(inputSince int, floating func() folder[float64], signed func() folder[int64], unsigned func() folder[uint64]) func(ops.Node) (operation, error) {
	return func(n ops.Node) (operation, error) {
		k := &reduction{types: numericTypes, floating: floating, signed: signed, unsigned: unsigned}
		other := "noop_with_empty_axes"
		if n.Opset < inputSince {
			other = "axes"
		}
		if err := n.Attributes.Only("keepdims", other); err != nil {
			return nil, err
		}
		keep, err := ops.Attr(n.Attributes, "keepdims", int64(1))
		if err != nil {
			return nil, err
		}
		noop, err := ops.Attr(n.Attributes, "noop_with_empty_axes", int64(0))
		if err != nil {
			return nil, err
		}
		if k.axes, err = ops.Attr[[]int64](n.Attributes, "axes", nil); err != nil {
			return nil, err
		}
		if n.Opset < inputSince && n.NumInputs > 1 {
			return nil, fmt.Errorf("opset %d: the axes must be an attribute, not an input", n.Opset)
		}
		k.keep, k.noop = keep != 0, noop != 0
		return k, nil
	}
}

// folder reduces many numbers to one. The numbers come in parts.
type folder[W wide] interface {
	reset()
	add(v []W)
	result(count int) W // count is the number of elements
}

// reduction implements the reductions. A folder for each kind of type computes the result.
type reduction struct {
	types      []ops.DType
	direct     map[ops.DType]func(l *reduceLoop, lo, hi int) error // types computed without a folder
	lists      listReduction                                       // of float32 elements that are in lists
	keep, noop bool
	axes       []int64 // of the attribute
	floating   func() folder[float64]
	signed     func() folder[int64]  // nil means the same as floating
	unsigned   func() folder[uint64] // nil means the same as signed
}

func (k *reduction) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	if err := data.CheckDType("data", k.types...); err != nil {
		return ops.Type{}, err
	}
	axes := k.axes
	if len(in) > 1 && in[1] != nil {
		length, err := checkVector("axes", in[1], ops.Int64)
		if err != nil {
			return ops.Type{}, err
		}
		if in[1].Const == nil && length.Size != 0 {
			return k.inferUnknown(data, length)
		}
		if in[1].Const != nil {
			axes = in[1].Const.Int64s()
		}
	}
	reduced, err := k.reduced(axes, len(data.Shape))
	if err != nil {
		return ops.Type{}, fmt.Errorf("%w: data is %v", err, data)
	}
	shape := []ops.Dim{}
	for i, d := range data.Shape {
		switch {
		case !reduced[i]:
			shape = append(shape, d)
		case k.keep:
			shape = append(shape, ops.Dim{Size: 1})
		}
	}
	return ops.Type{DType: data.DType, Shape: shape}, nil
}

// inferUnknown infers the output's type when the values of the axes are not known.
func (k *reduction) inferUnknown(data ops.Type, length ops.Dim) (ops.Type, error) {
	rank := len(data.Shape)
	switch {
	case k.keep:
	case !length.Known():
		return ops.Type{}, errNotYet
	case length.Size > rank:
		return ops.Type{}, fmt.Errorf("%w: the number of axes is %d, but data is %v", ops.ErrShape, length.Size, data)
	default:
		rank -= length.Size
	}
	return ops.Type{DType: data.DType, Shape: slices.Repeat([]ops.Dim{unknown}, rank)}, nil
}

// reduced reports for each axis whether it is reduced.
func (k *reduction) reduced(axes []int64, rank int) ([]bool, error) {
	if len(axes) > 0 {
		return axisSet(axes, rank)
	}
	return slices.Repeat([]bool{!k.noop}, rank), nil
}

// axisSet reports for each axis whether it is in a list, which may name it once.
func axisSet(axes []int64, rank int) ([]bool, error) {
	set := make([]bool, rank)
	for _, a := range axes {
		axis, err := axisOf(a, rank)
		if err != nil {
			return nil, err
		}
		if set[axis] {
			return nil, fmt.Errorf("%w: axes %v contain axis %d twice", ops.ErrShape, axes, axis)
		}
		set[axis] = true
	}
	return set, nil
}

func (k *reduction) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	data := in[0]
	l := ops.Scratch[reduceLoop](ctx)
	axes := k.axes
	if len(in) > 1 && in[1] != nil {
		axes = in[1].Int64s()
	}
	// The axes may differ between runs even if the type of the output does not.
	if l.compute == nil || !slices.Equal(l.axes, axes) {
		reduced, err := k.reduced(axes, len(data.Shape()))
		if err != nil {
			return err
		}
		l.axes = slices.Clone(axes)
		l.plan(data.Shape(), reduced)
		l.compute, l.least = nil, 1
		if k.lists != nil && data.DType() == ops.Float32 {
			l.compute, l.least = l.listsOf(k.lists)
		}
		switch d := data.DType(); {
		case l.compute != nil:
		case k.direct[d] != nil:
			l.compute = k.direct[d]
		case isFloat(d) || k.signed == nil:
			l.compute = reduceTo(k.floating)
		case (d == ops.Uint64 || d == ops.Bool) && k.unsigned != nil:
			l.compute = reduceTo(k.unsigned)
		default:
			l.compute = reduceTo(k.signed)
		}
	}
	l.ctx, l.out, l.data = ctx, out, data
	defer func() { l.ctx = nil }()
	return ctx.Do(l.kept.total, max(1, l.least, grain/max(1, l.reduced.total)), l)
}

// reduceLoop is a parallel.Loop over the elements of the output.
type reduceLoop struct {
	axes          []int64
	kept, reduced nest
	ctx           context.Context // of the run
	out, data     *ops.Tensor
	compute       func(l *reduceLoop, lo, hi int) error
	least         int // number of results of a part
}

func (l *reduceLoop) Part(lo, hi int) error { return l.compute(l, lo, hi) }

// plan creates the nests of loops over the axes that are kept and over the axes that are
// reduced.
func (l *reduceLoop) plan(shape []int, reduced []bool) {
	var sizes, strides [2][]int // of the axes that are kept, and of the axes that are reduced
	for i, stride := range rowMajor(shape) {
		r := 0
		if reduced[i] {
			r = 1
		}
		sizes[r] = append(sizes[r], shape[i])
		strides[r] = append(strides[r], stride)
	}
	l.kept = newNest(sizes[0], rowMajor(sizes[0]), strides[0])
	l.reduced = newNest(sizes[1], strides[1])
}

// reduceTo returns a loop body that always processes the elements in row-major order.
func reduceTo[W wide](newFolder func() folder[W]) func(l *reduceLoop, lo, hi int) error {
	return func(l *reduceLoop, lo, hi int) error {
		f, watching := newFolder(), cancelCheck{ctx: l.ctx}
		piece, result := make([]W, min(chunk, max(1, l.reduced.total))), make([]W, 1)
		next, step := l.kept.inner()[1], l.reduced.inner()[0]
		return l.kept.walk(lo, hi, func(to [maxOperands]int, count int) error {
			for i := range count {
				f.reset()
				err := l.reduced.walk(0, l.reduced.total, func(at [maxOperands]int, count int) error {
					for j := 0; j < count; j += len(piece) {
						part := piece[:min(len(piece), count-j)]
						load(part, l.data, to[1]+i*next+at[0]+j*step, step)
						f.add(part)
						if err := watching.after(len(part)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
				result[0] = f.result(l.reduced.total)
				if l.reduced.total == 0 {
					result[0] = withinRange(result[0], l.out.DType())
				}
				store(l.out, to[0]+i, 1, result)
			}
			return nil
		})
	}
}

// withinRange returns the integer of a type that is nearest to v, which is the result for no
// elements: the largest or smallest number for a minimum or maximum.
func withinRange[W wide](v W, d ops.DType) W {
	limits := map[ops.DType][2]int64{
		ops.Int8: {math.MinInt8, math.MaxInt8}, ops.Int16: {math.MinInt16, math.MaxInt16}, ops.Int32: {math.MinInt32, math.MaxInt32},
		ops.Uint8: {0, math.MaxUint8}, ops.Uint16: {0, math.MaxUint16}, ops.Uint32: {0, math.MaxUint32},
	}
	n, signed := any(v).(int64)
	limit, ok := limits[d]
	if !signed || !ok {
		return v
	}
	return W(max(limit[0], min(n, limit[1])))
}

// newReduceMax returns ReduceMax (opsets 1, 11, 12, 13, 18, 20): the largest element. The data
// may also be bool. See newReduction.
func newReduceMax(n ops.Node) (operation, error) {
	return newExtreme(n, listExtreme{largest: true}, chainOf(math.Inf(-1), larger[float64]), chainOf(math.MinInt64, larger[int64]), chainOf(0, larger[uint64]))
}

// newReduceMin returns ReduceMin (opsets 1, 11, 12, 13, 18, 20): the smallest element. The
// data may also be bool. See newReduction.
func newReduceMin(n ops.Node) (operation, error) {
	return newExtreme(n, listExtreme{}, chainOf(math.Inf(1), smaller[float64]), chainOf(math.MaxInt64, smaller[int64]), chainOf(math.MaxUint64, smaller[uint64]))
}

func newExtreme(n ops.Node, lists listReduction, floating func() folder[float64], signed func() folder[int64], unsigned func() folder[uint64]) (operation, error) {
	k, err := newReduction(18, floating, signed, unsigned)(n)
	if err != nil {
		return nil, err
	}
	k.(*reduction).types = allTypes
	k.(*reduction).lists = lists
	return k, nil
}

// newReduceSum returns ReduceSum (opsets 1, 11, 13): the sum. See newReduction.
func newReduceSum(n ops.Node) (operation, error) {
	k, err := newReduction(13, sumOf[float64](nil, nil), sumOf[int64](nil, nil), nil)(n)
	if err != nil {
		return nil, err
	}
	return k.(*reduction).withSums(nil), nil
}

// newReduceMean returns ReduceMean (opsets 1, 11, 13): the mean, which is rounded toward
// zero for integers. See newReduction.
func newReduceMean(n ops.Node) (operation, error) {
	k, err := newReduction(18, sumOf(nil, meanOf), sumOf(nil, meanInt), nil)(n)
	if err != nil {
		return nil, err
	}
	return k.(*reduction).withSums(meanOf), nil
}

// withSums gives floating-point sums special loops. The general loop takes four times as
// long.
func (k *reduction) withSums(finish func(float64, int) float64) *reduction {
	k.lists = listSum{kernel.Numbers, finish}
	k.direct = map[ops.DType]func(l *reduceLoop, lo, hi int) error{
		ops.Float32: sumRows[float32](finish), ops.Float64: sumRows[float64](finish),
	}
	return k
}

// sumRows returns a loop body that adds in float64, always in row-major order. finish, if
// it is not nil, computes the result from the sum and the number of elements.
func sumRows[T float32 | float64](finish func(float64, int) float64) func(l *reduceLoop, lo, hi int) error {
	return func(l *reduceLoop, lo, hi int) error {
		o, _ := ops.Data[T](l.out)
		d, _ := ops.Data[T](l.data)
		next, step := l.kept.inner()[1], l.reduced.inner()[0]
		watching := cancelCheck{ctx: l.ctx}
		return l.kept.walk(lo, hi, func(to [maxOperands]int, count int) error {
			for i := range count {
				var total float64
				err := l.reduced.walk(0, l.reduced.total, func(at [maxOperands]int, count int) error {
					from := to[1] + i*next + at[0]
					for count > 0 {
						n := min(count, stepsPerCheck)
						for range n {
							total += float64(d[from])
							from += step
						}
						if err := watching.after(n); err != nil {
							return err
						}
						count -= n
					}
					return nil
				})
				if err != nil {
					return err
				}
				if finish != nil {
					total = finish(total, l.reduced.total)
				}
				o[to[0]+i] = T(total)
			}
			return nil
		})
	}
}

// sumFolder is the folder of sums of a function of the elements.
type sumFolder[W wide] struct {
	sum    W
	of     func(W) W      // nil means the element itself
	finish func(W, int) W // nil means the sum itself
}

func (f *sumFolder[W]) reset() { f.sum = 0 }

func (f *sumFolder[W]) add(v []W) {
	if f.of == nil {
		for _, x := range v {
			f.sum += x
		}
		return
	}
	for _, x := range v {
		f.sum += f.of(x)
	}
}

func (f *sumFolder[W]) result(count int) W {
	if f.finish == nil {
		return f.sum
	}
	return f.finish(f.sum, count)
}

func sumOf[W wide](of func(W) W, finish func(W, int) W) func() folder[W] {
	return func() folder[W] { return &sumFolder[W]{of: of, finish: finish} }
}

// chainFolder is the folder of an operation on the result so far and the next element.
type chainFolder[W wide] struct {
	value, start W
	step         func(a, b W) W
}

func (f *chainFolder[W]) reset() { f.value = f.start }

func (f *chainFolder[W]) add(v []W) {
	for _, x := range v {
		f.value = f.step(f.value, x)
	}
}

func (f *chainFolder[W]) result(int) W { return f.value }

func chainOf[W wide](start W, step func(a, b W) W) func() folder[W] {
	return func() folder[W] { return &chainFolder[W]{start: start, step: step} }
}

// logSumExp is the folder of log(sum(exp(x))). Exponents are relative to the largest one so
// far, so that nothing overflows.
type logSumExp struct{ top, sum float64 }

func newLogSumExp() folder[float64] { return new(logSumExp) }

func (f *logSumExp) reset() { f.top, f.sum = math.Inf(-1), 0 }

func (f *logSumExp) add(v []float64) {
	top := f.top
	for _, x := range v {
		top = max(top, x)
	}
	if top > f.top {
		f.sum *= portmath.Exp(f.top - top)
		f.top = top
	}
	for _, x := range v {
		if x == top { // also if both are infinite, when their difference is NaN
			f.sum++
		} else {
			f.sum += portmath.Exp(x - top)
		}
	}
}

func (f *logSumExp) result(int) float64 { return f.top + portmath.Log(f.sum) }

func square[W wide](x W) W { return x * x }

func absolute(x int64) int64 { return max(x, -x) }

func rootOf(sum float64, _ int) float64 { return math.Sqrt(sum) }
func logOf(sum float64, _ int) float64  { return portmath.Log(sum) }
func meanOf(sum float64, n int) float64 { return sum / float64(n) }

// meanInt rounds toward zero. The mean of no elements is 0.
func meanInt(sum int64, n int) int64 { return sum / int64(max(1, n)) }

func times[W wide](a, b W) W   { return a * b }
func larger[W wide](a, b W) W  { return max(a, b) }
func smaller[W wide](a, b W) W { return min(a, b) }
