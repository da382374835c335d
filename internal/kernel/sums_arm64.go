//go:build !purego

package kernel

// totalVectors computes Total, or returns false if the tier has no assembly.
func totalVectors(s Summand, x []float32, center float64) (sum float64, ok bool) {
	n := wholeVectors(len(x), partialSums)
	if n == 0 {
		return 0, false
	}
	var sums [partialSums]float64
	switch s {
	case Numbers:
		totalNumbersNEON(&sums, &x[0], n, center)
	case Magnitudes:
		totalMagnitudesNEON(&sums, &x[0], n, center)
	case Squares:
		totalSquaresNEON(&sums, &x[0], n, center)
	}
	return addTo(&sums, s, x[n:], center), true
}

// accumulateVectors computes Accumulate for as many numbers as fill whole vectors, and returns how
// many these are.
func accumulateVectors(s Summand, sums []float64, x []float32) int {
	return accumulateRowsVectors(s, sums, x, 1, 0)
}

// accumulateRowsVectors computes AccumulateRows for as many columns as fill whole vectors, and returns
// how many these are.
func accumulateRowsVectors(s Summand, sums []float64, x []float32, rows, stride int) int {
	n := wholeVectors(len(sums), lanesNEON)
	switch {
	case n == 0:
	case s == Numbers:
		accumulateNumbersNEON(&sums[0], &x[0], n, rows, 4*stride)
	case s == Magnitudes:
		accumulateMagnitudesNEON(&sums[0], &x[0], n, rows, 4*stride)
	default:
		accumulateSquaresNEON(&sums[0], &x[0], n, rows, 4*stride)
	}
	return n
}

// extremeVectors computes Largest or Smallest, or returns false if the tier has no assembly.
func extremeVectors(largest bool, x []float32, start float32) (best float32, ok bool) {
	n := wholeVectors(len(x), sumLanes)
	if n == 0 {
		return 0, false
	}
	var all [sumLanes]float32
	for i := range all {
		all[i] = start
	}
	better := smaller
	if largest {
		better = larger
		largestNEON(&all, &x[0], n)
	} else {
		smallestNEON(&all, &x[0], n)
	}
	for i, v := range x[n:] {
		all[i] = better(v, all[i])
	}
	return gather(&all, better), true
}

// productVectors multiplies partial products by as many numbers as fill blocks of 32, and returns how many
// these are.
func productVectors(partial *[32]float64, x []float32) int {
	n := wholeVectors(len(x), 32)
	if n > 0 {
		multiplyNEON(partial, &x[0], n)
	}
	return n
}
