package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newPad makes Pad (opsets 2, 11, 13): the data, of any type, with entries added
// before and behind each dimension, or, where pads are negative, removed. Since opset
// 11 the pads are an int64 vector, first those before all dimensions, then those
// behind, and the optional third input is the value, a scalar of the data's type;
// before they are attributes.
//
// Attributes: mode (constant; edge: the nearest element; reflect: mirrored at the
// elements at the edges); before opset 11 pads (required) and value (0).
func newPad(n ops.Node) (kernel, error) {
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
			return nil, fmt.Errorf("%w: the pads are missing", ops.ErrShape)
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
	input bool    // are the pads and the value
	pads  []int64 // from the attribute
	value float32 // from the attribute
}

func (k *pad) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	pads := k.pads
	if k.input {
		if in[1] == nil {
			return data, fmt.Errorf("%w: the pads are missing", ops.ErrShape)
		}
		length, err := checkVector("pads", in[1], ops.Int64)
		if err != nil {
			return data, err
		}
		if length.Known() && length.Size != 2*len(data.Shape) {
			return data, fmt.Errorf("%w: %d pads, but data is %v", ops.ErrShape, length.Size, data)
		}
		if len(in) > 2 && in[2] != nil {
			if err := checkScalar("constant_value", in[2].Type, data.DType); err != nil {
				return data, err
			}
		}
		if in[1].Const == nil {
			return ops.Type{DType: data.DType, Shape: slices.Repeat([]ops.Dim{unknown}, len(data.Shape))}, nil
		}
		pads = in[1].Const.Int64s()
	}
	if len(pads) != 2*len(data.Shape) {
		return data, fmt.Errorf("%w: %d pads, but data is %v", ops.ErrShape, len(pads), data)
	}
	shape := slices.Clone(data.Shape)
	for i, d := range shape {
		before, behind := pads[i], pads[len(shape)+i]
		if max(before, behind, -before, -behind) > ops.MaxElements || min(before, behind) < -ops.MaxElements {
			return data, fmt.Errorf("%w: pads %v", ops.ErrShape, pads)
		}
		if before == 0 && behind == 0 {
			continue
		}
		if !d.Known() {
			shape[i] = unknown
			continue
		}
		size := d.Size + int(before+behind)
		if size < 0 || k.mode != "constant" && d.Size == 0 && size > 0 || int(max(-before, -behind)) > d.Size ||
			k.mode == "reflect" && int(max(before, behind)) >= max(1, d.Size) {
			return data, fmt.Errorf("%w: pads %v (mode %s) for %v", ops.ErrShape, pads, k.mode, data)
		}
		shape[i] = ops.Dim{Size: size}
	}
	return ops.Type{DType: data.DType, Shape: shape}, nil
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
		c := from(first, out.Shape())
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

// at returns the entry that an index, which may be outside, stands for.
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
