package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// withoutHints returns a node without the attribute consumed_inputs, which all operators of
// opset 1 could have. It says which inputs may be overwritten, and changes no result.
func withoutHints(n ops.Node) ops.Node {
	if _, ok := n.Attributes["consumed_inputs"]; !ok || n.Opset >= 6 {
		return n
	}
	kept := ops.Attributes{}
	for name, v := range n.Attributes {
		if name != "consumed_inputs" {
			kept[name] = v
		}
	}
	n.Attributes = kept
	return n
}

// newBroadcasting returns an operation on two inputs without attributes. Before opset 7, the
// shapes are equal or, with the attribute broadcast, that of B is a part of that of A: it
// starts at the attribute axis (default: both end together), and may have 1 instead of any
// size.
func newBroadcasting(n ops.Node, k operation) (operation, error) {
	if n.Opset >= 7 {
		return k, n.Attributes.Only()
	}
	if err := n.Attributes.Only("broadcast", "axis"); err != nil {
		return nil, err
	}
	broadcast, err := flagAttr(n.Attributes, "broadcast")
	if err != nil {
		return nil, err
	}
	a := aligned{operation: k, broadcast: broadcast}
	_, a.axisGiven = n.Attributes["axis"]
	a.axis, err = ops.Attr(n.Attributes, "axis", int64(0))
	return a, err
}

// aligned is an operation on two inputs whose shapes are aligned by an axis, not as in numpy.
type aligned struct {
	operation
	broadcast, axisGiven bool
	axis                 int64
}

func (k aligned) infer(in []*ops.Input) (ops.Type, error) {
	b := *in[1]
	var err error
	if b.Shape, err = k.alignedShape(in[0].Type, in[1].Type); err != nil {
		return ops.Type{}, err
	}
	if b.Const != nil {
		if b.Const, err = b.Const.Reshaped(sizesOf(b.Shape)); err != nil {
			return ops.Type{}, err
		}
	}
	return k.operation.infer([]*ops.Input{in[0], &b})
}

// sizesOf returns the sizes of dimensions that are all known.
func sizesOf(dims []ops.Dim) []int {
	shape := make([]int, len(dims))
	for i, d := range dims {
		shape[i] = d.Size
	}
	return shape
}

// alignedShape returns the shape of B with as many dimensions as it needs to broadcast as in
// numpy.
func (k aligned) alignedShape(a, b ops.Type) ([]ops.Dim, error) {
	refused := func() ([]ops.Dim, error) {
		return nil, fmt.Errorf("%w: A is %v, B is %v (broadcast %v): B must have the shape of A, or with broadcast that of some consecutive axes", ops.ErrShape, a, b, k.broadcast)
	}
	first := len(a.Shape) - len(b.Shape)
	if first < 0 || !k.broadcast && first != 0 {
		return refused()
	}
	if k.broadcast && k.axisGiven && len(b.Shape) > 0 {
		axis, err := axisOf(k.axis, len(a.Shape))
		if err != nil || axis > first {
			if one := dimProduct(b.Shape); one.Known() && one.Size != 1 { // a single number has no place
				return refused()
			}
			axis = first
		}
		first = axis
	}
	shape := make([]ops.Dim, len(a.Shape)-first)
	for i := range shape {
		if shape[i] = (ops.Dim{Size: 1}); i >= len(b.Shape) {
			continue
		}
		shape[i] = b.Shape[i]
		if _, ok := mergeDims(shape[i], a.Shape[first+i]); !ok && (!k.broadcast || shape[i].Size != 1) {
			return refused()
		}
	}
	return shape, nil
}

func (k aligned) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	shape, err := k.alignedShape(ops.TypeOf(in[0]), ops.TypeOf(in[1]))
	if err != nil {
		return err
	}
	b, err := in[1].Reshaped(sizesOf(shape))
	if err != nil {
		return err
	}
	return k.operation.run(ctx, []*ops.Tensor{in[0], b}, out)
}

// perChannel is an operation on X and a slope as PRelu was before opset 7: the slope is one
// number, or one for each channel, the second dimension of X.
type perChannel struct{ operation }

func (k perChannel) aligned(x, slope []ops.Dim) aligned {
	return aligned{operation: k.operation, broadcast: true, axisGiven: len(x) > 1 && len(slope) < len(x), axis: 1}
}

func (k perChannel) infer(in []*ops.Input) (ops.Type, error) {
	return k.aligned(in[0].Shape, in[1].Shape).infer(in)
}

func (k perChannel) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return k.aligned(ops.Dims(in[0].Shape()...), ops.Dims(in[1].Shape()...)).run(ctx, in, out)
}
