package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newSlice makes Slice (opsets 1, 10, 11, 13): every step-th entry of the data
// from start, up to but without end, along each of some axes. The data is of
// any type and shape; starts, ends and the optional axes (all) and steps (1)
// are int32 or int64 vectors of one length. Negative starts, ends and axes count
// from the end; starts and ends beyond the data mean its ends, in particular
// the smallest and largest integers. A start before the data means its first entry
// for negative steps, too: ONNX says so, and onnxruntime does it, where numpy has
// nothing left.
//
// Attributes: none; before opset 10 starts, ends (required) and axes, which are then no
// inputs, and no steps.
func newSlice(n ops.Node) (kernel, error) {
	if n.Opset >= 10 {
		return slicing{}, n.Attributes.Only()
	}
	names := []string{"starts", "ends", "axes"}
	if err := n.Attributes.Only(names...); err != nil {
		return nil, err
	}
	if n.NumInputs > 1 {
		return nil, fmt.Errorf("opset %d: starts and ends must be attributes, not inputs", n.Opset)
	}
	var k slicing
	for i, name := range names {
		list, err := ops.Attr[[]int64](n.Attributes, name, nil)
		if err != nil {
			return nil, err
		}
		if list == nil && i < 2 {
			return nil, fmt.Errorf("%w: %s is missing", ops.ErrAttribute, name)
		}
		if list == nil {
			break
		}
		value, err := vectorOf(list, nil)
		if err != nil {
			return nil, err
		}
		k.lists = append(k.lists, value)
	}
	return k, nil
}

// slicing holds the lists that are attributes.
type slicing struct{ lists []*ops.Tensor }

// inputs returns the data and the lists as they are inputs since opset 10.
func (k slicing) inputs(in []*ops.Input) ([]*ops.Input, error) {
	if k.lists == nil && (len(in) < 3 || in[1] == nil || in[2] == nil) {
		return nil, fmt.Errorf("%w: starts or ends are missing", ops.ErrShape)
	}
	return append(slices.Clone(in), inputs(k.lists)...), nil
}

// section is the part of one axis that remains.
type section struct{ start, step, count int }

func (k slicing) infer(in []*ops.Input) (ops.Type, error) {
	shape, _, err := k.sections(in)
	if err != nil {
		return ops.Type{}, err
	}
	return ops.Type{DType: in[0].DType, Shape: shape}, nil
}

func (k slicing) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	data, shape := in[0], out.Shape()
	c := ops.Scratch[copying](ctx)
	if c.rows == nil {
		_, cut, err := k.sections(inputs(in))
		if err != nil {
			return err
		}
		strides := rowMajor(data.Shape())
		for i, s := range cut {
			c.from += s.start * strides[i]
			strides[i] *= s.step
		}
		c.nest = newNest(shape, rowMajor(shape), strides)
	}
	return c.run(ctx, out, data)
}

// sections returns the output's shape and, for axes that are completely known,
// what remains of them.
func (k slicing) sections(in []*ops.Input) ([]ops.Dim, []section, error) {
	in, err := k.inputs(in)
	if err != nil {
		return nil, nil, err
	}
	data := in[0].Type
	lists, length, err := sliceLists(in)
	if err != nil {
		return nil, nil, err
	}
	shape := append([]ops.Dim{}, data.Shape...)
	cut := make([]section, len(shape))
	for i, d := range shape {
		cut[i] = section{start: 0, step: 1, count: d.Size}
	}
	axes := lists[2]
	if len(in) < 4 || in[3] == nil {
		if length > len(shape) {
			return nil, nil, fmt.Errorf("%w: %d starts, but the data is %v", ops.ErrShape, length, data)
		}
		for i := range max(length, 0) {
			axes = append(axes, int64(i))
		}
	}
	if length < 0 || axes == nil && length > 0 { // any axis may be sliced
		for i := range shape {
			shape[i] = unknown
		}
		return shape, cut, nil
	}
	seen := make([]bool, len(shape))
	for i, a := range axes {
		axis, err := axisOf(a, len(shape))
		if err != nil {
			return nil, nil, fmt.Errorf("%w: the data is %v", err, data)
		}
		if seen[axis] {
			return nil, nil, fmt.Errorf("%w: axes %v name axis %d twice", ops.ErrShape, axes, axis)
		}
		seen[axis] = true
		step := int64(1)
		if lists[3] != nil {
			step = lists[3][i]
		}
		if step == 0 {
			return nil, nil, fmt.Errorf("%w: step 0 for axis %d of %v", ops.ErrShape, axis, data)
		}
		stepKnown := lists[3] != nil || len(in) < 5 || in[4] == nil
		if lists[0] == nil || lists[1] == nil || !stepKnown {
			shape[axis] = unknown
			continue
		}
		start, end := lists[0][i], lists[1][i]
		if d := shape[axis]; d.Known() {
			cut[axis] = newSection(start, end, step, d.Size)
			shape[axis] = ops.Dim{Size: cut[axis].count}
			if cut[axis].count == d.Size {
				shape[axis] = d
			}
		} else if start != 0 || end < ops.MaxElements || step != 1 { // else it is all of the axis
			shape[axis] = unknown
		}
	}
	return shape, cut, nil
}

// sliceLists returns starts, ends, axes and steps, nil where not known or not
// given, and their length, which is -1 when not even that is known.
func sliceLists(in []*ops.Input) (lists [4][]int64, length int, err error) {
	names := [4]string{"starts", "ends", "axes", "steps"}
	common := unknown
	for i, x := range in[1:] {
		if x == nil {
			continue
		}
		n, err := checkVector(names[i], x, ops.Int32, ops.Int64)
		if err != nil {
			return lists, 0, err
		}
		if x.Const != nil {
			lists[i] = append([]int64{}, integers(x.Const)...)
			n.Size = len(lists[i])
		}
		var ok bool
		if common, ok = merge(common, n); !ok {
			return lists, 0, fmt.Errorf("%w: %s has %v elements but another list has %v", ops.ErrShape, names[i], n, common)
		}
	}
	return lists, common.Size, nil
}

// newSection resolves a slice of an axis: with a positive step start and end are
// brought into [0, size], with a negative one start into [0, size-1] and end into
// [-1, size-1].
func newSection(start, end, step int64, size int) section {
	n := int64(size)
	// No longer step leads anywhere else, and this one can be negated.
	step = min(max(step, -ops.MaxElements), ops.MaxElements)
	first, last := int64(0), n // of the places where the slice can end
	if step < 0 {
		first, last = -1, n-1
	}
	clamp := func(i, first int64) int64 {
		if i < 0 {
			i += n
		}
		return min(max(i, first), last)
	}
	start, end = clamp(start, 0), clamp(end, first)
	count := (end - start + step - 1) / step
	if step < 0 {
		count = (end - start + step + 1) / step
	}
	if count <= 0 {
		return section{start: 0, step: 1, count: 0}
	}
	return section{start: int(start), step: int(step), count: int(count)}
}
