//go:build !purego

package kernel

// transposeAllNEON is transpose with assembly for the part of the matrix that consists of whole
// blocks of 4 x 4.
func transposeAllNEON(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	r, c := rows&^3, cols&^3
	if r > 0 && c > 0 {
		_, _ = dst[(c-1)*dstStride+r-1], src[(r-1)*srcStride+c-1]
		transposeNEON(&dst[0], 4*dstStride, &src[0], 4*srcStride, r, c)
	}
	if c < cols {
		transpose(dst[c*dstStride:], dstStride, src[c:], srcStride, r, cols-c)
	}
	if r < rows {
		transpose(dst[r:], dstStride, src[r*srcStride:], srcStride, rows-r, cols)
	}
}

// transposeVectors computes Transpose, or returns false if the tier has no assembly.
func transposeVectors(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) bool {
	if active() == Portable {
		return false
	}
	transposeAllNEON(dst, dstStride, src, srcStride, rows, cols)
	return true
}
