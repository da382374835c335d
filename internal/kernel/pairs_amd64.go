//go:build !purego

package kernel

// combineVectors and the others compute as many results as fill whole vectors, and return how many
// these are.
func combineVectors(op Pair, out, a, b []float32, stepA, stepB int) int {
	tier, n := pairVectors(len(out), len(a), len(b), stepA, stepB)
	if n == 0 {
		return 0
	}
	// Without a table of functions, operands in the memory of a goroutine stay there.
	to, x, y, wide := &out[0], &a[0], &b[0], tier == AVX512
	switch {
	case wide && op == Add:
		addAVX512(to, x, y, n, stepA, stepB)
	case op == Add:
		addAVX2(to, x, y, n, stepA, stepB)
	case wide && op == Sub:
		subAVX512(to, x, y, n, stepA, stepB)
	case op == Sub:
		subAVX2(to, x, y, n, stepA, stepB)
	case wide && op == Mul:
		mulAVX512(to, x, y, n, stepA, stepB)
	case op == Mul:
		mulAVX2(to, x, y, n, stepA, stepB)
	case wide && op == Div:
		divAVX512(to, x, y, n, stepA, stepB)
	case op == Div:
		divAVX2(to, x, y, n, stepA, stepB)
	case wide && op == Max:
		maxAVX512(to, x, y, n, stepA, stepB)
	case op == Max:
		maxAVX2(to, x, y, n, stepA, stepB)
	case wide && op == Min:
		minAVX512(to, x, y, n, stepA, stepB)
	case op == Min:
		minAVX2(to, x, y, n, stepA, stepB)
	case wide && op == PRelu:
		preluOfAVX512(to, x, y, n, stepA, stepB)
	case op == PRelu:
		preluOfAVX2(to, x, y, n, stepA, stepB)
	}
	return n
}

// addRowsVectors computes AddRows, or returns false if the tier has no assembly.
func addRowsVectors(sums []float32, sumStride int, x []float32, stride, rows, n int) bool {
	switch active() {
	case AVX512:
		addRowsAVX512(&sums[0], 4*sumStride, &x[0], 4*stride, rows, n)
	case AVX2:
		addRowsAVX2(&sums[0], 4*sumStride, &x[0], 4*stride, rows, n)
	default:
		return false
	}
	return true
}

// pairVectors returns how many of n results fill whole vectors. It checks the lengths of the
// operands.
func pairVectors(n, a, b, stepA, stepB int) (Tier, int) {
	if stepA > 1 || stepB > 1 {
		return Portable, 0
	}
	tier, n := wholeVectors(n)
	if n > 0 && (a <= (n-1)*stepA || b <= (n-1)*stepB) {
		panic("kernel: an operand is too short")
	}
	return tier, n
}

func compareVectors(op Comparison, out []bool, a, b []float32, stepA, stepB int) int {
	tier, n := pairVectors(len(out), len(a), len(b), stepA, stepB)
	if n == 0 {
		return 0
	}
	switch op {
	case Less:
		if tier == AVX512 {
			isLessAVX512(&out[0], &a[0], &b[0], n, stepA, stepB)
		} else {
			isLessAVX2(&out[0], &a[0], &b[0], n, stepA, stepB)
		}
	case LessEqual:
		if tier == AVX512 {
			isLessEqualAVX512(&out[0], &a[0], &b[0], n, stepA, stepB)
		} else {
			isLessEqualAVX2(&out[0], &a[0], &b[0], n, stepA, stepB)
		}
	case Equal:
		if tier == AVX512 {
			isEqualAVX512(&out[0], &a[0], &b[0], n, stepA, stepB)
		} else {
			isEqualAVX2(&out[0], &a[0], &b[0], n, stepA, stepB)
		}
	}
	return n
}

func selectVectors(out []float32, c []bool, a, b []float32, stepA, stepB int) int {
	tier, n := pairVectors(len(out), len(a), len(b), stepA, stepB)
	if n == 0 {
		return 0
	}
	_ = c[n-1]
	if tier == AVX512 {
		selectionAVX512(&out[0], &c[0], &a[0], &b[0], n, stepA, stepB)
	} else {
		selectionAVX2(&out[0], &c[0], &a[0], &b[0], n, stepA, stepB)
	}
	return n
}

// powVectors computes powers in whole vectors of 8, up to the first one with a special number, and
// returns how many these are.
func powVectors(out, x, y []float32, stepX, stepY int) int {
	_, n := pairVectors(len(out), len(x), len(y), stepX, stepY)
	switch {
	case n == 0:
		return 0
	case active() == AVX512:
		return powAVX512(&out[0], &x[0], &y[0], n, stepX, stepY)
	}
	return powAVX2(&out[0], &x[0], &y[0], n, stepX, stepY)
}
