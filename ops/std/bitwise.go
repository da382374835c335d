package std

import "github.com/spike-by-spike/sbs/ops"

// newBitwiseAnd returns BitwiseAnd (opset 18): the bits that are set in both A and B, for each
// element. Both have the same integer type. The shapes broadcast as for Add. There are no
// attributes.
func newBitwiseAnd(n ops.Node) (operation, error) {
	return bitwise(n, func(a, b int64) int64 { return a & b })
}

// newBitwiseOr returns BitwiseOr (opset 18): the bits that are set in A or B. See
// newBitwiseAnd.
func newBitwiseOr(n ops.Node) (operation, error) {
	return bitwise(n, func(a, b int64) int64 { return a | b })
}

// newBitwiseXor returns BitwiseXor (opset 18): the bits that differ in A and B. See
// newBitwiseAnd.
func newBitwiseXor(n ops.Node) (operation, error) {
	return bitwise(n, func(a, b int64) int64 { return a ^ b })
}

func bitwise(n ops.Node, f func(a, b int64) int64) (operation, error) {
	return arithmetic{}.integers(elementPairs(f), nil), n.Attributes.Only()
}

// newBitwiseNot returns BitwiseNot (opset 18): the complement of the bits of each element of
// an integer tensor. There are no attributes.
func newBitwiseNot(n ops.Node) (operation, error) {
	return unary{}.integers(func(x int64) int64 { return ^x }, nil), n.Attributes.Only()
}
