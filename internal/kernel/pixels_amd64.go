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

// maxPoolVectors computes MaxPool2, or returns false if the tier has no assembly
// for it.
func maxPoolVectors(out, x []float32, rows, n, width int) bool {
	switch active() {
	case AVX512:
		maxPoolAVX512(&out[0], &x[0], rows, n, width)
	case AVX2:
		maxPoolAVX2(&out[0], &x[0], rows, n, width)
	default:
		return false
	}
	return true
}

// meanPoolVectors computes MeanPool2, or returns false if the tier has no assembly for
// it.
func meanPoolVectors(out, x []float32, rows, n, width int) bool {
	switch active() {
	case AVX512:
		meanPoolAVX512(&out[0], &x[0], rows, n, width)
	case AVX2:
		meanPoolAVX2(&out[0], &x[0], rows, n, width)
	default:
		return false
	}
	return true
}
