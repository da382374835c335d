//go:build !purego

package kernel

func fromHalfVectors(out []float32, x []uint16) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		fromHalfAVX512(&out[0], &x[0], n)
	default:
		fromHalfAVX2(&out[0], &x[0], n)
	}
	return n
}

func toHalfVectors(out []uint16, x []float32) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		toHalfAVX512(&out[0], &x[0], n)
	default:
		toHalfAVX2(&out[0], &x[0], n)
	}
	return n
}
