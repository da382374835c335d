package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newSplit returns Split (opsets 1, 2, 11, 13, 18): consecutive parts of the data, of any
// type, along an axis. The sizes of the parts are an attribute or, in opset 1 and since opset
// 13, the optional second input, a vector: int64, or in opset 1 of the type of the data.
// Without them the parts have equal sizes.
//
// Attributes: axis (default 0), which may be negative since opset 11; split (before opset
// 13); num_outputs (since opset 18), the number of parts if their sizes are not given. The
// last one is smaller if the dimension is not a multiple of it.
func newSplit(n ops.Node) (multiOperation, error) {
	var more []string
	if n.Opset < 13 {
		more = []string{"split"}
		if n.NumInputs > 1 && n.Opset > 1 {
			return nil, fmt.Errorf("opset %d: split must be an attribute, not an input", n.Opset)
		}
	}
	if n.Opset >= 18 {
		more = []string{"num_outputs"}
	}
	axis, err := axisAttr(n, 0, more...)
	if err != nil {
		return nil, err
	}
	parts, err := ops.Attr[[]int64](n.Attributes, "split", nil)
	if err != nil {
		return nil, err
	}
	k := &split{axis: axis, parts: parts, outputs: n.NumOutputs, floatSizes: n.Opset == 1}
	if _, k.uneven = n.Attributes["num_outputs"]; k.uneven {
		number, err := ops.Attr(n.Attributes, "num_outputs", int64(0))
		if err != nil {
			return nil, err
		}
		if number < int64(n.NumOutputs) || number > ops.MaxElements {
			return nil, fmt.Errorf("%w: num_outputs is %d, but the number of outputs is %d", ops.ErrAttribute, number, n.NumOutputs)
		}
		k.chunks = int(number)
	}
	return k, nil
}

type split struct {
	axis    int64
	parts   []int64 // from the attribute
	outputs int

	uneven     bool // num_outputs is given:
	chunks     int  // its value
	floatSizes bool // the sizes that are an input are floating-point numbers
}

func (k *split) inferAll(in []*ops.Input) ([]ops.Type, error) {
	data := in[0].Type
	axis, err := axisOf(k.axis, len(data.Shape))
	if err != nil {
		return nil, fmt.Errorf("%w: data is %v", err, data)
	}
	parts, unknownSizes := k.parts, false
	if len(in) > 1 && in[1] != nil {
		if k.uneven {
			return nil, fmt.Errorf("%w: num_outputs and the input split must not both be given", ops.ErrAttribute)
		}
		var number int
		if parts, number, err = sizeVector("split", k.sizes(in[1])); err != nil {
			return nil, err
		}
		unknownSizes = parts == nil
		if number != k.outputs {
			return nil, fmt.Errorf("%w: the number of sizes is %d, but the number of outputs is %d", ops.ErrShape, number, k.outputs)
		}
	}
	size := data.Shape[axis]
	sizes := slices.Repeat([]ops.Dim{unknown}, k.outputs)
	switch {
	case unknownSizes || parts == nil && !size.Known():
	case parts == nil && k.uneven:
		each := (size.Size + k.chunks - 1) / k.chunks
		last := size.Size - each*(k.chunks-1)
		if last < 0 {
			return nil, fmt.Errorf("%w: dimension %d of %v cannot be split into %d parts of size %d and a smaller one", ops.ErrShape, axis, data, k.chunks-1, each)
		}
		for i := range sizes {
			sizes[i] = ops.Dim{Size: each}
		}
		if k.outputs == k.chunks {
			sizes[k.outputs-1] = ops.Dim{Size: last}
		}
	case parts == nil:
		if size.Size%k.outputs != 0 {
			return nil, fmt.Errorf("%w: dimension %d of %v is not a multiple of %d", ops.ErrShape, axis, data, k.outputs)
		}
		for i := range sizes {
			sizes[i] = ops.Dim{Size: size.Size / k.outputs}
		}
	default:
		total := 0
		for i, p := range parts {
			if i >= k.outputs || p < 0 || p > ops.MaxElements {
				return nil, fmt.Errorf("%w: sizes %v do not fit the number of outputs, %d", ops.ErrShape, parts, k.outputs)
			}
			sizes[i] = ops.Dim{Size: int(p)}
			total += int(p)
		}
		if len(parts) != k.outputs || size.Known() && total != size.Size {
			return nil, fmt.Errorf("%w: sizes %v do not fit dimension %d of %v and the number of outputs, %d", ops.ErrShape, parts, axis, data, k.outputs)
		}
	}
	types := make([]ops.Type, k.outputs)
	for i := range types {
		shape := slices.Clone(data.Shape)
		shape[axis] = sizes[i]
		types[i] = ops.Type{DType: data.DType, Shape: shape}
	}
	return types, nil
}

// sizes returns the input split with elements of type int64.
func (k *split) sizes(in *ops.Input) *ops.Input {
	if !k.floatSizes || !isFloat(in.DType) {
		return in
	}
	whole := &ops.Input{Type: ops.Type{DType: ops.Int64, Shape: in.Shape}}
	if in.Const != nil && in.Const.Len() <= ops.MaxElements {
		list := make([]int64, min(in.Const.Len(), k.outputs+1)) // more are refused
		for i := range list {
			var v [1]float64
			load(v[:], in.Const, i, 1)
			list[i] = int64(v[0])
		}
		whole.Const = mustTensor([]int{len(list)}, list)
	}
	return whole
}

func (k *split) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	axis, err := axisOf(k.axis, len(in[0].Shape()))
	if err != nil {
		return err
	}
	strides := rowMajor(in[0].Shape())
	from := 0
	for _, o := range out {
		c := copying{nest: newNest(o.Shape(), rowMajor(o.Shape()), strides), from: from}
		if err := c.run(ctx, o, in[0]); err != nil {
			return err
		}
		from += o.Shape()[axis] * strides[axis]
	}
	return nil
}
