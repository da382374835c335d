package std

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newTopK returns TopK (opsets 1, 10, 11): the k largest elements along an axis, in
// descending order, and their indices, int64. Equal elements keep their order. NaN counts
// as larger than all numbers. X has any type but bool. k is the second input, an int64
// vector with one element, or before opset 10 an attribute.
//
// Attributes: axis (default -1), k (before opset 10); since opset 11 largest (default 1; 0
// returns the smallest elements, in ascending order) and sorted (ignored: the elements are
// always sorted).
func newTopK(n ops.Node) (multiOperation, error) {
	known := []string{"axis"}
	switch {
	case n.Opset >= 11:
		known = append(known, "largest", "sorted")
	case n.Opset < 10:
		known = append(known, "k")
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	wantInputs := 1
	if n.Opset >= 10 {
		wantInputs = 2
	}
	if n.NumInputs != wantInputs {
		return nil, fmt.Errorf("the number of inputs is %d, want %d in opset %d", n.NumInputs, wantInputs, n.Opset)
	}
	axis, err := ops.Attr(n.Attributes, "axis", int64(-1))
	if err != nil {
		return nil, err
	}
	largest, err := ops.Attr(n.Attributes, "largest", int64(1))
	if err != nil {
		return nil, err
	}
	k, err := ops.Attr(n.Attributes, "k", int64(0))
	return &topK{axis: axis, k: k, largest: largest != 0}, err
}

type topK struct {
	axis, k int64
	largest bool
}

func (k *topK) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("X", numericTypes...); err != nil {
		return nil, err
	}
	axis, err := axisOf(k.axis, len(x.Shape))
	if err != nil {
		return nil, fmt.Errorf("%w: X is %v", err, x)
	}
	number := ops.Dim{Size: int(min(max(k.k, -1), ops.MaxElements))}
	if len(in) > 1 {
		if in[1] == nil {
			return nil, fmt.Errorf("%w: K is missing", ops.ErrShape)
		}
		if err := checkScalar("K", in[1].Type, ops.Int64); err != nil {
			return nil, err
		}
		number = unknown
		if in[1].Const != nil {
			v := firstElement[int64](in[1].Const)
			if v < 0 || v > ops.MaxElements {
				return nil, fmt.Errorf("%w: k is %d, want 0 to %d", ops.ErrShape, v, ops.MaxElements)
			}
			number = ops.Dim{Size: int(v)}
		}
	} else if k.k < 0 {
		return nil, fmt.Errorf("%w: k is %d, want at least 0", ops.ErrAttribute, k.k)
	}
	if d := x.Shape[axis]; d.Known() && number.Size > d.Size {
		return nil, fmt.Errorf("%w: k is %d, but X is %v (axis %d)", ops.ErrShape, number.Size, x, axis)
	}
	shape := slices.Clone(x.Shape)
	shape[axis] = number
	return []ops.Type{{DType: x.DType, Shape: shape}, {DType: ops.Int64, Shape: shape}}, nil
}

func (k *topK) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	axis, err := axisOf(k.axis, len(in[0].Shape()))
	if err != nil {
		return err
	}
	switch d := in[0].DType(); {
	case isFloat(d):
		return topOf[float64](ctx, in[0], out, axis, k.largest)
	case d == ops.Uint64:
		return topOf[uint64](ctx, in[0], out, axis, k.largest)
	}
	return topOf[int64](ctx, in[0], out, axis, k.largest)
}

func topOf[W wide](ctx *ops.Context, x *ops.Tensor, out []*ops.Tensor, axis int, largest bool) error {
	n := out[0].Shape()[axis]
	return forEachLine(ctx, x, axis, func(l *line[W]) error {
		order, err := ops.Temporary[int32](ctx, len(l.elements))
		if err != nil {
			return err
		}
		defer ops.Free(ctx, order)
		for i := range order {
			order[i] = int32(i)
		}
		if err := sortBy(ctx, order, func(a, b int32) int {
			c := compare(l.elements[a], l.elements[b])
			if largest {
				return -c
			}
			return c
		}); err != nil {
			return err
		}
		first := l.number/l.step*l.step*n + l.number%l.step
		return inPieces(ctx, n, func(lo, hi int) {
			for j := lo; j < hi; j++ {
				i, at := order[j], first+j*l.step
				store(out[0], at, 1, l.elements[i:i+1])
				if len(out) > 1 {
					out[1].Int64s()[at] = int64(i)
				}
			}
		})
	})
}

// compare orders numbers. NaN comes after all others.
func compare[W wide](a, b W) int {
	if a != a || b != b {
		return cmp.Compare(b, a) // cmp.Compare puts NaN before all others
	}
	return cmp.Compare(a, b)
}
