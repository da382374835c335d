package std

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// scatterUpdates computes a copy of the data with updates, which are applied in row-major
// order. It is not parallel because two updates may affect the same place.
type scatterUpdates struct{ reduction string }

// newScattered reads the attribute reduction: none or, since opset 16, add or mul, or since
// opset 18 max or min.
func newScattered(n ops.Node) (scatterUpdates, error) {
	known := []string{"none", "add", "mul"}
	if n.Opset >= 18 {
		known = append(known, "max", "min")
	}
	r, err := choiceAttr(n.Attributes, "reduction", known...)
	return scatterUpdates{r}, err
}

// check checks the types of the data and the updates.
func (k scatterUpdates) check(data, updates ops.Type) error {
	if data.DType != updates.DType {
		return fmt.Errorf("%w: data is %v but updates is %v", ops.ErrDType, data, updates)
	}
	if k.reduction != "none" {
		return data.CheckDType("data", allTypes...)
	}
	return nil
}

// run puts blocks of size elements of updates at the given places.
func (k scatterUpdates) run(ctx *ops.Context, data, updates, out *ops.Tensor, size int, places blockPlaces) error {
	if err := copyAll(ctx, out, data); err != nil || updates.Len() == 0 {
		return err
	}
	blocks := updates.Len() / size
	var to [chunk]int
	watching := cancelCheck{ctx: ctx}
	for first := 0; first < blocks; first += chunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := to[:min(chunk, blocks-first)]
		if err := places(first, part); err != nil {
			return err
		}
		for i, place := range part {
			if err := inPieces(ctx, size, func(lo, hi int) {
				k.put(out, place+lo, updates, (first+i)*size+lo, hi-lo)
			}); err != nil {
				return err
			}
			if err := watching.after(size); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k scatterUpdates) put(out *ops.Tensor, to int, updates *ops.Tensor, from, size int) {
	switch {
	case k.reduction == "none":
		movers[out.DType()].copyBlocks(out, updates, nil, to, size, []int{from})
	case isFloat(out.DType()):
		combine[float64](k.reduction, out, to, updates, from, size)
	case out.DType() == ops.Uint64:
		combine[uint64](k.reduction, out, to, updates, from, size)
	default:
		combine[int64](k.reduction, out, to, updates, from, size)
	}
}

// combine stores the sum, product, maximum or minimum of updates and the elements that are
// there. For bool, the sum is their disjunction, and the product their conjunction.
func combine[W wide](reduction string, out *ops.Tensor, to int, updates *ops.Tensor, from, size int) {
	var a, b [chunk]W
	for i := 0; i < size; i += chunk {
		m := min(chunk, size-i)
		load(b[:m], updates, from+i, 1)
		load(a[:m], out, to+i, 1)
		for j := range m {
			switch reduction {
			case "add":
				b[j] += a[j]
			case "mul":
				b[j] *= a[j]
			case "max":
				b[j] = max(b[j], a[j])
			case "min":
				b[j] = min(b[j], a[j])
			}
		}
		store(out, to+i, 1, b[:m])
	}
}

// newScatterElements returns ScatterElements (opsets 11, 13, 16, 18) and Scatter (opset 9): the
// data with some elements replaced by updates of the same type, which may be any. The
// indices, int32 or int64, have the shape of the updates and select elements as in
// newGatherElements.
//
// Attributes: axis (default 0), reduction (default none; since opset 16; add or mul, and since
// opset 18 max or min, combine an update with the element).
func newScatterElements(n ops.Node) (operation, error) {
	var more []string
	if n.Opset >= 16 {
		more = []string{"reduction"}
	}
	axis, err := axisAttr(n, 0, more...)
	if err != nil {
		return nil, err
	}
	s, err := newScattered(n)
	return scatterElements{s, axis}, err
}

type scatterElements struct {
	scatterUpdates
	axis int64
}

func (k scatterElements) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	if err := k.check(data, in[2].Type); err != nil {
		return data, err
	}
	ok := len(in[1].Shape) == len(in[2].Shape)
	for i := 0; ok && i < len(in[1].Shape); i++ {
		_, ok = mergeDims(in[1].Shape[i], in[2].Shape[i])
	}
	if !ok {
		return data, fmt.Errorf("%w: indices is %v but updates is %v", ops.ErrShape, in[1].Type, in[2].Type)
	}
	return data, checkElements(k.axis, in)
}

func (k scatterElements) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	axis, err := axisOf(k.axis, len(in[0].Shape()))
	if err != nil {
		return err
	}
	t := temporary{ctx: ctx}
	list := elementsOf[int64](&t, in[1])
	if t.err != nil {
		return t.err
	}
	return k.scatterUpdates.run(ctx, in[0], in[2], out, 1, func(first int, to []int) error {
		return elementPlaces(in[0].Shape(), in[1].Shape(), axis, list, first, to)
	})
}

// newScatterND returns ScatterND (opsets 11, 13, 16, 18): the data with some parts replaced by
// updates of the same type, which may be any. Each row of the indices, int64, holds the
// first coordinates of a part.
//
// Attributes: reduction (default none; since opset 16; add or mul, and since opset 18 max or
// min, combine an update with the part).
func newScatterND(n ops.Node) (operation, error) {
	var known []string
	if n.Opset >= 16 {
		known = []string{"reduction"}
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	s, err := newScattered(n)
	return scatterND{s}, err
}

type scatterND struct{ scatterUpdates }

func (k scatterND) infer(in []*ops.Input) (ops.Type, error) {
	data, list, updates := in[0].Type, in[1].Type, in[2].Type
	if err := list.CheckDType("indices", ops.Int64); err != nil {
		return data, err
	}
	if err := k.check(data, updates); err != nil {
		return data, err
	}
	length, err := rowLength(list, len(data.Shape))
	if errors.Is(err, errNotYet) {
		return data, nil // the run checks the shapes
	}
	var want []ops.Dim
	if err == nil {
		want = append(append(want, list.Shape[:len(list.Shape)-1]...), data.Shape[length:]...)
	}
	ok := err == nil && len(want) == len(updates.Shape)
	for i := 0; ok && i < len(want); i++ {
		_, ok = mergeDims(want[i], updates.Shape[i])
	}
	if !ok {
		return data, fmt.Errorf("%w: data is %v, indices is %v, updates is %v", ops.ErrShape, data, list, updates)
	}
	return data, nil
}

func (k scatterND) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	shape, list := in[0].Shape(), in[1].Int64s()
	length := in[1].Shape()[len(in[1].Shape())-1]
	strides := rowMajor(shape)
	return k.scatterUpdates.run(ctx, in[0], in[2], out, numElements(shape[length:]), func(first int, to []int) error {
		for i := range to {
			to[i] = 0
			for j, v := range list[(first+i)*length:][:length] {
				at, err := resolveIndex(v, shape[j])
				if err != nil {
					return err
				}
				to[i] += at * strides[j]
			}
		}
		return nil
	})
}
