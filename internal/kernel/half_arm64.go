//go:build !purego

package kernel

func fromHalfVectors(out []float32, x []uint16) int {
	n := wholeVectors(len(out), 8)
	if n > 0 {
		fromHalfNEON(&out[0], &x[0], n)
	}
	return n
}

func toHalfVectors(out []uint16, x []float32) int {
	n := wholeVectors(len(out), 8)
	if n > 0 {
		toHalfNEON(&out[0], &x[0], n)
	}
	return n
}
