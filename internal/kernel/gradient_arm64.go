//go:build !purego

package kernel

// ratiosVectors and the others compute their function for as many numbers as fill whole vectors, and
// return how many these are.
func ratiosVectors(dst, weighted, mean, sums []float32) int {
	n := wholeVectors(len(dst), lanesNEON)
	if n > 0 {
		ratiosNEON(&dst[0], &weighted[0], &mean[0], &sums[0], n)
	}
	return n
}

func factorsVectors(sums, weighted, patch []float32) int {
	n := wholeVectors(len(patch), lanesNEON)
	if n > 0 {
		factorsNEON(&sums[0], &weighted[0], &patch[0], n)
	}
	return n
}

func quotientsVectors(dst, p, r []float32, least float32) int {
	n := wholeVectors(len(dst), lanesNEON)
	if n > 0 {
		quotientsNEON(&dst[0], &p[0], &r[0], n, least)
	}
	return n
}

func growVectors(v, h, sums []float32, keep, scale float32) int {
	n := wholeVectors(len(v), lanesNEON)
	if n > 0 {
		growNEON(&v[0], &sums[0], &h[0], n, keep, scale)
	}
	return n
}

func productsVectors(dst, a, b []float32) int {
	n := wholeVectors(len(dst), lanesNEON)
	if n > 0 {
		productsNEON(&dst[0], &a[0], &b[0], n)
	}
	return n
}
