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
	tier, n := wholeVectors(len(x))
	switch {
	case n == 0:
	case tier == AVX512 && s == Numbers:
		accumulateNumbersAVX512(&sums[0], &x[0], n)
	case tier == AVX512 && s == Magnitudes:
		accumulateMagnitudesAVX512(&sums[0], &x[0], n)
	case tier == AVX512:
		accumulateSquaresAVX512(&sums[0], &x[0], n)
	case s == Numbers:
		accumulateNumbersAVX2(&sums[0], &x[0], n)
	case s == Magnitudes:
		accumulateMagnitudesAVX2(&sums[0], &x[0], n)
	default:
		accumulateSquaresAVX2(&sums[0], &x[0], n)
	}
	return n
}

// extremeVectors compares as many numbers as fill blocks of 16, and returns how many these are.
func extremeVectors(largest bool, best *[sumLanes]float32, x []float32) int {
	tier, n := active(), len(x)&^(sumLanes-1)
	switch {
	case n == 0 || tier == Portable:
		return 0
	case tier == AVX512 && largest:
		largestAVX512(best, &x[0], n)
	case tier == AVX512:
		smallestAVX512(best, &x[0], n)
	case largest:
		largestAVX2(best, &x[0], n)
	default:
		smallestAVX2(best, &x[0], n)
	}
	return n
}
