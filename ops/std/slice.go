package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newSlice returns Slice (opsets 1, 10, 11, 13): every step-th entry of the data from start
// up to, but not including, end along some axes. The data has any type and shape. The
// inputs starts and ends and the optional axes (default: the first ones) and steps (default
// 1) are int32 or int64 vectors of the same length. Negative starts, ends and axes count
// from the end. Starts and ends outside the data are clamped; in particular they may be the
// smallest and largest integers. For negative steps, a start before the data is clamped to
// the first entry, as ONNX specifies and onnxruntime does; numpy returns no entries.
//
// Before opset 10, starts and ends (required) and axes are attributes instead of inputs,
// and there are no steps.
func newSlice(n ops.Node) (operation, error) {
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

// axisSlice is the slice along one axis of the data.
type axisSlice struct {
	axis             int
	start, end, step int64
	known            bool // whether start, end and step are known
}

// resize returns the size of the axis after the slice.
func (s axisSlice) resize(d ops.Dim) ops.Dim {
	switch {
	case !s.known:
		return unknown
	case d.Known():
		if n := newSection(s.start, s.end, s.step, d.Size).count; n != d.Size {
			return ops.Dim{Size: n}
		}
		return d
	case s.start == 0 && s.end >= ops.MaxElements && s.step == 1: // the whole axis
		return d
	}
	return unknown
}

func (k slicing) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	cuts, known, err := k.parse(in)
	if err != nil {
		return ops.Type{}, err
	}
	shape := append([]ops.Dim{}, data.Shape...)
	if !known {
		for i := range shape {
			shape[i] = unknown
		}
	}
	for _, s := range cuts {
		shape[s.axis] = s.resize(shape[s.axis])
	}
	return ops.Type{DType: data.DType, Shape: shape}, nil
}

func (k slicing) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	c := ops.Scratch[copying](ctx)
	if c.mover == nil {
		from, strides, err := k.source(in)
		if err != nil {
			return err
		}
		c.from, c.nest = from, newNest(out.Shape(), rowMajor(out.Shape()), strides)
	}
	return c.run(ctx, out, in[0])
}

// source returns the place of the output's first element in the data, and the strides in
// the data between neighboring elements of the output.
func (k slicing) source(in []*ops.Tensor) (first int, strides []int, err error) {
	cuts, _, err := k.parse(inputs(in))
	if err != nil {
		return 0, nil, err
	}
	shape := in[0].Shape()
	strides = rowMajor(shape)
	for _, s := range cuts {
		cut := newSection(s.start, s.end, s.step, shape[s.axis])
		first += cut.start * strides[s.axis]
		strides[s.axis] *= cut.step
	}
	return first, strides, nil
}

// parse returns the slices of the axes that are sliced, at most one per axis. If known is
// false, the axes are not known, and any axis may be sliced.
func (k slicing) parse(in []*ops.Input) (cuts []axisSlice, known bool, err error) {
	data := in[0].Type
	lists, err := k.read(in)
	if err != nil {
		return nil, false, err
	}
	axes, known, err := lists.namedAxes(data)
	if err != nil || !known {
		return nil, false, err
	}
	seen := make([]bool, len(data.Shape))
	for i, a := range axes {
		axis, err := axisOf(a, len(data.Shape))
		if err != nil {
			return nil, false, fmt.Errorf("%w: data is %v", err, data)
		}
		if seen[axis] {
			return nil, false, fmt.Errorf("%w: axes %v contain axis %d twice", ops.ErrShape, axes, axis)
		}
		seen[axis] = true
		s := lists.at(i)
		if s.axis = axis; s.step == 0 {
			return nil, false, fmt.Errorf("%w: step 0 for axis %d of %v", ops.ErrShape, axis, data)
		}
		cuts = append(cuts, s)
	}
	return cuts, true, nil
}

// sliceLists holds starts, ends, axes and steps. A list is nil if it is omitted or its
// values are not known.
type sliceLists struct {
	starts, ends, axes, steps []int64
	axesGiven, stepsGiven     bool
	length                    int // of every list, -1 if it is not known
}

// read reads the lists from the attributes or, since opset 10, from the inputs.
func (k slicing) read(in []*ops.Input) (sliceLists, error) {
	if k.lists == nil && (len(in) < 3 || in[1] == nil || in[2] == nil) {
		return sliceLists{}, fmt.Errorf("%w: starts and ends are required", ops.ErrShape)
	}
	given := append(slices.Clone(in[1:]), inputs(k.lists)...)
	var values [4][]int64
	length := unknown
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		if i >= len(given) || given[i] == nil {
			continue
		}
		n, err := checkVector(name, given[i], ops.Int32, ops.Int64)
		if err != nil {
			return sliceLists{}, err
		}
		if value := given[i].Const; value != nil {
			values[i] = append([]int64{}, integers(value)...)
			n.Size = value.Len()
		}
		var ok bool
		if length, ok = mergeDims(length, n); !ok {
			return sliceLists{}, fmt.Errorf("%w: the length of %s is %v, but the length of another list is %v", ops.ErrShape, name, n, length)
		}
	}
	return sliceLists{
		starts: values[0], ends: values[1], axes: values[2], steps: values[3], length: length.Size,
		axesGiven: len(given) > 2 && given[2] != nil, stepsGiven: len(given) > 3 && given[3] != nil,
	}, nil
}

// namedAxes returns the axes that are sliced, by default the first ones. It returns false
// if they are not known.
func (l *sliceLists) namedAxes(data ops.Type) (axes []int64, known bool, err error) {
	if l.axesGiven {
		return l.axes, l.axes != nil || l.length == 0, nil
	}
	if l.length > len(data.Shape) {
		return nil, false, fmt.Errorf("%w: the number of starts is %d, but data is %v", ops.ErrShape, l.length, data)
	}
	for i := range max(l.length, 0) {
		axes = append(axes, int64(i))
	}
	return axes, l.length >= 0, nil
}

// at returns entry i of the lists, without its axis. The step is 1 if it is omitted or not
// known.
func (l *sliceLists) at(i int) axisSlice {
	s := axisSlice{step: 1, known: l.starts != nil && l.ends != nil && (l.steps != nil || !l.stepsGiven)}
	if l.steps != nil {
		s.step = l.steps[i]
	}
	if s.known {
		s.start, s.end = l.starts[i], l.ends[i]
	}
	return s
}

// section is the part of an axis that remains after a slice.
type section struct{ start, step, count int }

// newSection applies a slice to an axis. With a positive step, start and end are clamped to
// [0, size]; with a negative step, start is clamped to [0, size-1] and end to [-1, size-1].
func newSection(start, end, step int64, size int) section {
	n := int64(size)
	// Longer steps have the same result, but might overflow when they are negated.
	step = min(max(step, -ops.MaxElements), ops.MaxElements)
	first, last := int64(0), n // the range of end
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
