package kernel

// Gemm computes C = A*B, or C += A*B when accumulate, row-major: A is (m, k), or
// (k, m) when transA; B is (k, n), or (n, k) when transB; C is (m, n). lda, ldb
// and ldc are the row strides. C must not overlap A or B.
func Gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, accumulate bool) {
	rowA, stepA := lda, 1
	if transA {
		rowA, stepA = 1, lda
	}
	for i := range m {
		row := c[i*ldc:][:n]
		if !accumulate {
			clear(row)
		}
		if transB {
			for j := range row {
				var sum float32
				at := i * rowA
				for _, v := range b[j*ldb:][:k] {
					sum += a[at] * v
					at += stepA
				}
				row[j] += sum
			}
			continue
		}
		for l := range k {
			f := a[i*rowA+l*stepA]
			for j, v := range b[l*ldb:][:n] {
				row[j] += f * v
			}
		}
	}
}
