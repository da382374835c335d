//go:build !purego

package kernel

// ratiosVectors computes Ratios for as many numbers as fill whole vectors, and returns how
// many these are.
func ratiosVectors(dst, weighted, mean, sums []float32) int {
	tier, n := wholeVectors(len(dst))
	switch {
	case n == 0:
	case tier == AVX512:
		ratiosAVX512(&dst[0], &weighted[0], &mean[0], &sums[0], n)
	default:
		ratiosAVX2(&dst[0], &weighted[0], &mean[0], &sums[0], n)
	}
	return n
}

// factorsVectors computes Factors for as many numbers as fill whole vectors, and returns how
// many these are.
func factorsVectors(sums, weighted, patch []float32) int {
	tier, n := wholeVectors(len(patch))
	switch {
	case n == 0:
	case tier == AVX512:
		factorsAVX512(&sums[0], &weighted[0], &patch[0], n)
	default:
		factorsAVX2(&sums[0], &weighted[0], &patch[0], n)
	}
	return n
}
