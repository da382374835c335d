package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newSplit returns Split (opsets 2, 11, 13): consecutive parts of the data, of any type,
// along an axis. The sizes of the parts are an attribute or, since opset 13, the optional
// second input, an int64 vector. Without them the parts have equal sizes.
//
// Attributes: axis (default 0), which may be negative since opset 11; split (before opset
// 13).
func newSplit(n ops.Node) (multiOperation, error) {
	var more []string
	if n.Opset < 13 {
		more = []string{"split"}
		if n.NumInputs > 1 {
			return nil, fmt.Errorf("opset %d: split must be an attribute, not an input", n.Opset)
		}
	}
	axis, err := axisAttr(n, 0, more...)
	if err != nil {
		return nil, err
	}
	parts, err := ops.Attr[[]int64](n.Attributes, "split", nil)
	return &split{axis: axis, parts: parts, outputs: n.NumOutputs}, err
}

type split struct {
	axis    int64
	parts   []int64 // from the attribute
	outputs int
}

func (k *split) inferAll(in []*ops.Input) ([]ops.Type, error) {
	data := in[0].Type
	axis, err := axisOf(k.axis, len(data.Shape))
	if err != nil {
		return nil, fmt.Errorf("%w: data is %v", err, data)
	}
	parts, unknownSizes := k.parts, false
	if len(in) > 1 && in[1] != nil {
		var number int
		if parts, number, err = sizeVector("split", in[1]); err != nil {
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
