package kernel

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// ShortRow is the largest length of a row of Softmax and of ExpSum: a longer sum of float32 would be
// less precise.
const ShortRow = 1024

// sumLanes is the number of partial sums of a sum of float32. Number i is part of sum i mod 16.
const sumLanes = 16

// gather reduces the partial results of all lanes to one: lane i and lane i+8 first, then i+4, i+2
// and i+1.
func gather(v *[sumLanes]float32, reduce func(a, b float32) float32) float32 {
	for half := sumLanes / 2; half > 0; half /= 2 {
		for i := range half {
			v[i] = reduce(v[i], v[i+half])
		}
	}
	return v[0]
}

// Softmax computes exp(x) divided by the sum of exp(x) in each row, and LogSoftmax its logarithm.
// x has some rows of n numbers, with n <= ShortRow. out may be x.
func Softmax(out, x []float32, n int) { softmax(out, x, n, false) }

// LogSoftmax computes the logarithm of Softmax.
func LogSoftmax(out, x []float32, n int) { softmax(out, x, n, true) }

func softmax(out, x []float32, n int, logarithm bool) {
	x = x[:len(out)]
	if len(out) == 0 || softmaxVectors(out, x, n, logarithm) {
		return
	}
	for ; len(x) > 0; x, out = x[n:], out[n:] {
		row, to := x[:n], out[:n]
		top := Top(row)
		if logarithm {
			total := log(ExpTotal(row, top))
			for i, v := range row {
				to[i] = (v - top) - total
			}
			continue
		}
		factor := 1 / ExpSum(to, row, top)
		for i, e := range to {
			to[i] = e * factor
		}
	}
}

// Top returns the largest of the numbers, and -infinity if there is none. It ignores NaN.
func Top(x []float32) float32 {
	infinity := float32(math.Inf(1))
	_, top := Bounds(x, infinity, -infinity)
	return top
}

// ExpSum computes out[i] = exp(x[i] - top), as Exp does, and returns the sum. No number of x is
// greater than top. out has at most ShortRow numbers, and may be x.
func ExpSum(out, x []float32, top float32) float32 {
	x = x[:len(out)]
	if sum, ok := expSumVectors(out, x, top); ok {
		return sum
	}
	var sums [sumLanes]float32
	for i, v := range x {
		out[i] = expNegative(v - top)
		sums[i%sumLanes] += out[i]
	}
	return gather(&sums, plus)
}

// ExpTotal is ExpSum without out.
func ExpTotal(x []float32, top float32) float32 {
	if sum, ok := expTotalVectors(x, top); ok {
		return sum
	}
	var sums [sumLanes]float32
	for i, v := range x {
		sums[i%sumLanes] += expNegative(v - top)
	}
	return gather(&sums, plus)
}

func plus(a, b float32) float32 { return a + b }

// ExpColumns computes out[i] = exp(x[i] - tops[i]), as Exp does, and adds it to sums[i]. No number of
// x is greater than the one of tops. out may be x.
func ExpColumns(out, x, tops, sums []float32) {
	x, tops, sums = x[:len(out)], tops[:len(out)], sums[:len(out)]
	if len(out) == 0 || expColumnsVectors(out, x, tops, sums) {
		return
	}
	for i, v := range x {
		out[i] = expNegative(v - tops[i])
		sums[i] += out[i]
	}
}

// NormalizeRow computes out[i] = ((x[i]-p[0])-p[1])*p[2]*scale[i] + bias[i], where the last product
// and the sum round once. p has three numbers. All other slices have the same length; out may be x.
func NormalizeRow(out, x, scale, bias, p []float32) {
	x, scale, bias = x[:len(out)], scale[:len(out)], bias[:len(out)]
	if len(out) == 0 || normalizeRowVectors(out, x, scale, bias, p) {
		return
	}
	normalizeRow(out, x, scale, bias, p)
}

func normalizeRow(out, x, scale, bias, p []float32) {
	for i, v := range x {
		out[i] = portmath.FMA(float32(((v-p[0])-p[1])*p[2]), scale[i], bias[i])
	}
}
