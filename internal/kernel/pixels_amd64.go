//go:build !purego

package kernel

// reluVectors computes Relu for as many numbers as fill whole vectors, and returns
// how many these are.
func reluVectors(out, x []float32) int {
	tier, n := wholeVectors(len(x))
	switch {
	case n == 0:
	case tier == AVX512:
		reluAVX512(&out[0], &x[0], n)
	default:
		reluAVX2(&out[0], &x[0], n)
	}
	return n
}

// wholeVectors returns the active tier, and how many of n numbers fill whole vectors of it.
func wholeVectors(n int) (Tier, int) {
	switch tier := active(); tier {
	case AVX512:
		return tier, n &^ 15
	case AVX2:
		return tier, n &^ 7
	default:
		return tier, 0
	}
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
