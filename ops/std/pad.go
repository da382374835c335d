package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newPad returns Pad (opsets 2, 11, 13): the data, of any type, with entries added at the
// start and the end of each dimension, or removed where pads are negative. Since opset 11
// pads is an input, an int64 vector: first the numbers of entries at the start of every
// dimension, then the numbers at the end. The optional third input is the value of new
// entries, a scalar of the data's type. Before opset 11 both are attributes.
//
// Attributes: mode (default constant; edge repeats the nearest element; reflect mirrors the
// data at its first and last elements); before opset 11 pads (required) and value (default
// 0).
func newPad(n ops.Node) (operation, error) {
	known := []string{"mode"}
	if n.Opset < 11 {
		known = append(known, "pads", "value")
		if n.NumInputs > 1 {
			return nil, fmt.Errorf("opset %d: pads must be an attribute, not an input", n.Opset)
		}
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	k := pad{input: n.Opset >= 11}
	var err error
	if k.mode, err = ops.Attr(n.Attributes, "mode", "constant"); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"constant", "edge", "reflect"}, k.mode) {
		return nil, fmt.Errorf("%w: mode %q, want constant, edge or reflect", ops.ErrAttribute, k.mode)
	}
	if k.input {
		if n.NumInputs < 2 {
			return nil, fmt.Errorf("%w: pads is missing", ops.ErrShape)
		}
		return &k, nil
	}
	if k.value, err = ops.Attr(n.Attributes, "value", float32(0)); err != nil {
		return nil, err
	}
	if k.pads, err = ops.Attr(n.Attributes, "pads", []int64{}); err != nil {
		return nil, err
	}
	return &k, nil
}

type pad struct {
	mode  string
	input bool    // pads and value are inputs
	pads  []int64 // from the attribute
	value float32 // from the attribute
}

func (k *pad) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	if err := k.check(in); err != nil {
		return data, err
	}
	pads := k.pads
	if k.input {
		if in[1].Const == nil {
			return ops.Type{DType: data.DType, Shape: slices.Repeat([]ops.Dim{unknown}, len(data.Shape))}, nil
		}
		pads = in[1].Const.Int64s()
	}
	rank := len(data.Shape)
	if len(pads) != 2*rank {
		return data, fmt.Errorf("%w: the number of pads is %d, but data is %v", ops.ErrShape, len(pads), data)
	}
	shape := make([]ops.Dim, rank)
	for i, d := range data.Shape {
		before, after := pads[i], pads[rank+i]
		if max(before, after, -before, -after) > ops.MaxElements || min(before, after) < -ops.MaxElements {
			return data, fmt.Errorf("%w: pads %v are out of range", ops.ErrShape, pads)
		}
		var ok bool
		if shape[i], ok = k.padded(d, int(before), int(after)); !ok {
			return data, fmt.Errorf("%w: pads %v with mode %s do not fit %v", ops.ErrShape, pads, k.mode, data)
		}
	}
	return ops.Type{DType: data.DType, Shape: shape}, nil
}

// check checks the types of the inputs after the data.
func (k *pad) check(in []*ops.Input) error {
	if !k.input {
		return nil
	}
	data := in[0].Type
	if in[1] == nil {
		return fmt.Errorf("%w: pads is missing", ops.ErrShape)
	}
	length, err := checkVector("pads", in[1], ops.Int64)
	if err != nil {
		return err
	}
	if length.Known() && length.Size != 2*len(data.Shape) {
		return fmt.Errorf("%w: the number of pads is %d, but data is %v", ops.ErrShape, length.Size, data)
	}
	if len(in) > 2 && in[2] != nil {
		return checkScalar("constant_value", in[2].Type, data.DType)
	}
	return nil
}

// padded returns the size of a padded dimension. It returns false if more entries would be
// removed than there are, or if the mode needs more elements than there are.
func (k *pad) padded(d ops.Dim, before, after int) (ops.Dim, bool) {
	if before == 0 && after == 0 {
		return d, true
	}
	if !d.Known() {
		return unknown, true
	}
	size := d.Size + before + after
	ok := size >= 0 && max(-before, -after) <= d.Size
	switch k.mode {
	case "edge":
		ok = ok && (d.Size > 0 || size == 0)
	case "reflect":
		ok = ok && (d.Size > 0 || size == 0) && max(before, after) < max(1, d.Size)
	}
	return ops.Dim{Size: size}, ok
}

func (k *pad) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	data, pads := in[0], k.pads
	fill, err := ops.Zeros(data.DType(), []int{1})
	if err != nil {
		return err
	}
	if k.input {
		pads = in[1].Int64s()
		if len(in) > 2 && in[2] != nil {
			fill = in[2]
		}
	} else {
		store(fill, 0, 1, []float64{float64(k.value)})
	}
	shape, strides := data.Shape(), rowMajor(data.Shape())
	return take(ctx, out, data, fill, 1, func(first int, places []int) error {
		c := coordinatesAt(first, out.Shape())
		for i := range places {
			places[i] = 0
			for d, size := range shape {
				at := k.at(c.at[d]-int(pads[d]), size)
				if at == nowhere {
					places[i] = nowhere
					break
				}
				places[i] += at * strides[d]
			}
			c.next()
		}
		return nil
	})
}

// at returns the index of the element that is copied to an index, which may be outside the
// data.
func (k *pad) at(i, size int) int {
	switch {
	case i >= 0 && i < size:
		return i
	case k.mode == "edge":
		return min(max(i, 0), size-1)
	case k.mode == "reflect":
		if i < 0 {
			return -i
		}
		return 2*(size-1) - i
	}
	return nowhere
}
