//go:build !purego

package kernel

type pairFunc func(dst, a, b *float32, n, stepA, stepB int)

var (
	pairsAVX2   = [pairCount]pairFunc{addAVX2, subAVX2, mulAVX2, divAVX2, maxAVX2, minAVX2, preluOfAVX2}
	pairsAVX512 = [pairCount]pairFunc{addAVX512, subAVX512, mulAVX512, divAVX512, maxAVX512, minAVX512, preluOfAVX512}
)

// combineVectors and the others compute as many results as fill whole vectors, and return how many
// these are.
func combineVectors(op Pair, out, a, b []float32, stepA, stepB int) int {
	tier, n := pairVectors(len(out), len(a), len(b), stepA, stepB)
	switch {
	case n == 0:
	case tier == AVX512:
		pairsAVX512[op](&out[0], &a[0], &b[0], n, stepA, stepB)
	default:
		pairsAVX2[op](&out[0], &a[0], &b[0], n, stepA, stepB)
	}
	return n
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
