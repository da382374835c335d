package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newReduceSum makes ReduceSum (opsets 1, 11, 13): the sums over some axes, of
// which the result has one entry each or, without keepdims, none. The data is
// float32, float64, int32 or int64; float32 is summed up in float64.
//
// The axes are an int64 vector: the optional second input, or before opset 13
// an attribute. Without them or with an empty vector all axes are summed over,
// or with noop_with_empty_axes none.
//
// Attributes: keepdims (1), noop_with_empty_axes (0; since opset 13), axes
// (before opset 13).
func newReduceSum(n ops.Node) (kernel, error) {
	var k reduceSum
	other := "noop_with_empty_axes"
	if n.Opset < 13 {
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
	if n.Opset < 13 && n.NumInputs > 1 {
		return nil, fmt.Errorf("opset %d: the axes must be an attribute, not an input", n.Opset)
	}
	k.keep, k.noop = keep != 0, noop != 0
	return &k, nil
}

type reduceSum struct {
	keep, noop bool
	axes       []int64 // from the attribute
}

func (k *reduceSum) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	if err := checkDType("data", data, ops.Float32, ops.Float64, ops.Int32, ops.Int64); err != nil {
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

// inferUnknown is for axes of unknown values.
func (k *reduceSum) inferUnknown(data ops.Type, length ops.Dim) (ops.Type, error) {
	rank := len(data.Shape)
	switch {
	case k.keep:
	case !length.Known():
		return ops.Type{}, fmt.Errorf("%w: the number of axes, and with it the output's rank, must be known", ops.ErrShape)
	case length.Size > rank:
		return ops.Type{}, fmt.Errorf("%w: %d axes, but data is %v", ops.ErrShape, length.Size, data)
	default:
		rank -= length.Size
	}
	return ops.Type{DType: data.DType, Shape: slices.Repeat([]ops.Dim{unknown}, rank)}, nil
}

// reduced tells which axes are summed over.
func (k *reduceSum) reduced(axes []int64, rank int) ([]bool, error) {
	reduced := make([]bool, rank)
	if len(axes) == 0 {
		for i := range reduced {
			reduced[i] = !k.noop
		}
		return reduced, nil
	}
	for _, a := range axes {
		axis, err := axisOf(a, rank)
		if err != nil {
			return nil, err
		}
		if reduced[axis] {
			return nil, fmt.Errorf("%w: axes %v name axis %d twice", ops.ErrShape, axes, axis)
		}
		reduced[axis] = true
	}
	return reduced, nil
}

func (k *reduceSum) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	data := in[0]
	l := ops.Scratch[sumLoop](ctx)
	if l.compute == nil {
		if err := k.plan(l, in); err != nil {
			return err
		}
	}
	l.out, l.data = out, data
	return ctx.Do(l.kept.total, max(1, grain/max(1, l.summed.total)), l)
}

// sumLoop is a parallel.Loop over the entries of the output.
type sumLoop struct {
	kept, summed nest
	out, data    *ops.Tensor
	compute      func(l *sumLoop, lo, hi int) error
}

func (l *sumLoop) Part(lo, hi int) error { return l.compute(l, lo, hi) }

// plan finds the nests of loops.
func (k *reduceSum) plan(l *sumLoop, in []*ops.Tensor) error {
	data := in[0]
	axes := k.axes
	if len(in) > 1 && in[1] != nil {
		axes = in[1].Int64s()
	}
	reduced, err := k.reduced(axes, len(data.Shape()))
	if err != nil {
		return err
	}
	var sizes, strides [2][]int // of the axes that stay and of those that do not
	for i, stride := range rowMajor(data.Shape()) {
		r := 0
		if reduced[i] {
			r = 1
		}
		sizes[r] = append(sizes[r], data.Shape()[i])
		strides[r] = append(strides[r], stride)
	}
	l.kept = newNest(sizes[0], rowMajor(sizes[0]), strides[0])
	l.summed = newNest(sizes[1], strides[1])
	switch data.DType() {
	case ops.Float32:
		l.compute = sum[float32, float64]
	case ops.Float64:
		l.compute = sum[float64, float64]
	case ops.Int32:
		l.compute = sum[int32, int32]
	case ops.Int64:
		l.compute = sum[int64, int64]
	}
	return nil
}

// sum adds up in type A, always in the order in which the elements lie.
func sum[T, A number](l *sumLoop, lo, hi int) error {
	o, _ := ops.Data[T](l.out)
	d, _ := ops.Data[T](l.data)
	next, step := l.kept.inner()[1], l.summed.inner()[0]
	return l.kept.walk(lo, hi, func(to [maxOperands]int, count int) error {
		for i := range count {
			var total A
			err := l.summed.walk(0, l.summed.total, func(at [maxOperands]int, count int) error {
				from := to[1] + i*next + at[0]
				for range count {
					total += A(d[from])
					from += step
				}
				return nil
			})
			if err != nil {
				return err
			}
			o[to[0]+i] = T(total)
		}
		return nil
	})
}
