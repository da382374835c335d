//go:build !purego

package kernel

// requantizeVectors and the others compute as many integers as fill whole vectors, and return how
// many these are.
func requantizeVectors(out []uint8, x []int32, scales []float32, low, high float32, zero int32) int {
	tier, n := wholeVectors(len(out))
	if n == 0 {
		return 0
	}
	var same [16]float32
	from, step := &same[0], 0
	if len(scales) == 1 {
		for i := range same {
			same[i] = scales[0]
		}
	} else {
		from = &scales[:n][0]
	}
	if tier == AVX512 {
		if len(scales) > 1 {
			step = 64
		}
		requantizeAVX512(&out[0], &x[0], n, from, step, low, high, zero)
		return n
	}
	if len(scales) > 1 {
		step = 32
	}
	requantizeAVX2(&out[0], &x[0], n, from, step, low, high, zero)
	return n
}

func quantizeVectors(out []uint8, x []float32, scale, low, high float32, zero int32) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		quantizeAVX512(&out[0], &x[0], n, scale, low, high, zero)
	default:
		quantizeAVX2(&out[0], &x[0], n, scale, low, high, zero)
	}
	return n
}

func dequantizeVectors(out []float32, x []uint8, scale float32, zero int32, flip uint8) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		dequantizeAVX512(&out[0], &x[0], n, uint32(flip), zero, scale)
	default:
		dequantizeAVX2(&out[0], &x[0], n, uint32(flip), zero, scale)
	}
	return n
}

func truncateVectors(out []int32, x []float32) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		truncateAVX512(&out[0], &x[0], n)
	default:
		truncateAVX2(&out[0], &x[0], n)
	}
	return n
}

func singlesVectors(out []float32, x []int32) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		singlesAVX512(&out[0], &x[0], n)
	default:
		singlesAVX2(&out[0], &x[0], n)
	}
	return n
}

func longsVectors(out []int64, x []int32) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		longsAVX512(&out[0], &x[0], n)
	default:
		longsAVX2(&out[0], &x[0], n)
	}
	return n
}

func boundsVectors(x []float32, low, high float32) (n int, least, largest float32) {
	tier, n := wholeVectors(len(x))
	if n == 0 {
		return 0, low, high
	}
	var lows, highs [16]float32
	for i := range lows {
		lows[i], highs[i] = low, high
	}
	lanes := 16
	if tier == AVX512 {
		boundsAVX512(&lows[0], &highs[0], &x[0], n)
	} else {
		lanes = 8
		boundsAVX2(&lows[0], &highs[0], &x[0], n)
	}
	for i := range lanes {
		low, high = min(low, lows[i]), max(high, highs[i])
	}
	return n, low, high
}

func narrowVectors(out []uint8, x []int32) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		narrowAVX512(&out[0], &x[0], n)
	default:
		narrowAVX2(&out[0], &x[0], n)
	}
	return n
}

func truncateBytesVectors(out []uint8, x []float32, low, high float32) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		truncateBytesAVX512(&out[0], &x[0], n, low, high)
	default:
		truncateBytesAVX2(&out[0], &x[0], n, low, high)
	}
	return n
}
