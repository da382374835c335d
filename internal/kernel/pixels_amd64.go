//go:build !purego

package kernel

// reluVectors computes Relu for as many numbers as fill whole vectors, and returns
// how many these are.
func reluVectors(out, x []float32) int {
	switch n, tier := len(x), active(); {
	case tier == AVX512 && n >= 16:
		reluAVX512(&out[0], &x[0], n&^15)
		return n &^ 15
	case tier == AVX2 && n >= 8:
		reluAVX2(&out[0], &x[0], n&^7)
		return n &^ 7
	}
	return 0
}

// poolVectors computes MeanPool2 or MaxPool2, or returns false if the tier has no assembly
// for it.
func poolVectors(mean bool, out, x []float32, rows, n, width int) bool {
	switch tier := active(); {
	case tier == AVX512 && mean:
		meanPoolAVX512(&out[0], &x[0], rows, n, width)
	case tier == AVX512:
		maxPoolAVX512(&out[0], &x[0], rows, n, width)
	case tier == AVX2 && mean:
		meanPoolAVX2(&out[0], &x[0], rows, n, width)
	case tier == AVX2:
		maxPoolAVX2(&out[0], &x[0], rows, n, width)
	default:
		return false
	}
	return true
}
