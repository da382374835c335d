package std

import (
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// newEqual returns Equal (opsets 1, 7, 11, 13, 19): whether A and B are equal, for each element. A
// and B have the same type, which may be any. The output is bool. The shapes broadcast as
// for Add. NaN is not equal to anything. There are no attributes.
func newEqual(n ops.Node) (operation, error) {
	k := newComparison(equal[float64], equal[int64], equal[uint64], compareSingle(kernel.Equal, false))
	k.arithmetic[ops.Bool] = k.arithmetic[ops.Uint8]
	k.arithmetic[ops.String] = typedRows(elementPairs(func(a, b string) bool { return a == b }))
	return newBroadcasting(n, k)
}

// newGreater returns Greater (opsets 1, 7, 9, 13): A > B. A and B must not be bool. See
// newEqual.
func newGreater(n ops.Node) (operation, error) {
	return newBroadcasting(n, newComparison(greater[float64], greater[int64], greater[uint64], compareSingle(kernel.Less, true)))
}

// newGreaterOrEqual returns GreaterOrEqual (opsets 12, 16): A >= B. See newGreater.
func newGreaterOrEqual(n ops.Node) (operation, error) {
	return newComparison(atLeast[float64], atLeast[int64], atLeast[uint64], compareSingle(kernel.LessEqual, true)), n.Attributes.Only()
}

// newLess returns Less (opsets 1, 7, 9, 13): A < B. See newGreater.
func newLess(n ops.Node) (operation, error) {
	return newBroadcasting(n, newComparison(less[float64], less[int64], less[uint64], compareSingle(kernel.Less, false)))
}

// newLessOrEqual returns LessOrEqual (opsets 12, 16): A <= B. See newGreater.
func newLessOrEqual(n ops.Node) (operation, error) {
	return newComparison(atMost[float64], atMost[int64], atMost[uint64], compareSingle(kernel.LessEqual, false)), n.Attributes.Only()
}

func equal[W wide](a, b W) bool   { return a == b }
func greater[W wide](a, b W) bool { return a > b }
func atLeast[W wide](a, b W) bool { return a >= b }
func less[W wide](a, b W) bool    { return a < b }
func atMost[W wide](a, b W) bool  { return a <= b }

// compareSingle returns a rowFunc that compares float32 elements, of B and A if swapped is set.
func compareSingle(op kernel.Comparison, swapped bool) rowFunc {
	return typedRows(func(out []bool, a, b []float32, stepA, stepB int) error {
		if swapped {
			a, b, stepA, stepB = b, a, stepB, stepA
		}
		kernel.Compare(op, out, a, b, stepA, stepB)
		return nil
	})
}

// newComparison returns a comparison for all types but bool. single computes float32, f float64, i
// the signed types and the small unsigned ones, and u uint64.
func newComparison(f func(a, b float64) bool, i func(a, b int64) bool, u func(a, b uint64) bool, single rowFunc) comparison {
	k := comparison{arithmetic{}}
	k.arithmetic[ops.Float32] = single
	k.arithmetic[ops.Float64] = typedRows(elementPairs(f))
	for _, d := range integerTypes {
		k.arithmetic[d] = convertedRows(pairwiseIndicator(i))
	}
	k.arithmetic[ops.Int64] = typedRows(elementPairs(i))
	k.arithmetic[ops.Uint64] = convertedRows(pairwiseIndicator(u))
	return k
}

// pairwiseIndicator returns a function of rows that stores 1 where f is true and 0
// elsewhere.
func pairwiseIndicator[W wide](f func(a, b W) bool) func(out, a, b []W, stepA, stepB int) error {
	return elementPairs(func(a, b W) W {
		if f(a, b) {
			return 1
		}
		return 0
	})
}

// comparison is arithmetic whose output is bool.
type comparison struct{ arithmetic }

func (k comparison) infer(in []*ops.Input) (ops.Type, error) {
	t, err := k.arithmetic.infer(in)
	t.DType = ops.Bool
	return t, err
}

// newAnd returns And (opsets 1, 7): A and B for each element, both bool. The shapes broadcast
// as for Add. There are no attributes.
func newAnd(n ops.Node) (operation, error) {
	return newBroadcasting(n, arithmetic{ops.Bool: logic(kernel.And, func(a, b bool) bool { return a && b })})
}

// newOr returns Or (opsets 1, 7). See newAnd.
func newOr(n ops.Node) (operation, error) {
	return newBroadcasting(n, arithmetic{ops.Bool: logic(kernel.Or, func(a, b bool) bool { return a || b })})
}

// newXor returns Xor (opsets 1, 7). See newAnd.
func newXor(n ops.Node) (operation, error) {
	return newBroadcasting(n, arithmetic{ops.Bool: logic(kernel.Xor, func(a, b bool) bool { return a != b })})
}

// logic returns a rowFunc of an operation on bools; lists computes it for consecutive elements.
func logic(lists func(out, a, b []bool), f func(a, b bool) bool) rowFunc {
	pairs := elementPairs(f)
	return typedRows(func(out, a, b []bool, stepA, stepB int) error {
		if stepA != 1 || stepB != 1 {
			return pairs(out, a, b, stepA, stepB)
		}
		lists(out, a[:len(out)], b[:len(out)])
		return nil
	})
}

// newNot returns Not (opset 1): the negation of each element of a bool tensor. There are no
// attributes.
func newNot(n ops.Node) (operation, error) {
	return unary{ops.Bool: func(lo, hi int, out, x *ops.Tensor) {
		o, _ := ops.Data[bool](out)
		d, _ := ops.Data[bool](x)
		kernel.Not(o[lo:hi], d[lo:hi])
	}}, n.Attributes.Only()
}

// newIsNaN returns IsNaN (opsets 9, 13, 20): whether an element of a floating-point type is NaN.
// The output is bool. There are no attributes.
func newIsNaN(n ops.Node) (operation, error) {
	return predicateOf(math.IsNaN), n.Attributes.Only()
}

// newIsInf returns IsInf (opsets 10, 20): whether an element of a floating-point type is
// infinite.
// The output is bool.
//
// Attributes: detect_negative (default 1) and detect_positive (default 1): whether to
// detect infinities of this sign.
func newIsInf(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("detect_negative", "detect_positive"); err != nil {
		return nil, err
	}
	negative, err := ops.Attr(n.Attributes, "detect_negative", int64(1))
	if err != nil {
		return nil, err
	}
	positive, err := ops.Attr(n.Attributes, "detect_positive", int64(1))
	if err != nil {
		return nil, err
	}
	return predicateOf(func(x float64) bool {
		return positive != 0 && math.IsInf(x, 1) || negative != 0 && math.IsInf(x, -1)
	}), nil
}

// predicateOf returns a predicate for all floating-point types.
func predicateOf(f func(float64) bool) predicate {
	compute := eachWide(func(x float64) float64 {
		if f(x) {
			return 1
		}
		return 0
	})
	k := predicate{unary{}}
	for _, d := range slices.Concat(floatTypes, halfTypes, float8Types) {
		k.unary[d] = compute
	}
	return k
}

// predicate is a unary whose output is bool.
type predicate struct{ unary }

func (k predicate) infer(in []*ops.Input) (ops.Type, error) {
	t, err := k.unary.infer(in)
	t.DType = ops.Bool
	return t, err
}
