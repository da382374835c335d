//go:build !purego

package kernel

// reluVectors does what whole vectors can do, and returns how many numbers that is.
func reluVectors(out, x []float32) int {
	switch n := len(x); {
	case active == AVX512 && n >= 16:
		reluAVX512(&out[0], &x[0], n&^15)
		return n &^ 15
	case active == AVX2 && n >= 8:
		reluAVX2(&out[0], &x[0], n&^7)
		return n &^ 7
	}
	return 0
}

// maxPoolVectors returns false when the tier has no assembly.
func maxPoolVectors(out, x []float32, rows, n, width int) bool {
	switch active {
	case AVX512:
		maxPoolAVX512(&out[0], &x[0], rows, n, width)
	case AVX2:
		maxPoolAVX2(&out[0], &x[0], rows, n, width)
	}
	return active != Portable
}
