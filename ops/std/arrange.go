package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newOneHot returns OneHot (opsets 9, 11): for each index, of any type but bool, a new axis
// of depth entries that is values[1] at the index and values[0] elsewhere. A negative index
// counts from the end, and an index out of range marks no entry. depth is a scalar or a
// vector of one element, of any type but bool. values has any type.
//
// Attributes: axis (default -1), the new axis in the output.
func newOneHot(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("axis"); err != nil {
		return nil, err
	}
	axis, err := ops.Attr(n.Attributes, "axis", int64(-1))
	return oneHot{axis}, err
}

type oneHot struct{ axis int64 }

func (k oneHot) infer(in []*ops.Input) (ops.Type, error) {
	x, values := in[0].Type, in[2].Type
	if err := x.CheckDType("indices", numericTypes...); err != nil {
		return x, err
	}
	if err := checkScalar("depth", in[1].Type, numericTypes...); err != nil {
		return x, err
	}
	if len(values.Shape) != 1 || values.Shape[0].Known() && values.Shape[0].Size != 2 {
		return x, fmt.Errorf("%w: values is %v, want a vector of 2 elements", ops.ErrShape, values)
	}
	axis, err := axisOf(k.axis, len(x.Shape)+1)
	if err != nil {
		return x, fmt.Errorf("%w: indices is %v", err, x)
	}
	depth := unknown
	if in[1].Const != nil {
		v := firstElement[int64](in[1].Const)
		if v < 1 || v > ops.MaxElements {
			return x, fmt.Errorf("%w: depth is %d, want 1 to %d", ops.ErrValue, v, ops.MaxElements)
		}
		depth = ops.Dim{Size: int(v)}
	}
	return ops.Type{DType: values.DType, Shape: slices.Insert(slices.Clone(x.Shape), axis, depth)}, nil
}

func (k oneHot) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	axis, err := axisOf(k.axis, len(out.Shape()))
	if err != nil {
		return err
	}
	depth, inner := int64(out.Shape()[axis]), numElements(out.Shape()[axis+1:])
	t := temporary{ctx: ctx}
	list := elementsOf[int64](&t, in[0])
	if t.err != nil {
		return t.err
	}
	return take(ctx, out, in[2], nil, 1, func(first int, from []int) error {
		for i := range from {
			entry := first + i
			at := list[entry/inner/int(depth)*inner+entry%inner]
			if at < 0 {
				at += depth
			}
			from[i] = 0
			if int64(entry/inner)%depth == at {
				from[i] = 1
			}
		}
		return nil
	})
}

// newTrilu returns Trilu (opset 14): the upper or lower triangle of the matrices in the
// last two dimensions of the input, with 0 elsewhere. The input has any type. The optional
// second input k, an int64 scalar (default 0), moves the diagonal to the right.
//
// Attributes: upper (default 1).
func newTrilu(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("upper"); err != nil {
		return nil, err
	}
	upper, err := ops.Attr(n.Attributes, "upper", int64(1))
	return trilu{upper != 0}, err
}

type trilu struct{ upper bool }

func (k trilu) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if len(x.Shape) < 2 {
		return x, fmt.Errorf("%w: input is %v, want matrices", ops.ErrShape, x)
	}
	if len(in) > 1 && in[1] != nil {
		return x, checkScalar("k", in[1].Type, ops.Int64)
	}
	return x, nil
}

func (k trilu) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	diagonal := 0
	if len(in) > 1 && in[1] != nil {
		diagonal = int(min(max(firstElement[int64](in[1]), -ops.MaxElements), ops.MaxElements))
	}
	shape := out.Shape()
	rows, columns := shape[len(shape)-2], shape[len(shape)-1]
	return take(ctx, out, in[0], nil, 1, func(first int, from []int) error {
		for i := range from {
			row, column := (first+i)/columns%rows, (first+i)%columns
			from[i] = nowhere
			if d := column - row - diagonal; d == 0 || d > 0 == k.upper {
				from[i] = first + i
			}
		}
		return nil
	})
}

// newEyeLike returns EyeLike (opsets 9, 22): 1 on a diagonal and 0 elsewhere, in the shape of
// the input, which has two dimensions and any type.
//
// Attributes: dtype (default: the type of the input), the type of the output; k (default 0)
// moves the diagonal to the right.
func newEyeLike(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("dtype", "k"); err != nil {
		return nil, err
	}
	k, err := ops.Attr(n.Attributes, "k", int64(0))
	if err != nil {
		return nil, err
	}
	dtype := ops.DType(0)
	if _, ok := n.Attributes["dtype"]; ok {
		dtype, err = dtypeAttr(n.Attributes, "dtype", 0)
	}
	return eyeLike{dtype, int(min(max(k, -ops.MaxElements), ops.MaxElements))}, err
}

type eyeLike struct {
	dtype    ops.DType // 0 means the type of the input
	diagonal int
}

func (k eyeLike) infer(in []*ops.Input) (ops.Type, error) {
	t := in[0].Type
	if len(t.Shape) != 2 {
		return t, fmt.Errorf("%w: input is %v, want 2 dimensions", ops.ErrShape, t)
	}
	if k.dtype != 0 {
		t.DType = k.dtype
	}
	return t, t.CheckDType("output", slices.Concat(allTypes, halfTypes)...)
}

func (k eyeLike) run(ctx *ops.Context, _ []*ops.Tensor, out *ops.Tensor) error {
	columns := out.Shape()[1]
	return ctx.For(out.Len(), grain, func(lo, hi int) error {
		var v [1]int64
		for i := lo; i < hi; i++ {
			v[0] = 0
			if i%columns == i/columns+k.diagonal {
				v[0] = 1
			}
			store(out, i, 1, v[:])
		}
		return nil
	})
}

// newRange returns Range (opsets 11, 27): the vector start, start + delta, and so on, up to but
// not including limit. The three inputs are scalars of the same type: float32, float64,
// int16, int32 or int64.
//
// Attributes: stash_type (default float32; or float64; since opset 27), the type in which
// float16 and bfloat16 are computed. Both have the same results, because all are computed in
// float64.
func newRange(n ops.Node) (operation, error) {
	var known []string
	if n.Opset >= 27 {
		known = []string{"stash_type"}
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	stash, err := ops.Attr(n.Attributes, "stash_type", int64(ops.Float32))
	if err == nil && stash != int64(ops.Float32) && stash != int64(ops.Float64) {
		err = fmt.Errorf("%w: stash_type %d, want %d (float32) or %d (float64)", ops.ErrAttribute, stash, ops.Float32, ops.Float64)
	}
	return ranging{}, err
}

type ranging struct{}

func (ranging) infer(in []*ops.Input) (ops.Type, error) {
	t := in[0].DType
	for i, name := range []string{"start", "limit", "delta"} {
		if err := checkScalar(name, in[i].Type, ops.Float32, ops.Float64, ops.Int16, ops.Int32, ops.Int64); err != nil {
			return ops.Type{}, err
		}
		if in[i].DType != t {
			return ops.Type{}, fmt.Errorf("%w: start is %v but %s is %v", ops.ErrDType, in[0].Type, name, in[i].Type)
		}
	}
	size := unknown
	if in[0].Const != nil && in[1].Const != nil && in[2].Const != nil {
		n, err := rangeLength(in[0].Const, in[1].Const, in[2].Const)
		if err != nil {
			return ops.Type{}, err
		}
		size = ops.Dim{Size: n}
	}
	return ops.Type{DType: t, Shape: []ops.Dim{size}}, nil
}

// rangeLength returns the number of elements of a Range.
func rangeLength(start, limit, delta *ops.Tensor) (int, error) {
	a, b, d := firstElement[float64](start), firstElement[float64](limit), firstElement[float64](delta)
	n := math.Ceil((b - a) / d)
	if !isFloat(start.DType()) { // float64 may not represent large integers exactly
		x, y, z := firstElement[int64](start), firstElement[int64](limit), firstElement[int64](delta)
		if z != 0 && max(x, y, -x, -y) <= 1<<60 && min(x, y) >= -1<<60 {
			n = math.Ceil(float64(y-x) / float64(z))
		}
	}
	if d == 0 || !(n <= ops.MaxElements) {
		return 0, fmt.Errorf("%w: the range from %v to %v in steps of %v is endless or too long", ops.ErrShape, a, b, d)
	}
	return int(max(n, 0)), nil
}

func (ranging) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if isFloat(out.DType()) {
		return rangeOf[float64](ctx, in, out)
	}
	return rangeOf[int64](ctx, in, out)
}

func rangeOf[W wide](ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	start, delta := firstElement[W](in[0]), firstElement[W](in[2])
	return ctx.For(out.Len(), grain, func(lo, hi int) error {
		var v [1]W
		for i := lo; i < hi; i++ {
			v[0] = start + product(W(i), delta)
			store(out, i, 1, v[:])
		}
		return nil
	})
}

// newReverseSequence returns ReverseSequence (opset 10): the input, of any type, with the
// first entries of each sequence in reverse order. sequence_lens, an int64 vector, holds
// the number of these entries for each entry of the batch.
//
// Attributes: batch_axis (default 1), time_axis (default 0). One of them must be 0 and the
// other 1.
func newReverseSequence(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("batch_axis", "time_axis"); err != nil {
		return nil, err
	}
	batch, err := ops.Attr(n.Attributes, "batch_axis", int64(1))
	if err != nil {
		return nil, err
	}
	time, err := ops.Attr(n.Attributes, "time_axis", int64(0))
	if err == nil && (batch < 0 || batch > 1 || time != 1-batch) {
		err = fmt.Errorf("%w: batch_axis %d and time_axis %d, want 0 and 1 or 1 and 0", ops.ErrAttribute, batch, time)
	}
	return reverseSequence{int(time)}, err
}

type reverseSequence struct{ time int }

func (k reverseSequence) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	n, err := checkVector("sequence_lens", in[1], ops.Int64)
	if err != nil {
		return x, err
	}
	ok := len(x.Shape) >= 2
	if ok {
		_, ok = mergeDims(x.Shape[1-k.time], n)
	}
	if !ok {
		return x, fmt.Errorf("%w: input is %v but sequence_lens is %v", ops.ErrShape, x, in[1].Type)
	}
	return x, nil
}

func (k reverseSequence) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	shape, lengths := out.Shape(), in[1].Int64s()
	for _, n := range lengths {
		if n < 0 || n > int64(shape[k.time]) {
			return fmt.Errorf("%w: sequence length %d does not fit the input, which is %v", ops.ErrValue, n, ops.TypeOf(in[0]))
		}
	}
	block := numElements(shape[2:])
	return take(ctx, out, in[0], nil, block, func(first int, from []int) error {
		for i := range from {
			at := [2]int{(first + i) / shape[1], (first + i) % shape[1]}
			if n := int(lengths[at[1-k.time]]); at[k.time] < n {
				at[k.time] = n - 1 - at[k.time]
			}
			from[i] = (at[0]*shape[1] + at[1]) * block
		}
		return nil
	})
}
