package std

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// axisAttr reads the attribute axis, which may be negative since opset 11. The node may
// have the other attributes named by more, and no others.
func axisAttr(n ops.Node, standard int64, more ...string) (int64, error) {
	if err := n.Attributes.Only(append(more, "axis")...); err != nil {
		return 0, err
	}
	axis, err := ops.Attr(n.Attributes, "axis", standard)
	if err == nil && axis < 0 && n.Opset < 11 {
		err = fmt.Errorf("%w: axis %d: negative axes are not supported before opset 11", ops.ErrAttribute, axis)
	}
	return axis, err
}

// newGather returns Gather (opsets 1, 11, 13): the entries of the data along an axis at the
// given indices, int32 or int64. In the output, the dimensions of the indices replace the
// axis. The data has any type. Negative indices count from the end.
//
// Attributes: axis (default 0).
func newGather(n ops.Node) (operation, error) {
	axis, err := axisAttr(n, 0)
	return gather{axis}, err
}

type gather struct{ axis int64 }

func (k gather) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	if err := in[1].Type.CheckDType("indices", indexTypes...); err != nil {
		return data, err
	}
	axis, err := axisOf(k.axis, len(data.Shape))
	if err != nil {
		return data, fmt.Errorf("%w: data is %v", err, data)
	}
	shape := append([]ops.Dim{}, data.Shape[:axis]...)
	shape = append(append(shape, in[1].Shape...), data.Shape[axis+1:]...)
	return ops.Type{DType: data.DType, Shape: shape}, nil
}

func (k gather) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	shape := in[0].Shape()
	axis, err := axisOf(k.axis, len(shape))
	if err != nil {
		return err
	}
	t := temporary{ctx: ctx}
	list, size, block := elementsOf[int64](&t, in[1]), shape[axis], numElements(shape[axis+1:])
	if t.err != nil {
		return t.err
	}
	return take(ctx, out, in[0], nil, block, func(first int, from []int) error {
		for i := range from {
			at, err := resolveIndex(list[(first+i)%len(list)], size)
			if err != nil {
				return err
			}
			from[i] = ((first+i)/len(list)*size + at) * block
		}
		return nil
	})
}

// newGatherElements returns GatherElements (opsets 11, 13): for each index, int32 or int64,
// the element of the data at the position of the index, except that its coordinate along
// the axis is the index. The data, of any type, and the indices have the same rank, and the
// indices are no larger than the data except along the axis.
//
// Attributes: axis (default 0).
func newGatherElements(n ops.Node) (operation, error) {
	axis, err := axisAttr(n, 0)
	return gatherElements{axis}, err
}

type gatherElements struct{ axis int64 }

func (k gatherElements) infer(in []*ops.Input) (ops.Type, error) {
	return ops.Type{DType: in[0].DType, Shape: in[1].Shape}, checkElements(k.axis, in)
}

// checkElements checks the data and the indices of GatherElements and ScatterElements.
func checkElements(axis int64, in []*ops.Input) error {
	data, list := in[0].Type, in[1].Type
	if err := list.CheckDType("indices", indexTypes...); err != nil {
		return err
	}
	a, err := axisOf(axis, len(data.Shape))
	if err != nil {
		return fmt.Errorf("%w: data is %v", err, data)
	}
	ok := len(data.Shape) == len(list.Shape)
	for i := 0; ok && i < len(data.Shape); i++ {
		ok = i == a || !data.Shape[i].Known() || !list.Shape[i].Known() || data.Shape[i].Size >= list.Shape[i].Size
	}
	if !ok {
		return fmt.Errorf("%w: data is %v, indices is %v (axis %d)", ops.ErrShape, data, list, a)
	}
	return nil
}

func (k gatherElements) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	axis, err := axisOf(k.axis, len(in[0].Shape()))
	if err != nil {
		return err
	}
	t := temporary{ctx: ctx}
	list := elementsOf[int64](&t, in[1])
	if t.err != nil {
		return t.err
	}
	return take(ctx, out, in[0], nil, 1, func(first int, from []int) error {
		return elementPlaces(in[0].Shape(), in[1].Shape(), axis, list, first, from)
	})
}

// elementPlaces finds the elements of the data that the indices of GatherElements and
// ScatterElements select.
func elementPlaces(data, shape []int, axis int, list []int64, first int, places []int) error {
	strides := rowMajor(data)
	c := coordinatesAt(first, shape)
	for i := range places {
		at, err := resolveIndex(list[first+i], data[axis])
		if err != nil {
			return err
		}
		place := (at - c.at[axis]) * strides[axis]
		for d, s := range strides {
			place += c.at[d] * s
		}
		places[i] = place
		c.next()
	}
	return nil
}

// newGatherND returns GatherND (opsets 11, 12, 13): each row of the indices, int64, holds
// the first coordinates of a part of the data, which has any type. The first batch_dims
// dimensions belong to both inputs.
//
// Attributes: batch_dims (default 0; since opset 12).
func newGatherND(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("batch_dims"); err != nil {
		return nil, err
	}
	batch, err := ops.Attr(n.Attributes, "batch_dims", int64(0))
	if err != nil {
		return nil, err
	}
	if batch < 0 || batch > ops.MaxElements {
		return nil, fmt.Errorf("%w: batch_dims %d is out of range", ops.ErrAttribute, batch)
	}
	return gatherND{int(batch)}, nil
}

type gatherND struct{ batch int }

func (k gatherND) infer(in []*ops.Input) (ops.Type, error) {
	data, list := in[0].Type, in[1].Type
	if err := list.CheckDType("indices", ops.Int64); err != nil {
		return data, err
	}
	length, err := rowLength(list, len(data.Shape)-k.batch)
	if errors.Is(err, errNotYet) && len(list.Shape) > k.batch {
		return data, err
	}
	if err != nil || len(list.Shape) <= k.batch {
		return data, fmt.Errorf("%w: data is %v, indices is %v, batch_dims %d", ops.ErrShape, data, list, k.batch)
	}
	shape := append([]ops.Dim{}, list.Shape[:len(list.Shape)-1]...)
	for i := range k.batch {
		var ok bool
		if shape[i], ok = mergeDims(shape[i], data.Shape[i]); !ok {
			return data, fmt.Errorf("%w: data is %v, indices is %v, batch_dims %d", ops.ErrShape, data, list, k.batch)
		}
	}
	return ops.Type{DType: data.DType, Shape: append(shape, data.Shape[k.batch+length:]...)}, nil
}

// rowLength returns the size of the last dimension of the indices of GatherND and
// ScatterND, and errNotYet if it is not known.
func rowLength(list ops.Type, most int) (int, error) {
	if len(list.Shape) == 0 {
		return 0, ops.ErrShape
	}
	d := list.Shape[len(list.Shape)-1]
	if !d.Known() {
		return 0, errNotYet
	}
	if d.Size < 1 || d.Size > most {
		return 0, ops.ErrShape
	}
	return d.Size, nil
}

func (k gatherND) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	shape, list := in[0].Shape(), in[1].Int64s()
	length := in[1].Shape()[len(in[1].Shape())-1]
	strides := rowMajor(shape)
	rows := numElements(in[1].Shape()[k.batch : len(in[1].Shape())-1]) // per entry of the batch
	entry := numElements(shape[k.batch:])
	return take(ctx, out, in[0], nil, numElements(shape[k.batch+length:]), func(first int, from []int) error {
		for i := range from {
			row := first + i
			from[i] = row / rows * entry
			for j, v := range list[row*length:][:length] {
				at, err := resolveIndex(v, shape[k.batch+j])
				if err != nil {
					return err
				}
				from[i] += at * strides[k.batch+j]
			}
		}
		return nil
	})
}

// newCompress returns Compress (opsets 9, 11): the entries along an axis, or of the
// flattened data, for which the condition, a bool vector, is true. A condition that is too
// short counts as false at the end. The data has any type.
//
// Attributes: axis (default: flatten the data).
func newCompress(n ops.Node) (multiOperation, error) {
	_, along := n.Attributes["axis"]
	axis, err := axisAttr(n, 0)
	return compress{axis, along}, err
}

type compress struct {
	axis  int64
	along bool // false flattens the data
}

func (k compress) inferAll(in []*ops.Input) ([]ops.Type, error) {
	data := in[0].Type
	if _, err := checkVector("condition", in[1], ops.Bool); err != nil {
		return nil, err
	}
	shape, axis := []ops.Dim{dimProduct(data.Shape)}, 0
	if k.along {
		var err error
		if axis, err = axisOf(k.axis, len(data.Shape)); err != nil {
			return nil, fmt.Errorf("%w: data is %v", err, data)
		}
		shape = append([]ops.Dim{}, data.Shape...)
	}
	size := shape[axis]
	shape[axis] = unknown
	// Counting many entries takes long, and only a run can be canceled.
	if in[1].Const != nil && size.Known() && in[1].Const.Len() <= maxFolded {
		picked, err := selectedEntries(&ops.Context{}, in[1].Const, size.Size)
		if err != nil {
			return nil, err
		}
		shape[axis] = ops.Dim{Size: len(picked)}
	}
	return []ops.Type{{DType: data.DType, Shape: shape}}, nil
}

// selectedEntries returns the indices of the entries that a condition selects.
func selectedEntries(ctx *ops.Context, condition *ops.Tensor, size int) ([]int32, error) {
	wanted, _ := ops.Data[bool](condition)
	count, last := 0, -1
	err := inPieces(ctx, len(wanted), func(lo, hi int) {
		for i, w := range wanted[lo:hi] {
			if w {
				count++
				last = lo + i
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if last >= size {
		return nil, fmt.Errorf("%w: the condition selects index %d, but the size is %d", ops.ErrValue, last, size)
	}
	picked, err := ops.Temporary[int32](ctx, count)
	if err != nil {
		return nil, err
	}
	picked = picked[:0]
	err = inPieces(ctx, len(wanted), func(lo, hi int) {
		for i, w := range wanted[lo:hi] {
			if w {
				picked = append(picked, int32(lo+i))
			}
		}
	})
	return picked, err
}

func (k compress) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	shape, axis := []int{in[0].Len()}, 0
	if k.along {
		var err error
		shape = in[0].Shape()
		if axis, err = axisOf(k.axis, len(shape)); err != nil {
			return err
		}
	}
	picked, err := selectedEntries(ctx, in[1], shape[axis])
	if err != nil {
		return err
	}
	if out[0] == nil {
		shape := slices.Clone(shape)
		shape[axis] = len(picked)
		if err := ctx.Reserve(int64(numElements(shape)) * int64(in[0].DType().Size())); err != nil {
			return err
		}
		if out[0], err = ops.Zeros(in[0].DType(), shape); err != nil {
			return err
		}
	}
	block := numElements(shape[axis+1:])
	return take(ctx, out[0], in[0], nil, block, func(first int, from []int) error {
		for i := range from {
			from[i] = ((first+i)/len(picked)*shape[axis] + int(picked[(first+i)%len(picked)])) * block
		}
		return nil
	})
}
