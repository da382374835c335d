//go:build !purego

package kernel

// ratiosVectors computes Ratios for as many numbers as fill whole vectors, and returns how
// many these are.
func ratiosVectors(dst, weighted, mean, sums []float32) int {
	switch n, tier := len(dst), active(); {
	case tier == AVX512 && n >= 16:
		ratiosAVX512(&dst[0], &weighted[0], &mean[0], &sums[0], n&^15)
		return n &^ 15
	case tier == AVX2 && n >= 8:
		ratiosAVX2(&dst[0], &weighted[0], &mean[0], &sums[0], n&^7)
		return n &^ 7
	}
	return 0
}

// factorsVectors computes Factors for as many numbers as fill whole vectors, and returns how
// many these are.
func factorsVectors(sums, weighted, patch []float32) int {
	switch n, tier := len(patch), active(); {
	case tier == AVX512 && n >= 16:
		factorsAVX512(&sums[0], &weighted[0], &patch[0], n&^15)
		return n &^ 15
	case tier == AVX2 && n >= 8:
		factorsAVX2(&sums[0], &weighted[0], &patch[0], n&^7)
		return n &^ 7
	}
	return 0
}
