//go:build !purego

package kernel

// combineVectors and the others compute as many results as fill whole vectors, and return how many
// these are.
func combineVectors(op Pair, out, a, b []float32, stepA, stepB int) int {
	n := pairVectors(len(out), len(a), len(b), stepA, stepB)
	if n == 0 {
		return 0
	}
	// Without a table of functions, operands in the memory of a goroutine stay there.
	to, x, y := &out[0], &a[0], &b[0]
	switch op {
	case Add:
		addNEON(to, x, y, n, stepA, stepB)
	case Sub:
		subNEON(to, x, y, n, stepA, stepB)
	case Mul:
		mulNEON(to, x, y, n, stepA, stepB)
	case Div:
		divNEON(to, x, y, n, stepA, stepB)
	case Max:
		maxNEON(to, x, y, n, stepA, stepB)
	case Min:
		minNEON(to, x, y, n, stepA, stepB)
	case PRelu:
		preluOfNEON(to, x, y, n, stepA, stepB)
	}
	return n
}

// addRowsVectors computes AddRows, or returns false if the tier has no assembly.
func addRowsVectors(sums []float32, sumStride int, x []float32, stride, rows, n int) bool {
	if active() == Portable {
		return false
	}
	addRowsNEON(&sums[0], 4*sumStride, &x[0], 4*stride, rows, n)
	return true
}

// pairVectors returns how many of n results fill whole vectors. It checks the lengths of the
// operands.
func pairVectors(n, a, b, stepA, stepB int) int {
	if stepA > 1 || stepB > 1 {
		return 0
	}
	n = wholeVectors(n, lanesNEON)
	if n > 0 && (a <= (n-1)*stepA || b <= (n-1)*stepB) {
		panic("kernel: an operand is too short")
	}
	return n
}

func compareVectors(op Comparison, out []bool, a, b []float32, stepA, stepB int) int {
	n := pairVectors(len(out), len(a), len(b), stepA, stepB)
	if n == 0 {
		return 0
	}
	switch op {
	case Less:
		isLessNEON(&out[0], &a[0], &b[0], n, stepA, stepB)
	case LessEqual:
		isLessEqualNEON(&out[0], &a[0], &b[0], n, stepA, stepB)
	case Equal:
		isEqualNEON(&out[0], &a[0], &b[0], n, stepA, stepB)
	}
	return n
}

func selectVectors(out []float32, c []bool, a, b []float32, stepA, stepB int) int {
	n := pairVectors(len(out), len(a), len(b), stepA, stepB)
	if n == 0 {
		return 0
	}
	_ = c[n-1]
	selectionNEON(&out[0], &c[0], &a[0], &b[0], n, stepA, stepB)
	return n
}

// powVectors computes powers in whole vectors, up to the first one with a special number, and
// returns how many these are.
func powVectors(out, x, y []float32, stepX, stepY int) int {
	n := pairVectors(len(out), len(x), len(y), stepX, stepY)
	if n == 0 {
		return 0
	}
	return powNEON(&out[0], &x[0], &y[0], n, stepX, stepY)
}
