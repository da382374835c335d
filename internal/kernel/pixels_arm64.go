//go:build !purego

package kernel

// reluVectors computes Relu for as many numbers as fill whole vectors, and returns
// how many these are.
func reluVectors(out, x []float32) int {
	n := wholeVectors(len(x), lanesNEON)
	if n > 0 {
		reluNEON(&out[0], &x[0], n)
	}
	return n
}

// poolVectors computes MeanPool2 or MaxPool2, or returns false if the tier has no assembly
// for it.
func poolVectors(mean bool, out, x []float32, rows, n, width int) bool {
	switch {
	case active() == Portable || n < lanesNEON:
		return false
	case mean:
		meanPoolNEON(&out[0], &x[0], rows, n, width)
	default:
		maxPoolNEON(&out[0], &x[0], rows, n, width)
	}
	return true
}
