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

// quotientsVectors computes Quotients for as many numbers as fill whole vectors, and returns how many
// these are.
func quotientsVectors(dst, p, r []float32, least float32) int {
	tier, n := wholeVectors(len(dst))
	switch {
	case n == 0:
	case tier == AVX512:
		quotientsAVX512(&dst[0], &p[0], &r[0], n, least)
	default:
		quotientsAVX2(&dst[0], &p[0], &r[0], n, least)
	}
	return n
}

// growVectors computes Grow for as many numbers as fill whole vectors, and returns how many
// these are.
func growVectors(v, h, sums []float32, keep, scale float32) int {
	tier, n := wholeVectors(len(v))
	switch {
	case n == 0:
	case tier == AVX512:
		growAVX512(&v[0], &h[0], &sums[0], n, keep, scale)
	default:
		growAVX2(&v[0], &h[0], &sums[0], n, keep, scale)
	}
	return n
}

// productsVectors computes Products for as many numbers as fill whole vectors, and returns how many
// these are.
func productsVectors(dst, a, b []float32) int {
	tier, n := wholeVectors(len(dst))
	switch {
	case n == 0:
	case tier == AVX512:
		productsAVX512(&dst[0], &a[0], &b[0], n)
	default:
		productsAVX2(&dst[0], &a[0], &b[0], n)
	}
	return n
}
