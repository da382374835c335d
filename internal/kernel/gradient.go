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

// Quotients computes dst[i] = p[i] / (r[i] + least) in float32, each operation rounded. All
// slices have the same length; dst may be p or r.
func Quotients(dst, p, r []float32, least float32) {
	p, r = p[:len(dst)], r[:len(dst)]
	for i := quotientsVectors(dst, p, r, least); i < len(dst); i++ {
		dst[i] = p[i] / (r[i] + least)
	}
}

// Grow sets v[i] to keep*h[i] + scale*(h[i]*v[i]) and adds it to sums[i] in float32, each
// operation rounded. All slices have the same length.
func Grow(v, h, sums []float32, keep, scale float32) {
	h, sums = h[:len(v)], sums[:len(v)]
	for i := growVectors(v, h, sums, keep, scale); i < len(v); i++ {
		v[i] = float32(keep*h[i]) + float32(scale*float32(h[i]*v[i]))
		sums[i] += v[i]
	}
}

// Products computes dst[i] = a[i]*b[i]. All slices have the same length; dst may be a or b.
func Products(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := productsVectors(dst, a, b); i < len(dst); i++ {
		dst[i] = a[i] * b[i]
	}
}
