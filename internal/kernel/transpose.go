package kernel

// transpose copies element (i, j) of the (rows, cols) matrix src to element (j, i)
// of dst. A stride is the distance between the first elements of adjacent rows.
func transpose(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	for j := range cols {
		out, in := dst[j*dstStride:][:rows], src[j:]
		for i := range out {
			out[i] = in[i*srcStride]
		}
	}
}
