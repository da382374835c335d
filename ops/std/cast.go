package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// newCast returns Cast (opsets 6, 9, 13): the same elements in another type. Floating-point
// numbers are truncated when they become integers; numbers out of range become the largest
// or smallest integer, and NaN becomes 0. Integers keep their low bits when they become
// smaller integers. Every number but 0 becomes true, and true becomes 1. float16, bfloat16,
// strings and complex numbers are not supported.
//
// Attributes: to (required), a data type.
func newCast(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("to"); err != nil {
		return nil, err
	}
	to, err := dtypeAttr(n.Attributes, "to", 0)
	if err != nil {
		return nil, err
	}
	return cast{to}, nil
}

// dtypeAttr returns an attribute that is a data type.
func dtypeAttr(a ops.Attributes, name string, standard ops.DType) (ops.DType, error) {
	v, err := ops.Attr(a, name, int64(standard))
	if err != nil {
		return 0, err
	}
	if d := ops.DType(v); int64(d) == v && d.Size() != 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%w: %s: %w: %v", ops.ErrAttribute, name, ops.ErrDType, ops.DType(v))
}

type cast struct{ to ops.DType }

func (k cast) infer(in []*ops.Input) (ops.Type, error) {
	return ops.Type{DType: k.to, Shape: in[0].Shape}, nil
}

func (k cast) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if in[0].DType() == out.DType() {
		return copyAll(ctx, out, in[0])
	}
	l := ops.Scratch[unaryLoop](ctx)
	*l = unaryLoop{out: out, x: in[0], compute: castElements[int64]}
	if isFloat(in[0].DType()) {
		l.compute = castElements[float64]
	} else if in[0].DType() == ops.Uint64 {
		l.compute = castElements[uint64]
	}
	return ctx.Do(out.Len(), grain, l)
}

func castElements[W wide](lo, hi int, out, x *ops.Tensor) {
	var v [chunk]W
	for ; lo < hi; lo += chunk {
		m := min(chunk, hi-lo)
		load(v[:m], x, lo, 1)
		store(out, lo, 1, v[:m])
	}
}

// newCastLike returns CastLike (opset 15): Cast to the type of the second input. There are
// no attributes.
func newCastLike(n ops.Node) (operation, error) { return castLike{}, n.Attributes.Only() }

type castLike struct{}

func (castLike) infer(in []*ops.Input) (ops.Type, error) {
	return ops.Type{DType: in[1].DType, Shape: in[0].Shape}, nil
}

func (castLike) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return cast{out.DType()}.run(ctx, in, out)
}
