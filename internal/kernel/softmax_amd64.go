//go:build !purego

package kernel

// softmaxVectors and the others compute their function, or return false if the tier has no assembly.
func softmaxVectors(out, x []float32, n int, logarithm bool) bool {
	rows := len(out) / n
	switch tier := active(); {
	case tier == AVX512 && logarithm:
		logSoftmaxAVX512(&out[0], &x[0], rows, n)
	case tier == AVX512:
		softmaxAVX512(&out[0], &x[0], rows, n)
	case tier == AVX2 && logarithm:
		logSoftmaxAVX2(&out[0], &x[0], rows, n)
	case tier == AVX2:
		softmaxAVX2(&out[0], &x[0], rows, n)
	default:
		return false
	}
	return true
}

func expSumVectors(out, x []float32, top float32) (sum float32, ok bool) {
	switch tier := active(); {
	case len(out) == 0:
		return 0, true
	case tier == AVX512:
		return expSumAVX512(&out[0], &x[0], len(out), top), true
	case tier == AVX2:
		return expSumAVX2(&out[0], &x[0], len(out), top), true
	}
	return 0, false
}

func expTotalVectors(x []float32, top float32) (sum float32, ok bool) {
	switch tier := active(); {
	case len(x) == 0:
		return 0, true
	case tier == AVX512:
		return expTotalAVX512(&x[0], len(x), top), true
	case tier == AVX2:
		return expTotalAVX2(&x[0], len(x), top), true
	}
	return 0, false
}

func expColumnsVectors(out, x, tops, sums []float32) bool {
	switch active() {
	case AVX512:
		expColumnsAVX512(&out[0], &x[0], &tops[0], &sums[0], len(out))
	case AVX2:
		expColumnsAVX2(&out[0], &x[0], &tops[0], &sums[0], len(out))
	default:
		return false
	}
	return true
}

func normalizeRowVectors(out, x, scale, bias, p []float32) bool {
	_ = p[2]
	switch active() {
	case AVX512:
		normalizeRowAVX512(&out[0], &x[0], &scale[0], &bias[0], len(out), &p[0])
	case AVX2:
		normalizeRowAVX2(&out[0], &x[0], &scale[0], &bias[0], len(out), &p[0])
	default:
		return false
	}
	return true
}
