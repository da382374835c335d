//go:build amd64 && !purego

package kernel

// transposeAVXAll is transpose with assembly for the part of the matrix that
// consists of whole blocks of 4 x 4.
func transposeAVXAll(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	r, c := rows&^3, cols&^3
	if r > 0 && c > 0 {
		_, _ = dst[(c-1)*dstStride+r-1], src[(r-1)*srcStride+c-1]
		transposeAVX(&dst[0], 4*dstStride, &src[0], 4*srcStride, r, c)
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
	tier := active()
	if tier == Portable {
		return false
	}
	side := 8 // of a block
	if tier == AVX512 {
		side = 16
	}
	// The assembly for whole vectors copies whole cache lines.
	r, c := rows/side*side, cols/side*side
	if r == 0 || c == 0 {
		transposeAVXAll(dst, dstStride, src, srcStride, rows, cols)
		return true
	}
	_, _ = dst[(c-1)*dstStride+r-1], src[(r-1)*srcStride+c-1]
	if tier == AVX512 {
		transposeAVX512(&dst[0], 4*dstStride, &src[0], 4*srcStride, r, c)
	} else {
		transposeAVX2(&dst[0], 4*dstStride, &src[0], 4*srcStride, r, c)
	}
	if c < cols {
		transposeAVXAll(dst[c*dstStride:], dstStride, src[c:], srcStride, r, cols-c)
	}
	if r < rows {
		transposeAVXAll(dst[r:], dstStride, src[r*srcStride:], srcStride, rows-r, cols)
	}
	return true
}
