package kernel

import (
	"github.com/spike-by-spike/sbs/internal/portmath"
)

// Pair is an operation on two numbers, for Combine.
type Pair int

// The operations.
const (
	Add   Pair = iota // a + b
	Sub               // a - b
	Mul               // a * b
	Div               // a / b
	Max               // the larger one, or NaN if one is NaN; b if both are zeros
	Min               // the smaller one, in the same way
	PRelu             // a*b where a is negative, and a elsewhere
	pairCount
)

// Combine computes out[i] = op(a[i*stepA], b[i*stepB]) in float32. A step of 0 means that the first
// number is used for all; other steps may be larger than 1. out may be a or b if their step is 1.
func Combine(op Pair, out, a, b []float32, stepA, stepB int) {
	done := combineVectors(op, out, a, b, stepA, stepB)
	if done == len(out) {
		return
	}
	out, a, b = out[done:], a[done*stepA:], b[done*stepB:]
	switch op {
	case Add:
		for i := range out {
			out[i] = a[i*stepA] + b[i*stepB]
		}
	case Sub:
		for i := range out {
			out[i] = a[i*stepA] - b[i*stepB]
		}
	case Mul:
		for i := range out {
			out[i] = a[i*stepA] * b[i*stepB]
		}
	case Div:
		for i := range out {
			out[i] = a[i*stepA] / b[i*stepB]
		}
	case Max:
		for i := range out {
			out[i] = larger(a[i*stepA], b[i*stepB])
		}
	case Min:
		for i := range out {
			out[i] = smaller(a[i*stepA], b[i*stepB])
		}
	case PRelu:
		for i := range out {
			v := a[i*stepA]
			if v < 0 {
				v *= b[i*stepB]
			}
			out[i] = v
		}
	}
}

// AddRows adds n elements of each of some rows of x to those of sums. A stride is the distance between the
// first elements of adjacent rows. Rows of sums must not overlap. AddRows panics if a slice is too short.
func AddRows(sums []float32, sumStride int, x []float32, stride, rows, n int) {
	if rows <= 0 || n <= 0 {
		return
	}
	_, _ = sums[(rows-1)*sumStride:][:n], x[(rows-1)*stride:][:n]
	if addRowsVectors(sums, sumStride, x, stride, rows, n) {
		return
	}
	for r := range rows {
		to, from := sums[r*sumStride:][:n], x[r*stride:][:n]
		for i, v := range from {
			to[i] += v
		}
	}
}

func larger(a, b float32) float32 {
	if a > b || a != a {
		return a
	}
	return b
}

func smaller(a, b float32) float32 {
	if a < b || a != a {
		return a
	}
	return b
}

// Comparison compares two numbers, for Compare.
type Comparison int

// The comparisons. All are false for NaN.
const (
	Less      Comparison = iota // a < b
	LessEqual                   // a <= b
	Equal                       // a == b
)

// Compare computes out[i] = op(a[i*stepA], b[i*stepB]). See Combine.
func Compare(op Comparison, out []bool, a, b []float32, stepA, stepB int) {
	done := compareVectors(op, out, a, b, stepA, stepB)
	if done == len(out) {
		return
	}
	out, a, b = out[done:], a[done*stepA:], b[done*stepB:]
	switch op {
	case Less:
		for i := range out {
			out[i] = a[i*stepA] < b[i*stepB]
		}
	case LessEqual:
		for i := range out {
			out[i] = a[i*stepA] <= b[i*stepB]
		}
	case Equal:
		for i := range out {
			out[i] = a[i*stepA] == b[i*stepB]
		}
	}
}

// Select sets out[i] to a[i*stepA] if c[i] is set, and otherwise to b[i*stepB]. See Combine.
func Select(out []float32, c []bool, a, b []float32, stepA, stepB int) {
	done := selectVectors(out, c, a, b, stepA, stepB)
	if done == len(out) {
		return
	}
	a, b = a[done*stepA:], b[done*stepB:]
	for i, set := range c[done:len(out)] {
		if set {
			out[done+i] = a[i*stepA]
		} else {
			out[done+i] = b[i*stepB]
		}
	}
}

// Pow computes out[i] = x[i*stepX] to the power of y[i*stepY], as portmath.PowSingle does. See Combine.
func Pow(out, x, y []float32, stepX, stepY int) {
	for len(out) > 0 {
		n := powVectors(out, x, y, stepX, stepY)
		// The vectors end where a number is special.
		end := min(n+8, len(out))
		for i := n; i < end; i++ {
			out[i] = portmath.PowSingle(x[i*stepX], y[i*stepY])
		}
		out, x, y = out[end:], x[min(len(x), end*stepX):], y[min(len(y), end*stepY):]
	}
}
