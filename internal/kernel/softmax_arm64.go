//go:build !purego

package kernel

// softmaxVectors and the others compute their function, or return false if the tier has no assembly.
func softmaxVectors(out, x []float32, n int, logarithm bool) bool {
	if active() == Portable || n < lanesNEON {
		return false
	}
	whole := n &^ (lanesNEON - 1)
	for ; len(x) > 0; x, out = x[n:], out[n:] {
		row, to := x[:n], out[:n]
		top := Top(row)
		if logarithm {
			total := log(ExpTotal(row, top))
			shiftNEON(&to[0], &row[0], whole, top, total)
			for i, v := range row[whole:] {
				to[whole+i] = (v - top) - total
			}
			continue
		}
		factor := 1 / ExpSum(to, row, top)
		scaleNEON(&to[0], &to[0], whole, factor)
		for i := whole; i < n; i++ {
			to[i] *= factor
		}
	}
	return true
}

func expSumVectors(out, x []float32, top float32) (sum float32, ok bool) {
	n := wholeVectors(len(out), sumLanes)
	if n == 0 {
		return 0, false
	}
	var sums [sumLanes]float32
	expSumNEON(&out[0], &x[0], n, top, &sums)
	for i, v := range x[n:] {
		out[n+i] = expNegative(v - top)
		sums[i] += out[n+i]
	}
	return gather(&sums, plus), true
}

func expTotalVectors(x []float32, top float32) (sum float32, ok bool) {
	n := wholeVectors(len(x), sumLanes)
	if n == 0 {
		return 0, false
	}
	var sums [sumLanes]float32
	expTotalNEON(&x[0], n, top, &sums)
	for i, v := range x[n:] {
		sums[i] += expNegative(v - top)
	}
	return gather(&sums, plus), true
}

func expColumnsVectors(out, x, tops, sums []float32) bool {
	n := wholeVectors(len(out), lanesNEON)
	if n == 0 {
		return false
	}
	expColumnsNEON(&out[0], &sums[0], &x[0], &tops[0], n)
	for i := n; i < len(out); i++ {
		out[i] = expNegative(x[i] - tops[i])
		sums[i] += out[i]
	}
	return true
}

func normalizeRowVectors(out, x, scale, bias, p []float32) bool {
	n := wholeVectors(len(out), lanesNEON)
	if n == 0 {
		return false
	}
	normalizeRowNEON(&out[0], &x[0], &scale[0], &bias[0], n, p[0], p[1], p[2])
	normalizeRow(out[n:], x[n:], scale[n:], bias[n:], p)
	return true
}
