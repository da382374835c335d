package kernel

// Transpose copies element (i, j) of the (rows, cols) matrix src to element (j, i) of dst. A stride
// is the distance between the first elements of adjacent rows. Transpose panics if a slice is too short.
func Transpose(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	checkMatrix("source", rows, cols, len(src), srcStride)
	checkMatrix("destination", cols, rows, len(dst), dstStride)
	if !transposeVectors(dst, dstStride, src, srcStride, rows, cols) {
		transpose(dst, dstStride, src, srcStride, rows, cols)
	}
}

// transpose is Transpose for the portable tier.
func transpose(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	for j := range cols {
		out, in := dst[j*dstStride:][:rows], src[j:]
		for i := range out {
			out[i] = in[i*srcStride]
		}
	}
}
