package kernel

// Tiny keeps quotients defined when the divisor is 0, as in PyTorch-SbS.
const Tiny = 1e-20

// Ratios computes dst[i] = (weighted[i] + mean[i]*sums[i]) / (sums[i] + 1e-20) in float32, each
// operation rounded. All slices have the same length.
func Ratios(dst, weighted, mean, sums []float32) {
	weighted, mean, sums = weighted[:len(dst)], mean[:len(dst)], sums[:len(dst)]
	for i := ratiosVectors(dst, weighted, mean, sums); i < len(dst); i++ {
		dst[i] = (weighted[i] + float32(mean[i]*sums[i])) / (sums[i] + Tiny)
	}
}

// Factors sets sums[i] to -q*weighted[i] and weighted[i] to q*sums[i], with the old numbers and
// q = patch[i] / (sums[i]^2 + 1e-20), in float32, each operation rounded. All slices have the
// same length.
func Factors(sums, weighted, patch []float32) {
	sums, weighted = sums[:len(patch)], weighted[:len(patch)]
	for i := factorsVectors(sums, weighted, patch); i < len(patch); i++ {
		s, w := sums[i], weighted[i]
		q := patch[i] / (float32(s*s) + Tiny)
		sums[i], weighted[i] = -q*w, q*s
	}
}
