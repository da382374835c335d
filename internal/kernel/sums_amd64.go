//go:build !purego

package kernel

// totalVectors computes Total, or returns false if the tier has no assembly.
func totalVectors(s Summand, x []float32, center float64) (sum float64, ok bool) {
	tier := active()
	switch {
	case len(x) == 0 || tier == Portable:
		return 0, len(x) == 0
	case tier == AVX512 && s == Numbers:
		return totalNumbersAVX512(&x[0], len(x), center), true
	case tier == AVX512 && s == Magnitudes:
		return totalMagnitudesAVX512(&x[0], len(x), center), true
	case tier == AVX512:
		return totalSquaresAVX512(&x[0], len(x), center), true
	case s == Numbers:
		return totalNumbersAVX2(&x[0], len(x), center), true
	case s == Magnitudes:
		return totalMagnitudesAVX2(&x[0], len(x), center), true
	}
	return totalSquaresAVX2(&x[0], len(x), center), true
}

// accumulateVectors computes Accumulate for as many numbers as fill whole vectors, and returns how
// many these are.
func accumulateVectors(s Summand, sums []float64, x []float32) int {
	return accumulateRowsVectors(s, sums, x, 1, 0)
}

// accumulateRowsVectors computes AccumulateRows for as many columns as fill whole vectors, and returns
// how many these are.
func accumulateRowsVectors(s Summand, sums []float64, x []float32, rows, stride int) int {
	tier, n := wholeVectors(len(sums))
	switch {
	case n == 0:
	case tier == AVX512 && s == Numbers:
		accumulateNumbersAVX512(&sums[0], &x[0], n, rows, 4*stride)
	case tier == AVX512 && s == Magnitudes:
		accumulateMagnitudesAVX512(&sums[0], &x[0], n, rows, 4*stride)
	case tier == AVX512:
		accumulateSquaresAVX512(&sums[0], &x[0], n, rows, 4*stride)
	case s == Numbers:
		accumulateNumbersAVX2(&sums[0], &x[0], n, rows, 4*stride)
	case s == Magnitudes:
		accumulateMagnitudesAVX2(&sums[0], &x[0], n, rows, 4*stride)
	default:
		accumulateSquaresAVX2(&sums[0], &x[0], n, rows, 4*stride)
	}
	return n
}

// extremeVectors computes Largest or Smallest, or returns false if the tier has no assembly.
func extremeVectors(largest bool, x []float32, start float32) (best float32, ok bool) {
	switch tier := active(); {
	case len(x) == 0 || tier == Portable:
		return start, len(x) == 0
	case tier == AVX512 && largest:
		return largestAVX512(&x[0], len(x), start), true
	case tier == AVX512:
		return smallestAVX512(&x[0], len(x), start), true
	case largest:
		return largestAVX2(&x[0], len(x), start), true
	}
	return smallestAVX2(&x[0], len(x), start), true
}

// productVectors multiplies partial products by as many numbers as fill blocks of 32, and returns how many
// these are.
func productVectors(partial *[32]float64, x []float32) int {
	n := len(x) &^ 31
	switch tier := active(); {
	case n == 0 || tier == Portable:
		return 0
	case tier == AVX512:
		multiplyAVX512(&partial[0], &x[0], n)
	default:
		multiplyAVX2(&partial[0], &x[0], n)
	}
	return n
}
